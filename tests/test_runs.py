"""A run appears whole, is resumed after a kill, and never replaces another."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest

from churn import runs
from churn.config.data import DataConfig
from churn.config.root import Config
from churn.config.training import RunConfig
from churn.errors import UserError
from churn.runs import (
    CHECKPOINTS,
    UNREGISTERED,
    forget_unregistered,
    has_unregistered,
    new_run,
    reserve_run,
    unfinished_run,
    unregistered_runs,
)


def config(root, **run):
    return Config(data=DataConfig(name="t"), run=RunConfig(root=str(root), **run))


@contextmanager
def start_run(root, fingerprint, **run):
    """A new run, as `churn train` starts one."""
    cfg = config(root, **run)
    with reserve_run(cfg) as final, new_run(cfg, final, fingerprint) as directory:
        yield directory


def names(root):
    return sorted(path.name for path in root.iterdir() if not path.name.startswith(UNREGISTERED))


def test_a_finished_run_has_its_name_and_latest_points_to_it(tmp_path):
    with start_run(tmp_path, "data") as directory:
        (directory / "report.html").write_text("x")
        assert (directory / CHECKPOINTS).is_dir()
    (run,) = [path for path in tmp_path.iterdir() if path.name.endswith("-t")]
    assert (tmp_path / "latest").resolve() == run.resolve()
    assert names(run) == ["report.html"]
    assert names(tmp_path) == sorted([run.name, "latest"])


def test_two_runs_in_one_second_have_two_names(tmp_path):
    for _ in range(2):
        with start_run(tmp_path, "data"):
            pass
    assert len(names(tmp_path)) == 3


def test_a_killed_run_is_resumed_by_the_same_command_on_the_same_data_only(tmp_path):
    code = (
        "import os, sys; sys.path.insert(0, {tests!r})\n"
        "from pathlib import Path; from test_runs import start_run\n"
        "with start_run(Path({root!r}), 'data') as d:\n"
        "    (d / 'checkpoints' / 'epoch').write_text('3'); os.kill(os.getpid(), 9)"
    ).format(tests=str(__file__).rpartition("/")[0], root=str(tmp_path))
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    with start_run(tmp_path, "other data") as other:
        assert not (other / CHECKPOINTS / "epoch").exists()
    with start_run(tmp_path, "data", dir=f"{tmp_path}/named") as same:
        assert (same / CHECKPOINTS / "epoch").read_text() == "3"


@pytest.mark.parametrize("reason", [KeyboardInterrupt(), UserError("wrong row")])
def test_an_interrupted_or_refused_run_leaves_nothing(tmp_path, reason):
    with pytest.raises(type(reason)), start_run(tmp_path, "data"):
        raise reason
    assert names(tmp_path) == []


def test_a_directory_that_is_not_empty_is_refused_before_any_work(tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("x")
    with (
        pytest.raises(UserError, match=r"run\.dir"),
        start_run(tmp_path, "data", dir=f"{tmp_path}/taken"),
    ):
        pass
    assert names(tmp_path) == ["taken"]


def test_the_same_run_is_not_trained_twice_at_once(tmp_path):
    with (
        start_run(tmp_path, "data"),
        pytest.raises(UserError, match="another process") as refused,
        start_run(tmp_path, "data"),
    ):
        pass
    assert "seed=43" in refused.value.do


def test_with_another_seed_it_is_another_run_that_may_go_on_beside_it(tmp_path):
    other = replace(config(tmp_path), seed=43)
    with (
        start_run(tmp_path, "data") as first,
        reserve_run(other) as final,
        new_run(other, final, "data") as second,
    ):
        assert first != second


def test_two_runs_at_once_have_two_names(tmp_path):
    with start_run(tmp_path, "a") as first, start_run(tmp_path, "b") as second:
        (first / "a").touch()
        (second / "b").touch()
    runs = [path for path in tmp_path.iterdir() if path.name.endswith(("-t", "-t-2"))]
    assert sorted(file.name for run in runs for file in run.iterdir()) == ["a", "b"]
    assert len(names(tmp_path)) == 3


def test_a_directory_that_another_process_writes_its_run_to_is_refused(tmp_path):
    with (
        start_run(tmp_path, "a", dir=f"{tmp_path}/named"),
        pytest.raises(UserError, match="another process writes its run there"),
        start_run(tmp_path, "b", dir=f"{tmp_path}/named"),
    ):
        pass


def test_of_a_killed_run_only_the_checkpoints_are_used(tmp_path):
    def fail_in(directory):
        (directory / "bundle" / "assets.extra").mkdir(parents=True)
        (directory / "report.html").touch()
        raise MemoryError

    with pytest.raises(MemoryError), start_run(tmp_path, "data") as directory:
        fail_in(directory)
    with start_run(tmp_path, "data") as directory:
        assert names(directory) == [CHECKPOINTS]


def test_a_killed_run_that_no_one_resumes_is_removed_after_a_month(tmp_path):
    for age, kept in ((29, True), (31, False)):
        left = tmp_path / ".unfinished-0123" / CHECKPOINTS
        left.mkdir(parents=True, exist_ok=True)
        for path in (left, left.parent):
            os.utime(path, (time.time() - age * 86_400,) * 2)
        with start_run(tmp_path, "data"):
            assert left.exists() is kept


def test_the_rows_count_by_their_content_wherever_they_lie(tmp_path):
    first, second = config(tmp_path), config(tmp_path)
    first.data.path, second.data.path = "a.parquet", "b.parquet"
    assert unfinished_run(first, tmp_path / "x", "same") == unfinished_run(second, tmp_path / "x", "same")
    assert unfinished_run(first, tmp_path / "x", "other") != unfinished_run(second, tmp_path / "x", "same")


def test_a_finished_run_is_known_as_unregistered_until_it_is_registered(tmp_path):
    cfg = config(tmp_path, dir=f"{tmp_path}/elsewhere/named")
    with reserve_run(cfg) as final, new_run(cfg, final, "data"):
        pass
    assert list(unregistered_runs(tmp_path)) == [tmp_path / "elsewhere" / "named"]
    with reserve_run(config(tmp_path, dir=f"{tmp_path}/elsewhere/other")) as other:
        runs.note_unregistered(tmp_path, other)
        other.mkdir()
        assert list(unregistered_runs(tmp_path)) == [final], "the process that registers the other one lives"
    for run in (final, other):
        forget_unregistered(tmp_path, run)
    assert not has_unregistered(tmp_path)


def run_killed_at(root, monkeypatch, module, name):
    """A run that ends where it calls a function."""

    def end(*_):
        raise MemoryError

    with monkeypatch.context() as patch, pytest.raises(MemoryError), start_run(root, "data"):
        patch.setattr(module, name, end)


def test_what_a_kill_after_the_training_left_undone_is_done_by_the_next_command(tmp_path, monkeypatch):
    run_killed_at(tmp_path, monkeypatch, runs.shutil, "rmtree")
    (run,) = unregistered_runs(tmp_path)
    assert names(run) == []
    assert (tmp_path / "latest").resolve() == run.resolve()


def test_a_kill_before_a_run_has_its_name_loses_no_checkpoint(tmp_path, monkeypatch):
    run_killed_at(tmp_path, monkeypatch, runs, "sync_tree")
    runs.note_unregistered(tmp_path, tmp_path / "run")
    assert list(unregistered_runs(tmp_path)) == []
    assert not has_unregistered(tmp_path)
    (unfinished,) = tmp_path.glob(".unfinished-*")
    assert names(unfinished) == [CHECKPOINTS]
