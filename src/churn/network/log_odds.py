"""Log-odds of probabilities, in memory and in a graph."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from churn.backend import tensorflow

EPSILON = 1e-7  # probabilities are kept this far from 0 and 1, as Keras does


def logit(probability: np.ndarray, epsilon: float = EPSILON) -> np.ndarray:
    """Finite log-odds of probabilities, which are first kept `epsilon` away from 0 and 1."""
    return special.logit(np.clip(probability, epsilon, 1 - epsilon))


def clip_logit(log_odds: Any, epsilon: float = EPSILON) -> Any:
    """A tensor of log-odds, limited to the range of `logit`."""
    largest = float(special.logit(1 - epsilon))
    return tensorflow().clip_by_value(log_odds, -largest, largest)
