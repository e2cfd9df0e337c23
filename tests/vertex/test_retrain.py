"""`churn retrain target=vertex` through the real SDK: canary, all of the traffic, rollback."""

import numpy as np
import pytest

from churn.bundle.bundle import Bundle
from churn.bundle.registry import CHAMPION, register_run, version_tags
from churn.retrain import steps
from churn.retrain.stage import retrain
from churn.vertex.deploy import deploy
from churn.vertex.rollback import rollback

from .conftest import make_run
from .test_deploy import traffic

FIRST, SECOND = 2, 0  # of `bundles`: far too cautious, and unchanged
PROMOTED_AT, LATER, MUCH_LATER = "2027-01-15", "2027-03-01", "2027-06-01"


@pytest.fixture
def retrain_at(settings, bundles, tmp_path, customers, monkeypatch):
    """A function that runs `churn retrain` at a time, on customers of a day whose labels a bundle gives."""
    runs = {number: make_run(tmp_path / f"run-{number}", bundles[number]) for number in (FIRST, SECOND)}
    register_run(runs[FIRST], str(tmp_path))
    deploy(settings(FIRST + 1))
    monkeypatch.setattr(steps, "train", lambda *_: runs[SECOND])  # instead of training

    def run(now, day, truth, *overrides, rows=2_400):
        table = label_customers(customers, bundles[truth], day, rows)
        table.to_csv(tmp_path / "labelled.csv", index=False)
        retrain(
            settings(
                1, "bundle=null", f"run.root={tmp_path}", "data.name=customers", "data.id=customer",
                f"data.path={tmp_path / 'labelled.csv'}", "data.time=seen", "target=vertex",
                "retrain.gate.bootstrap=100", f"retrain.now={now}", *overrides,
            )
        )  # fmt: skip
        return version_tags(str(tmp_path), "customers", CHAMPION)["version"]

    return run


def label_customers(customers, bundle, day, rows):
    """Customers of a day; their labels are drawn from a bundle's probabilities."""
    random = np.random.default_rng(0)
    frame = customers.frame.iloc[random.integers(0, len(customers), rows)].reset_index(drop=True)
    probability = Bundle.load(bundle).predict(frame)["churn_probability"]
    left = np.where(random.random(rows) < probability, "yes", "no")
    return frame.assign(left=left, seen=day, customer=[f"{day} {i}" for i in range(rows)])


@pytest.fixture
def promoted(retrain_at, cloud):
    """`retrain_at`, just after a challenger was promoted."""
    assert retrain_at(PROMOTED_AT, "2026-12-01", SECOND, "retrain.force=true") == "2"
    assert traffic(cloud) == {"1": 80, "2": 20}
    return retrain_at


def test_a_canary_gets_all_traffic_once_enough_rows_show_no_regression(promoted, cloud, capsys):
    assert promoted(LATER, "2027-01-20", SECOND, rows=400) == "2"
    assert traffic(cloud) == {"1": 80, "2": 20}, "too few rows to decide"
    assert promoted(LATER, "2027-01-20", SECOND) == "2"
    assert traffic(cloud) == {"1": 0, "2": 100}
    assert "No retraining" in capsys.readouterr().out
    assert not cloud.service.violations


def test_a_regression_withdraws_the_canary_once_and_for_all(promoted, cloud, capsys):
    for _ in range(2):
        assert promoted(LATER, "2027-01-20", FIRST) == "1"
        assert traffic(cloud) == {"1": 100, "2": 0}
    printed = capsys.readouterr().out
    assert printed.count("Rolled back to version 1") == 1
    assert not cloud.service.violations


def test_without_rows_a_canary_gets_all_traffic_after_its_probation_and_is_not_reviewed_again(
    promoted, cloud, settings
):
    promoted(MUCH_LATER, "2026-12-01", SECOND)
    assert traffic(cloud) == {"1": 0, "2": 100}
    rollback(settings(SECOND + 1))
    promoted(MUCH_LATER, "2026-12-01", SECOND)
    assert traffic(cloud) == {"1": 100, "2": 0}


def test_a_manual_rollback_is_not_undone_during_the_probation(promoted, cloud, settings):
    rollback(settings(SECOND + 1))
    assert promoted(LATER, "2027-01-20", SECOND) == "2"
    assert traffic(cloud) == {"1": 100, "2": 0}


def test_a_canary_that_could_not_be_deployed_is_deployed_the_next_time(retrain_at, cloud):
    cloud.service.disabled = {"aiplatform.googleapis.com"}
    with pytest.raises(Exception, match="aiplatform"):
        retrain_at(PROMOTED_AT, "2026-12-01", SECOND, "retrain.force=true")
    cloud.service.disabled = set()
    assert traffic(cloud) == {"1": 100}
    retrain_at(PROMOTED_AT, "2026-12-01", SECOND)
    assert traffic(cloud) == {"1": 80, "2": 20}
