"""`churn retrain`: a challenger proves itself, serves, and gives way when it was a mistake."""

import json
import shutil
from pathlib import Path

import pytest
from conftest import SMALL, configured

from churn.bundle import Bundle
from churn.errors import UserError
from churn.registry import CHALLENGER, CHAMPION, PREVIOUS, REFERENCE, bundle_with, register, tags_of
from churn.retrain.stage import retrain

AFTER = (
    *SMALL, "train.epochs=8", "seed=43", "data.synthetic.dates=true", "data.time=Snapshot",
    "data.synthetic.rows=3000", "retrain.gate.bootstrap=100", "retrain.fresh_days=200",
)  # fmt: skip
OTHER_WORLD = (
    *AFTER, "data.synthetic.start=2027-01-01", "data.synthetic.days=180", "retrain.now=2027-08-01",
    "data.synthetic.drift=concept", "data.synthetic.drift_size=4",
)  # fmt: skip
BACK_AGAIN = (
    *AFTER, "data.synthetic.start=2027-08-02", "data.synthetic.days=30", "retrain.now=2027-10-01",
)  # fmt: skip


@pytest.fixture(scope="module")
def root(run_directory, tmp_path_factory):
    """`run.root` of a champion that knows nothing after today."""
    root = tmp_path_factory.mktemp("retrain")
    shutil.copytree(run_directory, root / "first")
    register(root / "first", str(root))
    return root


def run(root, *overrides):
    retrain(configured(f"run.root={root}", *overrides))


def test_without_a_reason_nothing_is_trained(root, capsys):
    run(root, *OTHER_WORLD)
    assert "No retraining" in capsys.readouterr().out
    assert not (root / "retrain").exists()


def test_too_few_labelled_rows_are_said_to_be_so_and_no_retraining_is_noted(root):
    with pytest.raises(UserError, match="0 labelled rows are too few to train on"):
        run(root, *OTHER_WORLD, "retrain.by_hand=true", "retrain.window_days=1")
    assert not (root / "retrain").exists()


def test_a_challenger_that_proves_itself_serves_until_it_is_found_worse(root, capsys):
    first = bundle_with(CHAMPION, configured(f"run.root={root}"))
    run(root, *OTHER_WORLD, "retrain.by_hand=true")
    assert "Version 2 of 'synthetic' is the champion" in capsys.readouterr().out
    cfg = configured(f"run.root={root}")
    digests = {
        alias: Bundle.load(bundle_with(alias, cfg)).digest
        for alias in (CHAMPION, CHALLENGER, PREVIOUS, REFERENCE)
    }
    old = Bundle.load(first).digest
    assert digests[PREVIOUS] == digests[REFERENCE] == old
    assert digests[CHAMPION] == digests[CHALLENGER] != old
    line = json.loads((root / "retrain" / "synthetic" / "history.jsonl").read_text())
    assert (line["kind"], line["promoted"]) == ("hand", True)
    page = (Path(line["run"]) / "decision.html").read_text()
    assert "Promoted" in page
    tags = tags_of(str(root), "synthetic", CHAMPION)
    assert (tags["decision"], tags["version"]) == ("promoted", "2")

    run(root, *BACK_AGAIN)
    assert "Rolled back to version 1" in capsys.readouterr().out
    assert tags_of(str(root), "synthetic", CHAMPION)["version"] == "1"
    run(root, *BACK_AGAIN)
    assert "No retraining" in capsys.readouterr().out
