"""`churn retrain`: a challenger is trained, compared, promoted, and rolled back if it was a mistake."""

import json
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from conftest import SMALL, compose_config
from serve.conftest import running, wait_until

from churn.bundle.bundle import Bundle
from churn.bundle.registry import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    REFERENCE,
    bundle_with_alias,
    register_run,
    version_tags,
)
from churn.data.sources import synthetic
from churn.errors import UserError
from churn.monitor.history import read_history
from churn.monitor.stage import monitor
from churn.retrain.forget import forget
from churn.retrain.stage import retrain

OVERRIDES = (*SMALL, "train.epochs=4", "retrain.gate.bootstrap=100", "retrain.fresh_share=0.4")
NOW = datetime.now(UTC)  # the server of this test writes its log now
CHANGED = ("data.synthetic.drift=concept", "data.synthetic.drift_size=4", "data.synthetic.rows=4500")
HORIZON = 30  # days


def day(number):
    """An ISO time, `number` days from now."""
    return f"{NOW + timedelta(days=number):%Y-%m-%dT%H:%M:%S}"


@pytest.fixture(scope="module")
def root(run_directory, tmp_path_factory):
    """`run.root` of a champion whose newest row is from today at the latest."""
    root = tmp_path_factory.mktemp("retrain")
    shutil.copytree(run_directory, root / "first")
    register_run(root / "first", str(root))
    return root


@pytest.fixture(scope="module")
def new_customers():
    """Customers after a change: monthly contracts are more common, and end more often."""
    frame = synthetic.make_table(compose_config(*CHANGED).data.synthetic, seed=43).frame
    monthly, even = frame["Contract"] == "Month-to-month", frame.index % 2 == 0
    frame = frame[monthly | even].head(3_000).reset_index(drop=True)
    return frame.assign(customerID="new " + frame["customerID"])


@pytest.fixture(scope="module")
def labels(new_customers, root):
    """The labels 60 days later; every tenth customer was called, and must not be learnt from."""
    left = new_customers["Churn"] == "Yes"
    table = {
        "customer_key": new_customers["customerID"],
        "time": np.where(left, day(10), day(HORIZON + 1)),
        "churned": left.astype(int),
        "treated": np.where(np.arange(len(new_customers)) % 10, "", "1"),
    }
    pd.DataFrame(table).to_csv(root / "labels.csv", index=False)
    return f"monitor.labels={root / 'labels.csv'}"


def run(root, *overrides):
    retrain(compose_config(f"run.root={root}", *OVERRIDES, *overrides))


def predict(server, bundle, customers):
    """Send the customers to the server, 500 at a time."""
    fields = {field["column"]: field for field in bundle.facts["inputs"]}
    kinds = {column: str for column, field in fields.items() if field["kind"] == "category"}
    names = {column: field["input"] for column, field in fields.items()}
    rows = customers.astype(kinds)[list(fields)].rename(columns=names)
    rows = rows.assign(customer_key=customers["customerID"]).astype(object)
    rows = rows.where(rows.notna(), None).to_dict("records")
    for first in range(0, len(rows), 500):
        assert server.predict(*rows[first : first + 500]).status_code == 200


def compacted_rows(log):
    """Rows in the log's Parquet files."""
    return sum(pq.read_metadata(file).num_rows for file in log.glob("*.parquet"))


def monitor_since(root, since, *overrides):
    """The monitor's report on the predictions since a time."""
    cfg = compose_config(f"run.root={root}", f"monitor.since={since.isoformat()}", *overrides)
    monitor(cfg)
    return read_history(root / "monitor" / "synthetic")[-1]


def files_with(root, texts):
    """How many files below `root` were searched, and those that hold one of the texts, also compressed."""
    files, found = [file for file in root.rglob("*") if file.is_file()], set()
    for file in files:
        content = file.read_bytes()
        if file.suffix == ".parquet":
            content += str(pq.read_table(file).to_pydict()).encode()
        found |= {file.relative_to(root) for text in texts if text.encode() in content}
    return len(files), found


def test_nothing_is_trained_without_a_trigger(root, capsys):
    run(root)
    assert "No retraining" in capsys.readouterr().out
    assert not (root / "retrain").exists()


def test_without_enough_fresh_rows_nothing_is_trained_and_no_cool_down_starts(root, capsys):
    run(root, "retrain.trigger.every_days=1", f"retrain.now={day(60)}")
    assert "Not yet" in capsys.readouterr().out
    assert not (root / "retrain").exists()


def test_without_enough_churners_among_the_fresh_rows_nothing_is_trained_either(root, capsys):
    run(
        root, "retrain.trigger.every_days=1", "data.synthetic.rows=2000", "data.synthetic.dates=true",
        "data.time=Snapshot", f"data.synthetic.start={day(1)[:10]}", "data.synthetic.days=20",
        "retrain.gate.min_churners=5000", f"retrain.now={day(60)}",
    )  # fmt: skip
    assert (
        "retrain.gate.min_churners=5000 who left and stayed each), so nothing is" in capsys.readouterr().out
    )
    assert not (root / "retrain").exists()


def test_a_wrong_segment_is_refused_before_the_training(root, monkeypatch):
    monkeypatch.setattr("churn.retrain.steps.train", lambda *_: pytest.fail("it is trained"))
    with pytest.raises(UserError, match="'Plan' is not a category of the champion"):
        run(root, "retrain.trigger.every_days=1", "retrain.segments=[Plan]", f"retrain.now={day(60)}")
    assert not (root / "retrain").exists()


def test_too_few_labelled_rows_end_with_a_message_and_no_retraining_is_recorded(root):
    with pytest.raises(UserError, match="0 labelled rows are too few to train on"):
        run(root, "retrain.force=true", "retrain.window_days=1", f"retrain.now={day(60)}")
    assert not (root / "retrain").exists()


def test_two_alarms_train_a_challenger_on_the_log_with_its_labels_and_it_serves(
    root, new_customers, labels, capsys
):
    first = Bundle.load(bundle_with_alias(CHAMPION, compose_config(f"run.root={root}")))
    later = f"retrain.now={day(60)}"
    with running("null", root, "serve.lenient=true", "serve.log.segment_seconds=0.5") as server:
        for number, half in enumerate((new_customers[:1_500], new_customers[1_500:]), 1):
            since = datetime.now(UTC)
            predict(server, first, half)
            assert monitor_since(root, since)["status"] == "alarm"
            if number == 1:
                run(root, later, labels)
                assert "an alarm in 1 of the last 1 windows; nothing calls" in capsys.readouterr().out
        wait_until(lambda: compacted_rows(root / "log") == len(new_customers))  # as the log of older days is
        run(root, later, labels)
        printed = capsys.readouterr().out
        assert "Retraining: an alarm in 2 of the last 2 windows and in the newest." in printed
        assert (
            "Version 2 of 'synthetic' is the champion. 1 server on this machine answers with it." in printed
        )
        second = Bundle.load(bundle_with_alias(CHAMPION, compose_config(f"run.root={root}")))
        wait_until(lambda: httpx.get(f"{server.root}/model", timeout=30).json()["digest"] == second.digest)
        since = datetime.now(UTC)
        predict(server, second, new_customers[:500])
        assert monitor_since(root, since)["bundle"] == second.digest
    searched, with_ids = files_with(root, [*new_customers["customerID"][:300], "new "])
    assert with_ids == {Path("labels.csv")}, "ids are in the user's file only"
    assert searched > 50
    train, fresh = re.search(r"([\d,]+) labelled rows to learn from, ([\d,]+) fresh", printed).groups()
    rows = [int(number.replace(",", "")) for number in (train, fresh)]
    assert sum(rows) == 1_200 + 2_700, "the table, and the customers who were not called"
    assert 900 < rows[1] < 1_300

    cfg = compose_config(f"run.root={root}")
    digests = {
        alias: Bundle.load(bundle_with_alias(alias, cfg)).digest
        for alias in (CHALLENGER, PREVIOUS, REFERENCE)
    }
    assert digests == {CHALLENGER: second.digest, PREVIOUS: first.digest, REFERENCE: first.digest}
    tags = version_tags(str(root), "synthetic", CHAMPION)
    assert (tags["decision"], tags["version"]) == ("promoted", "2")
    assert tags["trigger"].startswith("alarm: an alarm in 2 of")
    line = json.loads((root / "retrain" / "synthetic" / "history.jsonl").read_text())
    assert (line["kind"], line["promoted"]) == ("alarm", True)
    assert "Promoted" in (Path(line["run"]) / "decision.html").read_text()


def test_the_versions_that_learnt_from_a_customer_are_named_and_no_other(root, new_customers, capsys):
    """After the test above."""
    named = []
    for who in new_customers["customerID"][:5]:
        forget(compose_config(f"run.root={root}", f"id={who}"))
        printed = capsys.readouterr().out
        assert who not in printed
        assert "version 1" not in printed, "its customers are others"
        named.append("Learnt from the customer: version 2 of 'synthetic'" in printed)
    assert any(named)
    assert not named[0], "who was called is not learnt from"
    forget(compose_config(f"run.root={root}", "id=nobody"))
    assert "No version is known to have learnt from the customer." in capsys.readouterr().out


def test_a_promoted_model_is_rolled_back_when_it_turns_out_worse(root, capsys):
    """After the test above: customers behave again as they did at first."""
    again = (
        "seed=44", "data.synthetic.rows=2000", "data.synthetic.dates=true", "data.time=Snapshot",
        f"data.synthetic.start={day(61)[:10]}", "data.synthetic.days=20", f"retrain.now={day(120)}",
    )  # fmt: skip
    run(root, *again)
    assert "Rolled back to version 1" in capsys.readouterr().out
    tags = version_tags(str(root), "synthetic", CHAMPION)
    assert tags["version"] == "1"
    run(root, *again)
    assert "an alarm in 0 of the last 0 windows" in capsys.readouterr().out, (
        "alarms from before the rollback do not count"
    )
