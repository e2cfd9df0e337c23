"""Make probabilities mean what they say, on rows that the network has not seen."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit
from sklearn.metrics import log_loss


def temperature(churned: np.ndarray, probability: np.ndarray) -> float:
    """The number that logits are divided by to have the least log loss on the calibration part.

    Above 1 the network was too sure of itself; 1 where there are no calibration rows. [n] labels and
    probabilities. Source: Guo et al. 2017, On Calibration of Modern Neural Networks.
    """
    if len(churned) == 0:
        return 1.0
    logits = logit(np.clip(probability, 1e-7, 1 - 1e-7))

    def loss(log_temperature: float) -> float:
        return log_loss(churned, expit(logits / np.exp(log_temperature)), labels=[0, 1])

    return float(np.exp(minimize_scalar(loss, bounds=(-2, 2), method="bounded").x))


def tempered(probability: np.ndarray, temperature: float) -> np.ndarray:
    """[n] probabilities whose logits are divided by the temperature."""
    return expit(logit(np.clip(probability, 1e-7, 1 - 1e-7)) / temperature)
