"""Counts give the same performance as rows."""

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
    measured = measure_performance(first + second, {})
    known = np.arange(4_000) < 3_900
    auc, loss = roc_auc_score(churned[known], chance[known]), log_loss(churned[known], chance[known])
    assert measured["rows"] == 3_900
    assert measured["roc_auc"]["value"] == pytest.approx(auc, abs=1e-4)
    assert measured["log_loss"]["value"] == pytest.approx(loss, abs=1e-4)
    assert measured["roc_auc"]["low"] < measured["roc_auc"]["value"] < measured["roc_auc"]["high"]


def test_calibrated_probabilities_predict_their_own_performance(predicted):
    chance, churned = predicted
    outcomes = Outcomes()
    outcomes.add(chance, churned)
    expected = expected_performance(outcomes.counts.sum(axis=(0, 1)))
    assert expected["roc_auc"] == pytest.approx(roc_auc_score(churned, chance), abs=0.015)
    assert expected["log_loss"] == pytest.approx(log_loss(churned, chance), abs=0.015)
    assert expected["churn_rate"] == pytest.approx(chance.mean(), abs=1e-3)
    equal = Outcomes()
    equal.add(np.full(500, 0.3), np.arange(500) % 2)
    assert expected_performance(equal.counts.sum(axis=(0, 1)))["roc_auc"] == pytest.approx(0.5)


def test_control_customers_represent_the_called_ones(predicted):
    chance, churned = predicted
    random = np.random.default_rng(1)
    treated = np.where(chance > 0.3, (random.random(4_000) < 0.8).astype(int), -1)
    after_calls = churned * ~((treated == 1) & (random.random(4_000) < 0.7))
    outcomes = Outcomes()
    outcomes.add(chance, after_calls, treated)
    measured = measure_performance(outcomes, {})
    assert measured["roc_auc"]["low"] < roc_auc_score(churned, chance) < measured["roc_auc"]["high"]
    assert measured["calibration_slope"]["low"] < 1 < measured["calibration_slope"]["high"]
    effect = measure_treatment(outcomes)["effect"]
    true_effect = -0.7 * churned[treated == 1].mean()
    assert effect["low"] < true_effect < effect["high"]


def test_a_control_customer_counts_for_itself_and_for_the_called():
    outcomes, chance = Outcomes(), np.repeat([0.1, 0.5], [100, 200])
    outcomes.add(chance, np.arange(300) % 2, np.repeat([-1, 0, 1], 100))
    expected = measure_performance(outcomes, {})["expected"]["churn_rate"]
    assert expected == pytest.approx((100 * 0.1 + 200 * 0.5) / 300, abs=0.005)


def test_the_interval_of_the_effect_is_newcombe_s():
    """The example of Newcombe 1998, table II (a): 56 of 70, and 48 of 80."""
    outcomes = Outcomes()
    outcomes.add(np.full(150, 0.5), np.repeat([1, 0, 1, 0], [56, 14, 48, 32]), np.repeat([1, 0], [70, 80]))
    effect = measure_treatment(outcomes)["effect"]
    assert list(effect.values()) == pytest.approx([0.2, 0.0524, 0.3339], abs=1e-4)


@pytest.mark.parametrize(
    ("control", "called", "compared"), [(0, 600, False), (10, 600, False), (30, 600, True), (0, 20, True)]
)
def test_without_enough_control_customers_for_the_called_there_is_no_comparison_and_no_alarm(
    predicted, control, called, compared
):
    """The called are the highest risks: a ROC AUC without them is lower, whatever the call does."""
    chance, churned = predicted
    treated, whole, outcomes = np.full(4_000, -1), Outcomes(), Outcomes()
    highest = np.random.default_rng(2).permutation(np.argsort(-chance)[: control + called])
    treated[highest] = np.where(np.arange(control + called) < control, 0, 1)
    whole.add(chance, churned)
    own = measure_performance(whole, {})
    outcomes.add(chance, churned, treated)
    measured = measure_performance(outcomes, own)
    assert not measured["worse"]
    assert (measured["comparable"], bool(measured["change"])) == (compared, compared)
    assert measured["roc_auc"]["value"] is not None


def test_too_few_outcomes_give_no_result():
    few = Outcomes()
    few.add(np.full(99, 0.2), np.arange(99) % 2)
    assert measure_performance(few, OWN) is None
    assert measure_treatment(few) is None
    known = {}
    for left in (9, 10, 190, 191):
        outcomes = Outcomes()
        outcomes.add(np.linspace(0.1, 0.9, 200), np.arange(200) < left)
        known[left] = measure_performance(outcomes, {}) is not None
    assert known == {9: False, 10: True, 190: True, 191: False}, "leavers, or stayers"


def test_a_window_can_be_assessed_without_any_file(watched):
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
