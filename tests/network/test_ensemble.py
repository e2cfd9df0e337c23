"""The ensemble is as calibrated as one member, and the graph combines members as NumPy does."""

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from churn.backend import tensorflow
from churn.network import ensemble
from churn.network.crossfit import CrossfitPlan
from churn.network.ensemble import LogitMean

FOLDS = np.arange(5)


def members_with_noise(noise: float, rows: int = 40_000):
    """Five members with the same signal, each with its own noise; and labels."""
    random = np.random.default_rng(0)
    signal = random.normal(-1, 1.5, rows)
    members = expit(signal[:, None] + noise * random.normal(size=(rows, 5)))
    plan = CrossfitPlan(np.arange(rows) % 5, np.arange(rows) % 10 >= 5, FOLDS, (FOLDS + 1) % 5)
    churned = (random.random(rows) < expit(-1 + 0.8 * (signal + 1))).astype(int)
    return plan, members, churned


def slope(churned, probability):
    """The slope of the calibration line; 1 is right."""
    return LogisticRegression(C=1e6).fit(logit(probability)[:, None], churned).coef_[0, 0]


@pytest.mark.parametrize("noise", [0.0, 0.5, 1.0])
def test_the_ensemble_has_the_calibration_slope_of_one_member(noise):
    plan, members, churned = members_with_noise(noise)
    fitted = ensemble.fit_logit_mean(plan, members)
    expected = slope(churned, plan.out_of_fold(members))
    assert slope(churned, fitted(members)) == pytest.approx(expected, rel=0.05)
    if noise:
        assert slope(churned, LogitMean()(members)) > 1.05 * expected
    else:
        assert fitted.scale == pytest.approx(1)


def test_the_ensemble_keeps_the_mean_of_the_log_odds():
    plan, members, _ = members_with_noise(1.0)
    fitted = ensemble.fit_logit_mean(plan, members)
    assert logit(fitted(members)).mean() == pytest.approx(logit(members).mean(), abs=0.02)


def test_equal_members_and_a_plan_without_early_stopping_change_nothing():
    plan, members, _ = members_with_noise(0.0, rows=100)
    constant = np.full_like(members, 0.3)
    assert ensemble.fit_logit_mean(plan, constant)(constant) == pytest.approx(0.3)
    no_stopping = CrossfitPlan(plan.fold_of_row, np.zeros(100, bool), FOLDS, plan.stopping_fold)
    assert ensemble.fit_logit_mean(no_stopping, members) == LogitMean()


@pytest.mark.parametrize("members", [[[0.25, 0.5, 1e-9]], [[0.7]]])
def test_the_graph_combines_members_as_numpy_does(members):
    log_odds = tensorflow().constant(logit(members))
    for mean in (LogitMean(), LogitMean(1.3, -0.7)):
        in_graph = expit(mean.combine_logits(log_odds).numpy())
        assert in_graph == pytest.approx(mean(np.array(members)), abs=1e-6)
