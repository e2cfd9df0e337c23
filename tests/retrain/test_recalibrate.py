"""`churn retrain` shifts the champion's log-odds before anybody is known to have stayed."""

import json
import shutil
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import SMALL, compose_config
from scipy.special import expit, logit

from churn.bundle.bundle import Bundle
from churn.bundle.registry import CHAMPION, PREVIOUS, bundle_with_alias, register_run, version_tags
from churn.data.declared import KEY
from churn.data.sources import synthetic
from churn.errors import UserError
from churn.files import exclusive
from churn.monitor import source
from churn.retrain import pending, steps
from churn.retrain.history import champion_windows, new_entry, record, retraining_times
from churn.retrain.recalibrate import needed_shift
from churn.retrain.stage import _obstacle_of_shift, retrain

NOW = datetime(2027, 3, 1, tzinfo=UTC)
RISE = 1.0


@pytest.fixture(scope="module")
def root(run_directory, tmp_path_factory):
    root = tmp_path_factory.mktemp("recalibrate")
    shutil.copytree(run_directory, root / "first")
    register_run(root / "first", str(root))
    return root


@pytest.fixture(scope="module")
def world(root):
    """A log of 100 days with its labels; in the last 28 days the log-odds have risen."""
    bundle = Bundle.load(root / "first" / "bundle")
    frame = synthetic.make_table(compose_config("data.synthetic.rows=6000").data.synthetic, seed=5).frame
    frame = frame.assign(customerID="new " + frame["customerID"])
    kinds = {field["column"]: field["kind"] for field in bundle.facts["inputs"]}
    for column, kind in kinds.items():
        numbers = pd.to_numeric(frame[column], errors="coerce") if kind == "number" else None
        frame[column] = frame[column].astype(str) if numbers is None else numbers.astype(float)
    probability = bundle.predict(frame)["churn_probability"].astype(float)
    age, random = np.repeat(np.arange(100, 0, -1), 60) - 0.5, np.random.default_rng(0)
    left = random.random(6000) < expit(logit(probability) + RISE * (age <= 28))
    time, gone = [NOW - timedelta(days=a) for a in age], random.uniform(0, 30, 6000)
    inputs = {f"inputs.{field['input']}": frame[field["column"]] for field in bundle.facts["inputs"]}
    log = {
        "request_id": list(map(str, range(6000))), "row": np.zeros(6000, np.int32),
        "time": pa.array(time, pa.timestamp("us", "UTC")), "bundle": [bundle.digest] * 6000,
        "customer_key": frame["customerID"], **inputs, "outputs.churn_probability": probability,
    }  # fmt: skip
    (root / "log").mkdir()
    pq.write_table(pa.table(log), root / "log" / "0.parquet")
    moments = [
        start + timedelta(days=float(after))
        for start, after in zip(time, np.where(left, gone, 30), strict=True)
    ]
    labels = pd.DataFrame(
        {"customer_key": frame["customerID"], "time": [f"{m:%Y-%m-%dT%H:%M:%SZ}" for m in moments],
         "churned": left.astype(int)}
    )  # fmt: skip
    labels[[moment <= NOW for moment in moments]].to_csv(root / "labels.csv", index=False)
    return probability


def run(root, *overrides):
    settings = (f"run.root={root}", f"monitor.labels={root / 'labels.csv'}", f"retrain.now={NOW.isoformat()}")
    retrain(compose_config(*SMALL, *settings, *overrides))


def interrupt(*_):
    raise MemoryError


def entries(root):
    """The lines of the history."""
    file = root / "retrain" / "synthetic" / "history.jsonl"
    return file.read_text().splitlines() if file.exists() else []


def test_a_rise_makes_a_version_with_higher_log_odds_the_champion_and_once_is_enough(
    root, world, capsys, monkeypatch
):
    cfg = compose_config(f"run.root={root}")
    first = Bundle.load(bundle_with_alias(CHAMPION, cfg))
    report = {
        "status": "ok",
        "time": "2027-02-08T00:00:00+00:00",
        "bundle": first.digest,
        "from": "2027-02-01T00:00:00+00:00",
        "until": "2027-02-08T00:00:00+00:00",
    }
    (root / "monitor" / "synthetic").mkdir(parents=True)
    (root / "monitor" / "synthetic" / "history.jsonl").write_text(json.dumps(report) + "\n")
    for module, step in ((steps, "promote"), (pending, "record")):
        with monkeypatch.context() as patch:
            patch.setattr(module, step, interrupt)
            with pytest.raises(MemoryError):
                run(root)
        assert entries(root) == []
        serves = version_tags(str(root), "synthetic", CHAMPION)["version"]
        assert serves == {"promote": "1", "record": "2"}[step]
    run(root)
    printed = capsys.readouterr().out
    assert printed.count("(recalibration) was not carried out to its end. It is now.") == 2
    assert "Recalibrated: of 1,680 customers with open windows" in printed
    assert len(entries(root)) == 1
    assert [file.name for file in (root / "retrain" / "synthetic").iterdir()] == ["history.jsonl"]
    assert "Version 2 of 'synthetic' is the champion." in printed
    second = Bundle.load(bundle_with_alias(CHAMPION, cfg))
    assert second.facts["recalibrated"] == pytest.approx(RISE, abs=0.25)
    assert Bundle.load(bundle_with_alias(PREVIOUS, cfg)).digest == first.digest
    tags = version_tags(str(root), "synthetic", CHAMPION)
    assert tags["decision"] == "promoted"
    assert tags["trigger"].startswith("recalibration: of 1,680")
    assert retraining_times(cfg) == []  # a recalibration begins no cool-down
    assert champion_windows(second, cfg) == [report]  # it is the same model
    row = Bundle.load(root / "first" / "bundle").profile
    assert sum(second.profile["score"]) == sum(row["score"])
    run(root)
    assert "No retraining" in capsys.readouterr().out


def test_an_interrupted_decision_whose_run_is_gone_is_dropped(root, world, capsys):
    file = root / "retrain" / "synthetic" / "pending.json"
    entry = {"time": "2027-02-28", "kind": "alarm", "promoted": True, "run": "runs/gone"}
    file.write_text(json.dumps({"entry": entry, "champion": "", "reason": "better"}))
    run(root)
    assert "dropped: its run runs/gone cannot be used" in capsys.readouterr().out
    assert not file.exists()
    assert len(entries(root)) == 1


def test_a_model_is_retrained_by_one_process_at_a_time(root):
    with exclusive(root / ".retrain-synthetic.lock"), pytest.raises(UserError, match="another process"):
        run(root)


def test_labels_of_a_snapshot_recalibrate_nothing_for_they_do_not_say_when_somebody_left(root, world):
    log, fortnight = pq.read_table(root / "log" / "0.parquet"), np.timedelta64(14, "D")
    newest = np.datetime64(NOW.replace(tzinfo=None), "D") - np.timedelta64(31, "D")
    cutoffs = np.minimum(log["time"].to_numpy().astype("datetime64[D]"), newest)
    left = (np.random.default_rng(1).random(len(log)) < 0.3).astype(int)
    columns = {"cutoff": np.r_[cutoffs, cutoffs - fortnight], "left": np.r_[left, left]}
    roles = {"id": "who", "time": "cutoff", "target": "left", "churned": ["1"], "horizon": 30}
    table = pa.table({"who": log["customer_key"].to_pylist() * 2, **columns})
    table = table.replace_schema_metadata({KEY: json.dumps({"name": "shop", "roles": roles})})
    pq.write_table(table, root / "snapshots.parquet")
    cfg = compose_config(f"run.root={root}", f"monitor.labels={root / 'snapshots.parquet'}")
    champion = Bundle.load(bundle_with_alias(CHAMPION, cfg))
    assert needed_shift(cfg, champion, NOW) is None


def test_a_shift_that_was_taken_back_is_not_made_again_in_the_days_of_a_probation(tmp_path):
    cfg = compose_config(f"run.root={tmp_path}")
    for day, kind in ((1, "recalibration"), (10, "rollback")):
        record(cfg, new_entry(datetime(2027, 1, day, tzinfo=UTC), kind, True))
    assert "taken back less than 90 days ago" in _obstacle_of_shift(cfg, NOW)
    assert _obstacle_of_shift(cfg, NOW + timedelta(days=60)) is None
    record(cfg, new_entry(NOW, "alarm", True))
    assert _obstacle_of_shift(cfg, NOW) is None, "it is another model"


@pytest.mark.parametrize(
    ("by_hand", "undone"),
    [
        ("a", True), ("b", True), ("c", False), ("d", False),
        ("aa", True), ("aca", True), ("ac", False), ("<ca", True), ("ada", False),
    ],
)  # fmt: skip
def test_a_shift_that_a_person_took_back_is_not_made_again_either(tmp_path, by_hand, undone):
    """The model a was recalibrated to b, and that to c; `<` is a rollback, d another model."""
    cfg = compose_config(f"run.root={tmp_path}")
    for day, previous, digest in ((1, "a", "b"), (9, "b", "c")):
        shift = {"previous": previous, "digest": digest}
        record(cfg, new_entry(datetime(2027, 1, day, tzinfo=UTC), "recalibration", True, **shift))
    for day, digest in enumerate(by_hand, 10):
        kind = "rollback" if digest == "<" else "promotion by hand"
        record(cfg, new_entry(datetime(2027, 1, day, tzinfo=UTC), kind, True, digest=digest))
    assert ("taken back" in (_obstacle_of_shift(cfg, NOW) or "")) is undone


def test_a_log_shorter_than_a_month_of_earlier_looks_gives_no_shift(root, world, monkeypatch):
    """Customers may leave at the end of the month only: nobody knows before one was seen."""
    cfg = compose_config(f"run.root={root}", f"monitor.labels={root / 'labels.csv'}")
    champion = Bundle.load(root / "first" / "bundle")
    assert needed_shift(cfg, champion, NOW) is not None
    begin, read = NOW - timedelta(days=70), source.read_predictions
    monkeypatch.setattr(source, "read_predictions", lambda cfg, since, until: read(cfg, begin, until))
    assert needed_shift(cfg, champion, NOW) is None


def test_the_log_is_read_back_to_the_looks_whatever_measures_the_model(root, world):
    cfg = compose_config(f"run.root={root}", f"monitor.labels={root / 'labels.csv'}", "monitor.label_days=55")
    assert needed_shift(cfg, Bundle.load(root / "first" / "bundle"), NOW) is not None


def test_without_recalibration_days_the_champion_stays(root, world, capsys):
    run(root, "retrain.recalibration_days=0")
    assert "No retraining" in capsys.readouterr().out
