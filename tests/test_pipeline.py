"""`churn train` as a user runs it: the files of a run, and what remains of a run that is stopped."""

import json
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import pytest
from conftest import SMALL, SMALLEST, churn, compose_config
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from sklearn.metrics import log_loss, roc_auc_score

from churn import pipeline
from churn.app.models import _weakest
from churn.backend import tensorflow
from churn.bundle.bundle import EXTRA, Bundle
from churn.data.load import load_dataset
from churn.data.split import split_dataset
from churn.monitor.drift.reference import GRID, grid_cell
from churn.parallel import LAZY

METRICS = (
    "roc_auc",
    "average_precision",
    "log_loss",
    "brier",
    "calibration_slope",
    "calibration_intercept",
    "lift_at_10",
)
BASELINES = ("base_rate", "logistic_regression", "boosting", "tutorial")


@pytest.fixture(scope="module")
def metrics(run_directory):
    return json.loads((run_directory / "metrics.json").read_text())


@pytest.fixture(scope="module")
def test_part():
    cfg = compose_config(*SMALL)
    data = load_dataset(cfg.data, cfg.seed)
    rows = split_dataset(data, cfg.split, cfg.data.horizon, cfg.seed).test
    return data.frame.iloc[rows], data.churned[rows]


def test_a_run_holds_what_the_readme_promises_and_nothing_else(run_directory):
    names = {path.name for path in run_directory.iterdir()}
    promised = {"config.yaml", "metrics.json", "report.html", "card.md", "card.json", "bundle"}
    assert names == promised | {"customers.npz"}, "the last one is for churn forget"
    assert (run_directory.parent / "latest").resolve() == run_directory.resolve()
    hidden = [path.name for path in run_directory.parent.iterdir() if path.name.startswith(".")]
    assert hidden == []


def test_metrics_have_the_documented_names(metrics):
    for metric in METRICS:
        assert metrics["test"][metric].keys() >= {"value", "low", "high"}
        for name in BASELINES:
            assert metrics["baselines"][name][metric].keys() >= {"value", "low", "high", "difference"}
    assert isinstance(metrics["test"]["ece"]["value"], float)
    assert metrics["seconds"].keys() >= {"load", "train", "evaluate"}
    assert _weakest(metrics).startswith(metrics["segments"][0]["feature"])
    test = metrics["test"]["roc_auc"]
    assert test["low"] < test["value"] < test["high"]


def test_the_best_possible_is_known_for_synthetic_data(metrics):
    best = metrics["best_possible"]
    assert best["roc_auc"]["value"] > metrics["test"]["roc_auc"]["value"]
    assert best["log_loss"]["value"] < metrics["test"]["log_loss"]["value"]


def test_the_model_card_is_in_bundle_and_run_and_keeps_to_the_schema(run_directory, metrics):
    for name in ("card.md", "card.json"):
        text = (run_directory / name).read_text()
        assert text == (run_directory / "bundle" / EXTRA / name).read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    Bundle.load(run_directory / "bundle")  # its checksums know the card
    analysis = json.loads(text)["metadata"]["component"]["modelCard"]["quantitativeAnalysis"]
    overall = {
        score["type"]: score["value"] for score in analysis["performanceMetrics"] if "slice" not in score
    }
    assert overall["roc_auc"] == f"{metrics['test']['roc_auc']['value']:.4f}"
    assert overall.keys() == metrics["test"].keys()


def test_the_bundle_gives_the_evaluated_probabilities_on_the_test_part(run_directory, metrics, test_part):
    frame, churned = test_part
    bundle = Bundle.load(run_directory / "bundle")
    probability = bundle.predict(frame)["churn_probability"].astype(float)
    assert roc_auc_score(churned, probability) == pytest.approx(metrics["test"]["roc_auc"]["value"], abs=1e-6)
    assert log_loss(churned, probability) == pytest.approx(metrics["test"]["log_loss"]["value"], abs=1e-6)
    assert bundle.facts["metrics"] == metrics["test"]
    assert bundle.profile["rows"] == bundle.facts["data"]["rows"]["train"]


def test_the_profile_holds_the_distribution_of_the_served_probabilities(run_directory, test_part):
    bundle = Bundle.load(run_directory / "bundle")
    probability = bundle.predict(test_part[0])["churn_probability"].astype(float)
    expected = np.bincount(grid_cell(probability), minlength=GRID)
    assert bundle.profile["score"] == expected.tolist()
    assert bundle.profile["test_customers"] == len(probability)


def test_the_same_command_gives_the_same_numbers_also_without_a_worker_process(metrics, tmp_path):
    pipeline.run(compose_config(*SMALL, f"run.root={tmp_path}", f"run.dir={tmp_path}/again"), LAZY)
    again = json.loads((tmp_path / "again" / "metrics.json").read_text())
    assert {**again, "seconds": None} == {**metrics, "seconds": None}


def weights(bundle):
    """The variables of a bundle's network; the order in which Keras lists them differs from run to run."""
    train, path = tensorflow().train, str(bundle / "variables" / "variables")
    values = [train.load_variable(path, name) for name, shape in train.list_variables(path) if shape]
    return sorted(str(value.tolist()) for value in values)


LONG = (
    "data.synthetic.rows=1200",
    "train.epochs=60",
    "model.members=3",
    "model.folds=3",
    "model.trees=20",
    "export.background=0",
    "export.refits=0",
    "evaluate.bootstrap=20",
    "evaluate.importance_repeats=1",
)


def stop_while_training(root, signal_number):
    """Start a run, stop it after some epochs, and give its exit code."""
    command = [sys.executable, "-m", "churn", "train", *LONG, f"run.root={root}"]
    with heeding_ctrl_c():
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 120
    while not list(root.glob(".unfinished-*/checkpoints/model.npz")):
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal_number)
    process.communicate()
    return process.returncode


@contextmanager
def heeding_ctrl_c():
    """Let a process that starts in the block react to Ctrl-C, which commands in the background ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_leaves_no_half_written_run(tmp_path):
    assert stop_while_training(tmp_path, signal.SIGINT) == 130
    assert list(tmp_path.iterdir()) == []


def test_a_killed_run_continues_and_ends_as_an_uninterrupted_one(tmp_path):
    uninterrupted, killed = tmp_path / "uninterrupted", tmp_path / "killed"
    pipeline.run(compose_config(*LONG, f"run.root={uninterrupted}"), LAZY)
    killed.mkdir()
    assert stop_while_training(killed, signal.SIGKILL) == -signal.SIGKILL
    (checkpoint,) = killed.glob(".unfinished-*/checkpoints/model.npz")
    with np.load(checkpoint) as state:
        finished = json.loads(str(state["facts"]))["epochs"]
    assert 0 < finished < 60
    churn("train", *LONG, f"run.root={killed}")
    assert weights(killed / "latest" / "bundle") == weights(uninterrupted / "latest" / "bundle")
    assert not list(killed.glob(".unfinished*"))


def test_a_sweep_writes_each_run_into_its_own_directory(tmp_path):
    churn("train", "-m", *SMALLEST, "seed=1,2", f"run.root={tmp_path}")
    assert len(list(tmp_path.glob("multirun/*/*/report.html"))) == 2
