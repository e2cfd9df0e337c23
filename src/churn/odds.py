"""Log-odds of probabilities, in memory and in a graph."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import logit

from churn.backend import tensorflow

EPSILON = 1e-7  # probabilities are kept this far from 0 and 1, as Keras does


def log_odds(probability: np.ndarray, epsilon: float = EPSILON) -> np.ndarray:
    """Finite log-odds."""
    return logit(np.clip(probability, epsilon, 1 - epsilon))


def log_odds_in_graph(probability: Any, epsilon: float = EPSILON) -> Any:
    """The same of a tensor."""
    tf = tensorflow()
    p = tf.clip_by_value(probability, epsilon, 1 - epsilon)
    return tf.math.log(p) - tf.math.log1p(-p)
