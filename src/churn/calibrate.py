"""Make probabilities mean what they say, on rows that the network has not seen."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit
from sklearn.metrics import log_loss
from sklearn.model_selection import KFold

from churn.odds import log_odds

PARTS = 10  # of the held-out rows: each is judged by the temperature of the others


def temperature(churned: np.ndarray, probability: np.ndarray, seed: int) -> float:
    """What to divide the logits by: the temperature with the least log loss, or 1 where it does not help.

    Above 1 the network was too sure of itself. [n] labels and probabilities of held-out rows; whether it
    helps is measured on rows that it was not chosen on. Source: Guo et al. 2017, On Calibration of Modern
    Neural Networks.
    """
    if len(churned) < PARTS:
        return 1.0
    mended = np.empty(len(churned))
    for rest, judged in KFold(PARTS, shuffle=True, random_state=seed).split(churned):
        mended[judged] = tempered(probability[judged], best(churned[rest], probability[rest]))
    before, after = (log_loss(churned, p, labels=[0, 1]) for p in (probability, mended))
    return best(churned, probability) if after < before else 1.0


def best(churned: np.ndarray, probability: np.ndarray) -> float:
    """The temperature with the least log loss on these very rows."""
    logits = log_odds(probability)

    def loss(log_temperature: float) -> float:
        return log_loss(churned, expit(logits / np.exp(log_temperature)), labels=[0, 1])

    return float(np.exp(minimize_scalar(loss, bounds=(-2, 2), method="bounded").x))


def tempered(probability: np.ndarray, temperature: float) -> np.ndarray:
    """[n] probabilities whose logits are divided by the temperature."""
    return expit(log_odds(probability) / temperature)
