"""Pooled members are as calibrated as one of them, and the graph pools as memory does."""

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
    """Five members that know the same, each with noise of its own; and labels."""
    random = np.random.default_rng(0)
    known = random.normal(-1, 1.5, rows)
    members = expit(known[:, None] + noise * random.normal(size=(rows, 5)))
    plan = CrossfitPlan(np.arange(rows) % 5, np.arange(rows) % 10 >= 5, FOLDS, (FOLDS + 1) % 5)
    churned = (random.random(rows) < expit(-1 + 0.8 * (known + 1))).astype(int)
    return plan, members, churned


def slope(churned, probability):
    """Of the calibration line: 1 where the distances of the log-odds are right."""
    return LogisticRegression(C=1e6).fit(logit(probability)[:, None], churned).coef_[0, 0]


@pytest.mark.parametrize("noise", [0.0, 0.5, 1.0])
def test_pooled_members_have_the_calibration_slope_of_one_member(noise):
    plan, members, churned = members_with_noise(noise)
    fitted = ensemble.fit_logit_mean(plan, members)
    of_one = slope(churned, plan.out_of_fold(members))
    assert slope(churned, fitted(members)) == pytest.approx(of_one, rel=0.05)
    if noise:
        assert slope(churned, LogitMean()(members)) > 1.05 * of_one
    else:
        assert fitted.scale == pytest.approx(1)


def test_pooling_keeps_the_mean_of_the_log_odds():
    plan, members, _ = members_with_noise(1.0)
    fitted = ensemble.fit_logit_mean(plan, members)
    assert logit(fitted(members)).mean() == pytest.approx(logit(members).mean(), abs=0.02)


def test_members_that_agree_on_everything_and_rows_that_judge_nobody_change_nothing():
    plan, members, _ = members_with_noise(0.0, rows=100)
    constant = np.full_like(members, 0.3)
    assert ensemble.fit_logit_mean(plan, constant)(constant) == pytest.approx(0.3)
    nobody = CrossfitPlan(plan.fold_of_row, np.zeros(100, bool), FOLDS, plan.stopping_fold)
    assert ensemble.fit_logit_mean(nobody, members) == LogitMean()


@pytest.mark.parametrize("members", [[[0.25, 0.5, 1e-9]], [[0.7]]])
def test_the_graph_pools_as_memory_does(members):
    log_odds = tensorflow().constant(logit(members))
    for pooled in (LogitMean(), LogitMean(1.3, -0.7)):
        in_graph = expit(pooled.tensor(log_odds).numpy())
        assert in_graph == pytest.approx(pooled(np.array(members)), abs=1e-6)
