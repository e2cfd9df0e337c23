"""One answer of several members: the mean of their log-odds, further apart than each member's would be.

What a row's held-out member says is what can be learnt and noise of its own, and it is calibrated with that
noise: log-odds that are partly noise have to be believed less (attenuation; Fuller 1987). In the mean of all
members most of the noise is gone, so that it is too cautious (Rahaman and Thiery 2021, Uncertainty
Quantification and Deep Ensembles). How large the noise is shows where two members answer for a row that
neither has learnt from; no label is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, logit

from churn.backend import tensorflow
from churn.crossfit import Plan
from churn.intervals import log_odds

EPSILON = 1e-7  # probabilities are kept this far from 0 and 1
MOST_NOISE = 0.5  # share of the variance of log-odds that can be taken for noise


@dataclass(frozen=True)
class Pool:
    """Probabilities [n, M] to probabilities [n]; a single member's stay as they are."""

    sharper: float = 1.0  # factor of the mean log-odds' distance from `centre`
    centre: float = 0.0  # log-odds

    def __call__(self, members: np.ndarray) -> np.ndarray:
        """Of members' answers in memory."""
        if members.shape[1] == 1:
            return members[:, 0]
        mean = logit(np.clip(members, EPSILON, 1 - EPSILON)).mean(axis=1)
        return expit(self.centre + self.sharper * (mean - self.centre))

    def tensor(self, members: Any) -> Any:
        """The same in a graph."""
        tf = tensorflow()
        if members.shape[1] == 1:
            return members[:, 0]
        p = tf.clip_by_value(members, EPSILON, 1 - EPSILON)
        mean = tf.reduce_mean(tf.math.log(p) - tf.math.log1p(-p), axis=1)
        return tf.sigmoid(self.centre + self.sharper * (mean - self.centre))


def fit(plan: Plan, members: np.ndarray) -> Pool:
    """The pool for a cross-fit, by what its members [n, M] say of its rows."""
    if not plan.judging.any():
        return Pool()
    held_out = log_odds(plan.out_of_fold(members))
    judge = log_odds(np.average(members[plan.judging], axis=1, weights=plan.judges()[plan.judging]))
    variance = held_out.var()
    noise = min(np.mean((held_out[plan.judging] - judge) ** 2) / 2, MOST_NOISE * variance)
    of_all = variance - noise + noise / (plan.fold_of_row.max() + 1)
    return Pool(float(variance / of_all), float(held_out.mean())) if of_all else Pool()
