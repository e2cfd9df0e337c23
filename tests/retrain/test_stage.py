"""`churn retrain`: a challenger proves itself, serves, and gives way when it was a mistake."""

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
from churn.retrain.stage import retrain

OVERRIDES = (*SMALL, "train.epochs=8", "retrain.gate.bootstrap=100", "retrain.fresh_share=0.4")
NOW = datetime.now(UTC)  # when the server of this test writes its log
OTHER_WORLD = ("data.synthetic.drift=concept", "data.synthetic.drift_size=4", "data.synthetic.rows=4500")
HORIZON = 30  # days


def day(number):
    """An ISO time, so many days from now."""
    return f"{NOW + timedelta(days=number):%Y-%m-%dT%H:%M:%S}"


@pytest.fixture(scope="module")
def root(run_directory, tmp_path_factory):
    """`run.root` of a champion that knows nothing after today."""
    root = tmp_path_factory.mktemp("retrain")
    shutil.copytree(run_directory, root / "first")
    register_run(root / "first", str(root))
    return root


@pytest.fixture(scope="module")
def arrived():
    """Customers of a world in which monthly contracts are more common, and seldom last."""
    frame = synthetic.make_table(compose_config(*OTHER_WORLD).data.synthetic, seed=43).frame
    monthly, even = frame["Contract"] == "Month-to-month", frame.index % 2 == 0
    frame = frame[monthly | even].head(3_000).reset_index(drop=True)
    return frame.assign(customerID="new " + frame["customerID"])


@pytest.fixture(scope="module")
def labels(arrived, root):
    """What is known 60 days later; every tenth was called, and says nothing about who is not."""
    left = arrived["Churn"] == "Yes"
    table = {
        "customer_key": arrived["customerID"],
        "time": np.where(left, day(10), day(HORIZON + 1)),
        "churned": left.astype(int),
        "treated": np.where(np.arange(len(arrived)) % 10, "", "1"),
    }
    pd.DataFrame(table).to_csv(root / "labels.csv", index=False)
    return f"monitor.labels={root / 'labels.csv'}"


def run(root, *overrides):
    retrain(compose_config(f"run.root={root}", *OVERRIDES, *overrides))


def ask(server, bundle, customers):
    """Have the server predict, 500 customers at a time."""
    fields = {field["column"]: field for field in bundle.facts["inputs"]}
    kinds = {column: str for column, field in fields.items() if field["kind"] == "category"}
    names = {column: field["input"] for column, field in fields.items()}
    rows = customers.astype(kinds)[list(fields)].rename(columns=names)
    rows = rows.assign(customer_key=customers["customerID"]).astype(object)
    rows = rows.where(rows.notna(), None).to_dict("records")
    for first in range(0, len(rows), 500):
        assert server.predict(*rows[first : first + 500]).status_code == 200


def compacted(log):
    """Rows in the log's Parquet files."""
    return sum(pq.read_metadata(file).num_rows for file in log.glob("*.parquet"))


def look(root, since, *overrides):
    """The monitor's verdict on what was predicted since."""
    cfg = compose_config(f"run.root={root}", f"monitor.since={since.isoformat()}", *overrides)
    monitor(cfg)
    return read_history(root / "monitor" / "synthetic")[-1]


def test_without_a_reason_nothing_is_trained(root, capsys):
    run(root)
    assert "No retraining" in capsys.readouterr().out
    assert not (root / "retrain").exists()


def test_what_could_not_be_judged_yet_is_not_trained_and_does_not_start_the_cool_down(root, capsys):
    run(root, "retrain.trigger.every_days=1", f"retrain.now={day(60)}")
    assert "Not yet" in capsys.readouterr().out
    assert not (root / "retrain").exists()


def test_too_few_labelled_rows_are_said_to_be_so_and_no_retraining_is_noted(root):
    with pytest.raises(UserError, match="0 labelled rows are too few to train on"):
        run(root, "retrain.force=true", "retrain.window_days=1", f"retrain.now={day(60)}")
    assert not (root / "retrain").exists()


def test_two_alarms_train_a_challenger_on_the_log_with_its_labels_and_it_serves(
    root, arrived, labels, capsys
):
    first = Bundle.load(bundle_with_alias(CHAMPION, compose_config(f"run.root={root}")))
    later = f"retrain.now={day(60)}"
    with running("null", root, "serve.lenient=true", "serve.log.segment_seconds=0.5") as server:
        for number, half in enumerate((arrived[:1_500], arrived[1_500:]), 1):
            since = datetime.now(UTC)
            ask(server, first, half)
            assert look(root, since)["status"] == "alarm"
            if number == 1:
                run(root, later, labels)
                assert "an alarm in 1 of the last 1 windows; nothing calls" in capsys.readouterr().out
        wait_until(lambda: compacted(root / "log") == len(arrived))  # as the log of older days is
        run(root, later, labels)
        printed = capsys.readouterr().out
        assert "Retraining: an alarm in 2 of the last 2 windows and in the newest." in printed
        assert "Version 2 of 'synthetic' is the champion. 1 local servers reload." in printed
        second = Bundle.load(bundle_with_alias(CHAMPION, compose_config(f"run.root={root}")))
        wait_until(lambda: httpx.get(f"{server.root}/model", timeout=30).json()["digest"] == second.digest)
        since = datetime.now(UTC)
        ask(server, second, arrived[:500])
        assert look(root, since)["bundle"] == second.digest
    learnt, fresh = re.search(r"([\d,]+) labelled rows to learn from, ([\d,]+) fresh", printed).groups()
    rows = [int(number.replace(",", "")) for number in (learnt, fresh)]
    assert sum(rows) == 1_200 + 2_700, "the table, and who was not called"
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


def test_what_was_promoted_gives_way_when_it_is_found_worse(root, capsys):
    """After the test above: the world is again as it was before."""
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
        "those of the first reign are over"
    )
