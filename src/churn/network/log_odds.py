"""Log-odds of probabilities, in memory and in a graph."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from churn.backend import tensorflow

EPSILON = 1e-7  # probabilities are kept this far from 0 and 1, as Keras does


def logit(probability: np.ndarray, epsilon: float = EPSILON) -> np.ndarray:
    """Finite log-odds."""
    return special.logit(np.clip(probability, epsilon, 1 - epsilon))


def clip_logit(log_odds: Any, epsilon: float = EPSILON) -> Any:
    """A tensor of log-odds, kept as far from those of 0 and 1 as `log_odds` keeps them."""
    most = float(special.logit(1 - epsilon))
    return tensorflow().clip_by_value(log_odds, -most, most)
