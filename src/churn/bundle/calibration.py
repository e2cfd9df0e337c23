"""Make probabilities mean what they say, on rows that the network has not seen."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit
from sklearn.metrics import log_loss
from sklearn.model_selection import KFold

from churn.network.log_odds import logit

FOLDS = 10  # of the held-out rows: each is judged by the temperature of the others


def fit_temperature(churned: np.ndarray, probability: np.ndarray, seed: int) -> float:
    """What to divide the logits by: the temperature with the least log loss, or 1 where it does not help.

    Above 1 the network was too sure of itself. [n] labels and probabilities of held-out rows; whether it
    helps is measured on rows that it was not chosen on. Source: Guo et al. 2017, On Calibration of Modern
    Neural Networks.
    """
    if len(churned) < FOLDS:
        return 1.0
    mended = np.empty(len(churned))
    for rest, judged in KFold(FOLDS, shuffle=True, random_state=seed).split(churned):
        mended[judged] = apply_temperature(
            probability[judged], best_temperature(churned[rest], probability[rest])
        )
    before, after = (log_loss(churned, p, labels=[0, 1]) for p in (probability, mended))
    return best_temperature(churned, probability) if after < before else 1.0


def best_temperature(churned: np.ndarray, probability: np.ndarray) -> float:
    """The temperature with the least log loss on these very rows."""
    logits = logit(probability)

    def loss(log_temperature: float) -> float:
        return log_loss(churned, expit(logits / np.exp(log_temperature)), labels=[0, 1])

    return float(np.exp(minimize_scalar(loss, bounds=(-2, 2), method="bounded").x))


def apply_temperature(probability: np.ndarray, temperature: float) -> np.ndarray:
    """[n] probabilities whose logits are divided by the fit_temperature."""
    return expit(logit(probability) / temperature)
