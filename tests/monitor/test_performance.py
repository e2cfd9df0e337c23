"""Performance from counts is performance from rows."""

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from churn.monitor.performance import Outcomes, expected_performance, measure_performance, measure_treatment
from churn.monitor.window import Window, assess_window

from .conftest import OWN, customers, probability


@pytest.fixture(scope="module")
def predicted():
    random = np.random.default_rng(0)
    chance = random.beta(1, 3, 4_000)
    return chance, (random.random(4_000) < chance).astype(int)


def test_counts_on_the_grid_give_the_metrics_of_the_rows(predicted):
    chance, churned = predicted
    first, second = Outcomes(), Outcomes()
    first.add(chance[:1_000], churned[:1_000])
    second.add(chance[1_000:], np.where(np.arange(3_000) < 2_900, churned[1_000:], -1))
    found = measure_performance(first + second, {})
    known = np.arange(4_000) < 3_900
    assert found["rows"] == 3_900
    assert found["roc_auc"]["value"] == pytest.approx(roc_auc_score(churned[known], chance[known]), abs=1e-4)
    assert found["log_loss"]["value"] == pytest.approx(log_loss(churned[known], chance[known]), abs=1e-4)
    assert found["roc_auc"]["low"] < found["roc_auc"]["value"] < found["roc_auc"]["high"]


def test_calibrated_probabilities_foretell_their_own_performance(predicted):
    chance, churned = predicted
    outcomes = Outcomes()
    outcomes.add(chance, churned)
    found = expected_performance(outcomes.counts.sum(axis=(0, 1)))
    assert found["roc_auc"] == pytest.approx(roc_auc_score(churned, chance), abs=0.015)
    assert found["log_loss"] == pytest.approx(log_loss(churned, chance), abs=0.015)
    assert found["churn_rate"] == pytest.approx(chance.mean(), abs=1e-3)


def test_those_held_out_as_control_stand_for_the_treated(predicted):
    chance, churned = predicted
    random = np.random.default_rng(1)
    treated = np.where(chance > 0.3, (random.random(4_000) < 0.8).astype(int), -1)
    kept = churned * ~((treated == 1) & (random.random(4_000) < 0.7))
    outcomes = Outcomes()
    outcomes.add(chance, kept, treated)
    found = measure_performance(outcomes, {})
    assert found["roc_auc"]["low"] < roc_auc_score(churned, chance) < found["roc_auc"]["high"]
    assert found["calibration_slope"]["low"] < 1 < found["calibration_slope"]["high"]
    effect = measure_treatment(outcomes)["effect"]
    group = treated >= 0
    true = churned[group & (treated == 1)].mean() * -0.7
    assert effect["low"] < true < effect["high"]


def test_too_few_outcomes_say_nothing():
    few = Outcomes()
    few.add(np.full(99, 0.2), np.arange(99) % 2)
    assert measure_performance(few, OWN) is None
    assert measure_treatment(few) is None


def test_a_report_needs_no_file(watched):
    frame = customers(1_000, 3)
    chance = probability(frame)
    window = Window.of(watched.profile)
    for rows in (slice(0, 400), slice(400, 1_000)):
        part = frame[rows]
        left = np.random.default_rng(rows.start).random(len(part)) < chance[rows]
        window.add({name: part[name].to_numpy() for name in part}, chance[rows], left.astype(int))
    report = assess_window(window, OWN)
    assert report["status"] == "ok"
    assert report["performance"]["rows"] == report["rows"] == 1_000
