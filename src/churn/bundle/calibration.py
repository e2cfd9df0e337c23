"""Temperature scaling: calibrate probabilities on held-out rows."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit
from sklearn.metrics import log_loss
from sklearn.model_selection import KFold

from churn.network.log_odds import logit

FOLDS = 10  # of the held-out rows: each fold is scaled with the temperature of the others


def fit_temperature(churned: np.ndarray, probability: np.ndarray, seed: int) -> float:
    """The divisor of the logits with the least log loss, or 1 where scaling does not help.

    Above 1 the network was too confident. [n] labels and probabilities of held-out rows; whether it helps is
    measured by cross-validation. Source: Guo et al. 2017, On Calibration of Modern Neural Networks.

    >>> temperature = fit_temperature(churned, probability, seed=42)
    >>> apply_temperature(probability, temperature)
    """
    if len(churned) < FOLDS:
        return 1.0
    scaled = np.empty(len(churned))
    for fit, rows in KFold(FOLDS, shuffle=True, random_state=seed).split(churned):
        scaled[rows] = apply_temperature(probability[rows], best_temperature(churned[fit], probability[fit]))
    before, after = (log_loss(churned, p, labels=[0, 1]) for p in (probability, scaled))
    return best_temperature(churned, probability) if after < before else 1.0


def best_temperature(churned: np.ndarray, probability: np.ndarray) -> float:
    """The temperature with the least log loss on these rows."""
    logits = logit(probability)

    def loss(log_temperature: float) -> float:
        return log_loss(churned, expit(logits / np.exp(log_temperature)), labels=[0, 1])

    return float(np.exp(minimize_scalar(loss, bounds=(-2, 2), method="bounded").x))


def apply_temperature(probability: np.ndarray, temperature: float) -> np.ndarray:
    """[n] probabilities whose logits are divided by the temperature."""
    return expit(logit(probability) / temperature)
