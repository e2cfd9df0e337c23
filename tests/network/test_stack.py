"""Weights of trees and network: at least 0, and honest for the rows whose predictions they make."""

import numpy as np
import pytest
from scipy.special import expit

from churn.network.crossfit import CrossfitPlan
from churn.network.stack import NETWORK_ALONE, fit_stack, stack_out_of_fold


def predictions(rows=4_000):
    """Two noisy log-odds of the same truth, a useless one, and labels."""
    random = np.random.default_rng(0)
    truth = random.normal(-1, 1.5, rows)
    noisy = [truth + noise * random.normal(size=rows) for noise in (0.5, 1.0)]
    churned = (random.random(rows) < expit(truth)).astype(int)
    return *noisy, random.normal(size=rows), churned


def log_loss(log_odds, churned):
    return np.mean(np.logaddexp(0, log_odds) - churned * log_odds)


def test_the_stack_is_better_than_each_part_and_trusts_the_better_one_more():
    good, fair, useless, churned = predictions()
    stack = fit_stack([good, useless], fair, churned)
    assert stack.trees[0] > stack.network > 0.1
    assert stack.trees[1] == pytest.approx(0, abs=0.05)
    assert log_loss(stack([good, useless], fair), churned) < min(
        log_loss(part, churned) for part in (good, fair)
    )


def test_no_weight_is_below_zero():
    good, fair, _, churned = predictions()
    assert fit_stack([good], -fair, churned).network == 0


def test_few_rows_leave_the_weights_about_equal():
    stack = fit_stack([np.zeros(4)], np.zeros(4), np.array([0, 1, 0, 1]))
    assert (*stack.trees, stack.network) == pytest.approx((0.5, 0.5))


def test_without_trees_the_network_s_log_odds_are_left_as_they_are():
    network = np.array([-2.0, 0.3])
    assert np.array_equal(NETWORK_ALONE([], network), network)


def test_an_honest_prediction_does_not_depend_on_the_labels_of_its_half():
    good, fair, _, churned = predictions(400)
    plan = CrossfitPlan(np.arange(400) % 5, np.arange(400) % 10 // 5, np.arange(5))
    by_half = np.stack([good, good + 0.1])
    half = (plan.fold_of_row == 2) & (plan.half_of_row == 1)
    flipped = np.where(half, 1 - churned, churned)
    before, after = (stack_out_of_fold([by_half], fair, labels, plan) for labels in (churned, flipped))
    assert np.array_equal(before[half], after[half])
    assert not np.isclose(before, after)[(plan.fold_of_row == 2) & ~half].any()


def test_the_number_of_trees_that_a_half_s_own_labels_chose_is_not_in_its_predictions():
    good, fair, _, churned = predictions(400)
    plan = CrossfitPlan(np.arange(400) % 5, np.arange(400) % 10 // 5, np.arange(5))
    first = plan.half_of_row == 0
    own, other = (
        stack_out_of_fold([np.stack([by_own, good])], fair, churned, plan) for by_own in (good, fair)
    )
    assert np.array_equal(own[first], other[first])
    assert not np.isclose(own[~first], other[~first]).any()
