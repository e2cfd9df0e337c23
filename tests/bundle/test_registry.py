"""The first good run becomes the champion by itself; later ones must be promoted."""

import json
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import churn, compose_config

from churn import __main__
from churn.bundle import bundle, registry
from churn.bundle.choice import find_bundle
from churn.bundle.database import mlflow_client
from churn.bundle.registry import (
    beats_base_rate,
    champion_path,
    check_name,
    record_decision,
    register_and_describe,
    register_run,
)
from churn.errors import UserError
from churn.lines import append_line
from churn.monitor.history import monitor_dir
from churn.retrain import probation
from churn.retrain.history import _entries, champion_windows, retraining_times
from churn.retrain.promote import make_champion, promote
from churn.runs import UNREGISTERED, note_unregistered


def digest(path):
    return bundle.Bundle.load(path).digest


def test_the_first_good_run_becomes_champion_and_a_later_one_does_not(make_run, cfg):
    poor, first, second = make_run("poor", good=False), make_run("first"), make_run("second")
    assert register_run(poor, cfg.run.root) == "1"
    assert champion_path(cfg) is None
    assert register_run(first, cfg.run.root) == "2"
    assert register_run(second, cfg.run.root) == "3"
    assert digest(champion_path(cfg)) == digest(first / "bundle")


def test_a_run_says_whether_it_is_the_champion(make_run, cfg):
    poor, first, second = make_run("poor", good=False), make_run("first"), make_run("second")
    told = [register_and_describe(run, cfg.run.root) for run in (poor, first, second)]
    assert told == [
        "customers version 1; there is no champion, since it is not clearly better than the churn rate alone"
        f"; to promote it: churn promote run={poor}",
        "customers version 2, the champion",
        f"customers version 3; the champion is version 2; to promote it: churn promote run={second}",
    ]


def test_promote_makes_a_run_the_champion_and_registers_it_once(make_run, cfg):
    first, second = make_run("first"), make_run("second")
    register_run(first, cfg.run.root)
    for _ in range(2):
        output = churn("promote", f"run={second}", f"run.root={cfg.run.root}").stdout
        assert "Version 2 of 'customers' is the champion" in output
    assert digest(champion_path(cfg)) == digest(second / "bundle")


def test_after_a_promotion_by_hand_only_windows_since_then_count(make_run, cfg):
    first, second = make_run("first"), make_run("second")
    register_run(first, cfg.run.root)
    cfg.data.name, champion = "customers", bundle.Bundle.load(first / "bundle")
    for day in ("2026-01-08", "2126-01-08"):  # the second is yet to come
        report = {
            "bundle": champion.digest,
            "from": f"{day}T00:00:00+00:00",
            "until": f"{day}T01:00:00+00:00",
        }
        append_line(monitor_dir(cfg, "customers") / "history.jsonl", json.dumps(report))
    assert len(champion_windows(champion, cfg)) == 2
    promote_by_hand(first, cfg)
    assert len(champion_windows(champion, cfg)) == 2, "it is the champion already"
    promote_by_hand(second, cfg)
    promote_by_hand(first, cfg)
    assert [window["until"][:4] for window in champion_windows(champion, cfg)] == ["2126"]
    assert retraining_times(cfg) == [], "a promotion begins no cool-down"
    assert [entry["digest"] for entry in _entries(cfg)] == [digest(run / "bundle") for run in (second, first)]


@pytest.fixture
def reviewed(make_run, cfg, monkeypatch):
    """Two registered runs, and a function: whether a review compares the champion with the version before."""
    runs, when, compared = [make_run("first"), make_run("second")], datetime(2027, 3, 1, tzinfo=UTC), []
    for run in runs:
        tags = {"decision": "promoted", "decided": when.isoformat()}  # as `churn retrain` left them
        record_decision(cfg.run.root, "customers", register_run(run, cfg.run.root), tags, [])
    monkeypatch.setattr(probation, "_compare_with_previous", lambda *_: compared.append(1))

    def is_compared():
        compared.clear()
        assert not probation.review(cfg, bundle.Bundle.load(champion_path(cfg)), when)
        return bool(compared)

    return *runs, is_compared


def promote_by_hand(run, cfg):
    promote(compose_config(f"run.dir={run}", f"run.root={cfg.run.root}"))


def test_a_promotion_by_hand_has_no_probation_whatever_a_retraining_had_decided(reviewed, cfg):
    first, second, is_compared = reviewed
    for run in (second, first):
        promote_by_hand(run, cfg)
        assert not is_compared()


def test_a_version_that_was_rolled_back_and_promoted_by_hand_is_one_to_go_back_to(reviewed, cfg):
    first, _, is_compared = reviewed
    record_decision(cfg.run.root, "customers", "1", {"decision": "rolled back"}, [])
    promote_by_hand(first, cfg)
    make_champion(cfg.run.root, "customers", "2")  # as `churn retrain` does
    assert is_compared()


def test_a_limit_of_fairness_keeps_a_run_from_being_the_champion(make_run, cfg):
    run = make_run("first")
    (run / "config.yaml").write_text("retrain: {gate: {demographic_parity: 0.1}}\n")
    register_run(run, cfg.run.root)
    assert champion_path(cfg) is None
    with pytest.raises(UserError, match="its fairness is unknown"):
        promote(compose_config(f"run.dir={run}", f"run.root={cfg.run.root}", "retrain.gate.equalized_odds=0"))
    assert champion_path(cfg) is None
    with pytest.raises(UserError, match=r"retrain\.gate\.demographic_parity is a limit"):
        promote(compose_config(f"run.dir={run}", f"run.root={cfg.run.root}"))
    assert champion_path(cfg) is None
    other = f"run.root={cfg.run.root}", "retrain.gate.demographic_parity=null"
    promote(compose_config(f"run.dir={run}", *other))
    assert champion_path(cfg) is not None


def test_the_champion_outlives_its_run_directory(make_run, cfg):
    run = make_run("first")
    register_run(run, cfg.run.root)
    expected = digest(run / "bundle")
    shutil.rmtree(run)
    assert find_bundle(cfg).digest == expected


def test_a_named_bundle_comes_before_the_champion_and_the_champion_before_the_newest_run(make_run, cfg):
    with pytest.raises(UserError, match="there is no bundle yet"):
        find_bundle(cfg)
    newest, first = make_run("newest", good=False), make_run("first")
    Path(cfg.run.root, "latest").symlink_to(newest.name)
    assert find_bundle(cfg).digest == digest(newest / "bundle")
    register_run(first, cfg.run.root)
    assert find_bundle(cfg).digest == digest(first / "bundle")
    cfg.bundle = str(newest / "bundle")
    assert find_bundle(cfg).digest == digest(newest / "bundle")


def test_nothing_is_written_outside_the_root(make_run, cfg, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    register_run(make_run("first"), cfg.run.root)
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


@pytest.mark.parametrize(
    ("auc_low", "loss_high", "good"),
    [(0.6, -0.01, True), (0.49, -0.01, False), (0.6, 0.01, False), (None, None, False)],
)
def test_a_good_run_ranks_and_predicts_better_than_the_base_rate_beyond_doubt(auc_low, loss_high, good):
    metrics = {
        "test": {"roc_auc": {"low": auc_low}},
        "baselines": {"base_rate": {"log_loss": {"difference": {"high": loss_high}}}},
    }
    assert beats_base_rate(metrics) is good


def test_a_moved_folder_of_runs_keeps_its_champion_and_takes_new_runs(make_run, cfg, tmp_path):
    first, second = make_run("first"), make_run("second")
    register_run(first, cfg.run.root)
    expected = digest(first / "bundle")
    shutil.rmtree(first)
    moved = tmp_path / "archive" / "my 100%_runs"
    moved.parent.mkdir()
    Path(cfg.run.root).rename(moved)
    cfg.run.root = str(moved)
    assert digest(champion_path(cfg)) == expected
    assert champion_path(cfg).is_relative_to(moved)
    assert register_run(moved / second.name, cfg.run.root) == "2"
    assert not (tmp_path / "runs").exists()


def test_an_experiment_that_was_deleted_is_restored(make_run, cfg):
    register_run(make_run("first"), cfg.run.root)
    client = mlflow_client(cfg.run.root)
    client.delete_experiment(client.get_experiment_by_name("customers").experiment_id)
    assert register_run(make_run("second"), cfg.run.root) == "2"
    assert client.get_experiment_by_name("customers").lifecycle_stage == "active"


@pytest.mark.parametrize("name", ["it's", "team/churn", "a:b", "..", " x", "", 'say "hi"', "a\nb"])
def test_names_that_cannot_be_registered_are_refused_before_the_training(name):
    with pytest.raises(UserError, match="cannot be called so"):
        check_name(name)


@pytest.mark.parametrize("name", ["telco", "my-churn", "v1.2", "Kunden 2026", "客户", "a_b"])
def test_other_names_are_fine(name):
    check_name(name)


def test_an_interrupted_registration_leaves_no_running_run_and_can_be_repeated(make_run, cfg, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    run = make_run("first")
    with monkeypatch.context() as patch:
        patch.setattr("mlflow.MlflowClient.log_artifacts", interrupt)
        with pytest.raises(KeyboardInterrupt):
            register_run(run, cfg.run.root)
    client = mlflow_client(cfg.run.root)
    experiment = client.get_experiment_by_name("customers").experiment_id
    assert [tracked.info.status for tracked in client.search_runs([experiment])] == ["KILLED"]
    assert register_run(run, cfg.run.root) == "1"
    assert {tracked.info.status for tracked in client.search_runs([experiment])} == {"KILLED", "FINISHED"}


@pytest.mark.parametrize(
    ("killed_in", "ended"), [("log_artifacts", {"KILLED", "FINISHED"}), ("set_terminated", {"FINISHED"})]
)
def test_the_run_that_a_kill_left_in_the_tracking_is_ended_by_the_next_call(
    make_run, cfg, monkeypatch, killed_in, ended
):
    def kill(*_):
        raise KeyboardInterrupt

    run = make_run("first")
    with monkeypatch.context() as patch:
        patch.setattr("mlflow.MlflowClient.set_terminated", lambda *_: None)  # a kill runs no handler
        patch.setattr(f"mlflow.MlflowClient.{killed_in}", kill)
        with pytest.raises(KeyboardInterrupt):
            register_run(run, cfg.run.root)
    client = mlflow_client(cfg.run.root)
    experiment = client.get_experiment_by_name("customers").experiment_id
    assert [tracked.info.status for tracked in client.search_runs([experiment])] == ["RUNNING"]
    assert register_run(run, cfg.run.root) == "1"
    assert {tracked.info.status for tracked in client.search_runs([experiment])} == ended


def test_a_finished_run_that_a_killed_process_left_is_registered_by_any_command(
    make_run, cfg, tmp_path, monkeypatch, capsys
):
    run, broken = make_run("first"), tmp_path / "runs" / "broken"
    broken.mkdir()
    for left in (run, broken):
        note_unregistered(tmp_path / "runs", left)
    monkeypatch.setattr(__main__, "import_module", lambda name: SimpleNamespace(score=lambda cfg: None))
    monkeypatch.setattr(sys, "argv", ["churn", "score", f"run.root={tmp_path}/runs"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # `main` sets it
    __main__.main()
    said = capsys.readouterr().err.splitlines()
    assert sorted(line for line in said if "registered" in line) == [
        f"churn: the run {broken} is finished, but it cannot be registered now: this is not a bundle",
        f"churn: the run {run} was finished but not registered; it is version 1 now",
    ]
    assert digest(champion_path(cfg)) == digest(run / "bundle")
    assert [note.read_text() for note in (tmp_path / "runs").glob(f"{UNREGISTERED}*")] == ["broken"]


def test_what_prevents_a_registration_is_said_without_passwords(tmp_path, monkeypatch, capsys):
    (tmp_path / "run").mkdir()
    note_unregistered(tmp_path, tmp_path / "run")

    def fail(*_):
        raise RuntimeError("no answer from http://ann:tell@host/api")

    monkeypatch.setattr(registry, "register_run", fail)
    registry.register_leftovers(str(tmp_path))
    assert "no answer from http://ann:***@host/api" in capsys.readouterr().err
