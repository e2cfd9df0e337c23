"""Conformal prediction sets: a customer stays, leaves, is ambiguous, or is unusual, at a chosen level.

The sets are class-conditional (Vovk, Gammerman and Shafer 2005; Löfström et al. 2015): "leaves" is in a
customer's set unless the probability is lower than that of nearly all held-out churners, "stays" unless it is
higher than that of nearly all held-out stayers. A set of both is ambiguous, an empty set is unusual.

A held-out probability comes from fewer members than a new customer's. The two are not exchangeable, so that
the textbook's guarantee does not hold: the report shows the coverage measured on the test part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from churn.backend import tensorflow

CERTAINTIES = ("stays", "leaves", "ambiguous", "unusual")


@dataclass(frozen=True)
class PredictionSets:
    """Two constants of the graph: the limits of the sets.

    >>> sets = fit_prediction_sets(churned, probability, level=0.9)
    >>> as_text(sets(tf.constant([0.1, 0.9])))  # b"stays", b"leaves"
    """

    level: float  # share of the churners, and of the stayers, whose sets are to hold the truth
    churn_from: float  # the least probability at which "leaves" is in the set
    stay_to: float  # the greatest probability at which "stays" is in the set

    def __call__(self, probability: Any, unseen: Any = 0) -> Any:
        """[n] int32 positions in `CERTAINTIES`, from probabilities [n].

        A customer of whom `unseen` [n] fields are unlike any in training is ambiguous: no held-out customer
        tells how far such a probability can be trusted.
        """
        tf = tensorflow()
        unlike = tf.broadcast_to(tf.greater(unseen, 0), tf.shape(probability))
        leaves, stays = (probability >= self.churn_from) | unlike, (probability <= self.stay_to) | unlike
        stays_only, leaves_only, both, neither = range(len(CERTAINTIES))
        return tf.where(leaves, tf.where(stays, both, leaves_only), tf.where(stays, stays_only, neither))


def as_text(positions: Any) -> Any:
    """[n] strings, from positions in `CERTAINTIES`."""
    tf = tensorflow()
    return tf.gather(tf.constant(CERTAINTIES), positions)


def fit_prediction_sets(churned: np.ndarray, probability: np.ndarray, level: float) -> PredictionSets:
    """The sets, from [n] labels and probabilities of held-out rows with churners and stayers among them."""
    left, stayed = np.sort(probability[churned == 1]), np.sort(probability[churned == 0])
    # so many of each may have a set without the truth; (1 - 0.9) * 10 is a little less than 1
    wrong_left, wrong_stayed = (int((1 - level) * (len(group) + 1) + 1e-9) for group in (left, stayed))
    churn_from = left[wrong_left - 1] if wrong_left else 0.0
    stay_to = stayed[-wrong_stayed] if wrong_stayed else 1.0
    return PredictionSets(level, float(churn_from), float(stay_to))
