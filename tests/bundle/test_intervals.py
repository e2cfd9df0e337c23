"""Intervals hold the share of truths that they are calibrated for, and are wider for unusual customers."""

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from churn.backend import tensorflow
from churn.bundle.intervals import REFIT_QUANTILES, Interval, Refit, fit_intervals, leverage_root


def customers(rows=3_000, seed=0):
    """Inputs of customers: two that all have, and one that few have."""
    random = np.random.default_rng(seed)
    rare = (random.random(rows) < 0.01).astype(float)
    return np.column_stack([random.normal(size=(rows, 2)), (rare - 0.01) / 0.1]).astype(np.float32)


def refit(seed):
    """A logistic regression, fitted on labels that another one gives."""
    x, random = customers(), np.random.default_rng(seed)
    truth = expit(x @ random.normal(0, 0.5, 3) - 1)
    labels = (random.random(len(x)) < truth).astype(int)
    model = LogisticRegression(C=1.0).fit(x, labels)
    return Refit(truth, model.predict_proba(x)[:, 1])


def ends(interval, inputs, probability, unseen=None):
    tf = tensorflow()
    unseen = np.zeros(len(inputs), np.int32) if unseen is None else unseen
    log_odds = tf.constant(logit(probability), tf.float32)
    return [end.numpy() for end in interval(tf.constant(inputs), log_odds, unseen)]


@pytest.fixture(scope="module")
def fitted():
    return fit_intervals(customers(), np.full(3_000, 0.25), [refit(seed) for seed in range(30)])


def test_the_unit_is_the_standard_error_of_a_logistic_regression():
    x, truth = customers(), expit(customers() @ np.array([0.5, -0.5, 0.3]) - 1)
    root, random = leverage_root(x, truth), np.random.default_rng(0)
    unit = np.linalg.norm(x @ root[:-1] + root[-1], axis=1)
    refits = [
        LogisticRegression(C=1.0).fit(x, random.random(len(x)) < truth).decision_function(x)
        for _ in range(60)
    ]
    assert np.std(refits, axis=0).mean() == pytest.approx(unit.mean(), rel=0.15)
    assert np.corrcoef(np.std(refits, axis=0), unit)[0, 1] > 0.9


def test_new_refits_are_covered_as_often_as_those_of_the_calibration(fitted):
    inside = []
    for seed in range(100, 120):
        new = refit(seed)
        low, high = ends(fitted, customers(), new.predicted)
        inside.append(((low <= new.truth) & (new.truth <= high)).mean())
    assert np.mean(inside) == pytest.approx(np.mean(REFIT_QUANTILES), abs=0.03)


def test_an_interval_is_wider_for_unusual_customers(fitted):
    low, high = ends(fitted, np.array([[0, 0, -0.1], [0, 0, 9.9], [5, 5, -0.1]], np.float32), np.full(3, 0.3))
    width = high - low
    assert width[1] > 2 * width[0]
    assert width[2] > 2 * width[0]


def test_an_unseen_field_widens_the_interval_by_once_its_width(fitted):
    x, p = np.zeros((2, 3), np.float32), np.full(2, 0.3)
    low, high = ends(fitted, x, p, np.array([0, 1], np.int32))
    half = (logit(high) - logit(low)) / 2
    assert half[1] == pytest.approx(2 * half[0], rel=1e-3)


def test_the_factor_is_that_of_the_region_and_linear_between():
    interval = Interval(
        np.eye(2, dtype=np.float32), np.array([-1, 1], np.float32), np.array([1, 3], np.float32)
    )
    factors = interval.factors(tensorflow().constant([-5.0, -1, 0, 1, 5])).numpy()
    assert factors.tolist() == [1, 1, 2, 3, 3]


def test_an_interval_always_holds_the_probability_itself(fitted):
    p = np.array([0, 1e-7, 0.5, 1 - 1e-7, 1])
    low, high = ends(fitted, np.zeros((5, 3), np.float32), p)
    in_graph = tensorflow().sigmoid(logit(p).astype(np.float32)).numpy()
    assert (low <= in_graph).all()
    assert (high >= in_graph).all()
    assert (low >= 0).all()
    assert (high <= 1).all()


def test_a_network_that_predicts_one_probability_has_one_factor():
    same = [Refit(expit(np.linspace(-2, 0, 100)), np.full(100, 0.25))]
    interval = fit_intervals(customers(100), np.full(100, 0.25), same)
    assert len(interval.factor) == 1
    low, high = ends(interval, customers(100), np.full(100, 0.25))
    assert (low < high).all()
