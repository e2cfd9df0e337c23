"""A temperature is used if it lowers the log loss of rows that it was not chosen on."""

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.metrics import log_loss

from churn.bundle.calibration import apply_temperature, best_temperature, fit_temperature


def sample(rows, factor):
    """Labels, and probabilities whose logits are `factor` times the true ones."""
    random = np.random.default_rng(0)
    logits = random.normal(-1, 1.5, rows)
    return random.random(rows) < expit(logits), expit(factor * logits)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_the_temperature_undoes_a_scaling_of_the_logits(factor):
    churned, probability = sample(20_000, factor)
    assert fit_temperature(churned, probability, seed=1) == pytest.approx(factor, rel=0.05)


def test_probabilities_that_scaling_cannot_improve_keep_temperature_one():
    churned = np.zeros(60, int)
    churned[:6] = 1
    assert fit_temperature(churned, np.full(60, 0.1), seed=1) == 1.0
    assert fit_temperature(np.zeros(0), np.zeros(0), seed=1) == 1.0


def test_a_temperature_that_helps_only_the_rows_it_was_chosen_on_is_not_used():
    churned, probability = sample(40, 1.1)
    chosen = best_temperature(churned, probability)
    assert log_loss(churned, apply_temperature(probability, chosen)) < log_loss(churned, probability)
    assert fit_temperature(churned, probability, seed=1) == 1.0


def test_a_temperature_divides_the_logits():
    assert logit(apply_temperature(np.array([0.2, 0.9]), 2.0)) == pytest.approx(logit([0.2, 0.9]) / 2)
