"""Intervals hold the share of truths that they are calibrated for, and are wider for unusual customers."""

import numpy as np
import pytest
from scipy.special import expit, logit

from churn.backend import tensorflow
from churn.bundle.intervals import LEVEL, Interval, Refit, fit_intervals

ROWS = 3_000


def uncertainty():
    """Of customers, some of them unusual."""
    return np.random.default_rng(0).exponential(0.05, ROWS) + 0.01


def refit(seed, scale=1.0):
    """Errors whose standard deviation is the root of the uncertainty."""
    random = np.random.default_rng(seed)
    truth = random.normal(-1, 1.2, ROWS)
    return Refit(truth, truth + scale * np.sqrt(uncertainty()) * random.normal(size=ROWS))


def ends(interval, log_odds, uncertainty, unseen=None):
    tf = tensorflow()
    unseen = np.zeros(len(log_odds), np.int32) if unseen is None else unseen
    tensors = [tf.constant(values, tf.float32) for values in (log_odds, uncertainty)]
    return [end.numpy() for end in interval(*tensors, unseen)]


@pytest.fixture(scope="module")
def fitted():
    return fit_intervals(uncertainty(), [refit(seed) for seed in range(10)])


def test_new_refits_are_covered_as_often_as_those_of_the_calibration(fitted):
    inside = []
    for seed in range(100, 110):
        new = refit(seed)
        low, high = ends(fitted, new.predicted, uncertainty())
        inside.append(((low <= expit(new.truth)) & (expit(new.truth) <= high)).mean())
    assert np.mean(inside) == pytest.approx(LEVEL, abs=0.02)


def test_larger_errors_of_refits_make_wider_intervals(fitted):
    wide = fit_intervals(uncertainty(), [refit(seed, scale=2.0) for seed in range(10)])
    assert wide.factor.mean() == pytest.approx(2 * fitted.factor.mean(), rel=0.1)


def test_an_interval_is_wider_for_unusual_customers(fitted):
    low, high = ends(fitted, np.full(2, -1.0), np.array([0.02, 0.3]))
    width = high - low
    assert width[1] > 2 * width[0]


def test_an_unseen_field_widens_the_interval_by_once_its_width(fitted):
    low, high = ends(fitted, np.full(2, -1.0), np.full(2, 0.05), np.array([0, 1], np.int32))
    half = (logit(high) - logit(low)) / 2
    assert half[1] == pytest.approx(2 * half[0], rel=1e-3)


def test_the_factor_is_that_of_the_region_and_linear_between():
    interval = Interval(np.array([-1, 1], np.float32), np.array([1, 3], np.float32))
    factors = interval.factors(tensorflow().constant([-5.0, -1, 0, 1, 5])).numpy()
    assert factors.tolist() == [1, 1, 2, 3, 3]


def test_an_interval_always_holds_the_probability_itself(fitted):
    log_odds = np.array([-40, logit(1e-7), 0, logit(1 - 1e-7), 40])
    low, high = ends(fitted, log_odds, np.full(5, 0.05))
    in_graph = tensorflow().sigmoid(log_odds.astype(np.float32)).numpy()
    assert (low <= in_graph).all()
    assert (high >= in_graph).all()
    assert (low >= 0).all()
    assert (high <= 1).all()


def test_a_model_that_predicts_one_probability_has_one_factor():
    same = [Refit(np.linspace(-2, 0, 100), np.full(100, -1.0))]
    interval = fit_intervals(np.full(100, 0.1), same)
    assert len(interval.factor) == 1
    low, high = ends(interval, np.full(100, -1.0), np.full(100, 0.1))
    assert (low < high).all()
