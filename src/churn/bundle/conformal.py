"""What can be said of a customer at a chosen level: stays, leaves, ambiguous, or unusual.

Class-conditional conformal sets (Vovk, Gammerman and Shafer 2005; Löfström et al. 2015): "leaves" is in a
customer's set unless the probability is lower than that of nearly all held-out churners, "stays" unless it is
higher than that of nearly all held-out stayers. A set of both is ambiguous, an empty one unusual.

The held-out probabilities are those of fewer members than a new customer's. They are not exchangeable with
it, so that the textbook's guarantee does not hold: what is claimed is the coverage measured on the test part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from churn.backend import tensorflow

CERTAINTIES = ("stays", "leaves", "ambiguous", "unusual")


@dataclass(frozen=True)
class PredictionSets:
    """Two constants of the graph."""

    level: float  # share of those who leave, and of those who stay, whose set shall say so
    churn_from: float  # the least probability at which "leaves" is in the set
    stay_to: float  # the greatest at which "stays" is

    def __call__(self, probability: Any) -> Any:
        """[n] int32, places in `ANSWERS`."""
        tf = tensorflow()
        leaves, stays = probability >= self.churn_from, probability <= self.stay_to
        stays_only, leaves_only, both, neither = range(len(CERTAINTIES))
        return tf.where(leaves, tf.where(stays, both, leaves_only), tf.where(stays, stays_only, neither))


def as_text(places: Any) -> Any:
    """[n] strings, of what a `Certainty` gives."""
    tf = tensorflow()
    return tf.gather(tf.constant(CERTAINTIES), places)


def fit_prediction_sets(churned: np.ndarray, probability: np.ndarray, level: float) -> PredictionSets:
    """The constants by [n] labels and probabilities of held-out rows, some of either kind."""
    left, stayed = np.sort(probability[churned == 1]), np.sort(probability[churned == 0])
    outside = [int((1 - level) * (len(group) + 1)) for group in (left, stayed)]  # may be wrong in each group
    lowest = left[outside[0] - 1] if outside[0] else 0.0
    highest = stayed[-outside[1]] if outside[1] else 1.0
    return PredictionSets(level, float(lowest), float(highest))
