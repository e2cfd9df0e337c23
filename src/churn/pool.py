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
from scipy.special import expit

from churn.backend import tensorflow
from churn.crossfit import Plan
from churn.odds import log_odds, within

EPSILON = 1e-5  # answers nearer to 0 or 1 do not count as noise
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
        mean = log_odds(members).mean(axis=1)
        return expit(self.centre + self.sharper * (mean - self.centre))

    def tensor(self, members: Any) -> Any:
        """The same in a graph, from log-odds [n, M] to log-odds [n]."""
        if members.shape[1] == 1:
            return members[:, 0]
        mean = tensorflow().reduce_mean(within(members), axis=1)
        return self.sharper * mean + (1 - self.sharper) * self.centre


def fit(plan: Plan, members: np.ndarray) -> Pool:
    """The pool for a cross-fit, by what its members [n, M] say of its rows."""
    if not plan.judging.any():
        return Pool()
    rows, judges = plan.judging, plan.judges()
    held_out = log_odds(plan.out_of_fold(members), EPSILON)
    judge = log_odds(np.average(members[rows], axis=1, weights=judges[rows]), EPSILON)
    variance = held_out.var()
    noise = min(np.mean((held_out[rows] - judge) ** 2) / 2, MOST_NOISE * variance)
    of_all = variance - noise + noise / (plan.fold_of_row.max() + 1)
    return Pool(float(variance / of_all), float(held_out.mean())) if of_all else Pool()
