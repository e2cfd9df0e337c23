"""A run appears whole, is resumed after a kill, and never replaces another."""

import subprocess
import sys

import pytest

from churn.config.data import DataConfig
from churn.config.root import Config
from churn.config.training import RunConfig
from churn.errors import UserError
from churn.runs import CHECKPOINTS, choose_run_dir, lock_run, new_run


def config(root, **run):
    return Config(data=DataConfig(name="t"), run=RunConfig(root=str(root), **run))


def start_run(root, fingerprint, **run):
    """A new run, as `churn train` starts one."""
    cfg = config(root, **run)
    return new_run(cfg, choose_run_dir(cfg), fingerprint)


def names(root):
    return sorted(path.name for path in root.iterdir())


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
        lock_run(tmp_path / "run"),
        pytest.raises(UserError, match="another process"),
        lock_run(tmp_path / "run"),
    ):
        pass
