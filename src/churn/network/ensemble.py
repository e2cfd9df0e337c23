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
from churn.network.crossfit import CrossfitPlan
from churn.network.log_odds import clip_logit, logit

EPSILON = 1e-5  # answers nearer to 0 or 1 do not count as noise
MAX_NOISE_SHARE = 0.5  # share of the variance of log-odds that can be taken for noise


@dataclass(frozen=True)
class LogitMean:
    """Probabilities [n, M] to probabilities [n]; a single member's stay as they are."""

    scale: float = 1.0  # factor of the mean log-odds' distance from `centre`
    centre: float = 0.0  # log-odds

    def __call__(self, members: np.ndarray) -> np.ndarray:
        """Of members' answers in memory."""
        if members.shape[1] == 1:
            return members[:, 0]
        mean = logit(members).mean(axis=1)
        return expit(self.centre + self.scale * (mean - self.centre))

    def tensor(self, members: Any) -> Any:
        """The same in a graph, from log-odds [n, M] to log-odds [n]."""
        if members.shape[1] == 1:
            return members[:, 0]
        mean = tensorflow().reduce_mean(clip_logit(members), axis=1)
        return self.scale * mean + (1 - self.scale) * self.centre


def fit_logit_mean(plan: CrossfitPlan, members: np.ndarray) -> LogitMean:
    """The pool for a cross-fit, by what its members [n, M] say of its rows."""
    if not plan.stopping_half.any():
        return LogitMean()
    rows, stops = plan.stopping_half, plan.stopping_mask()
    held_out = logit(plan.out_of_fold(members), EPSILON)
    other = logit(np.average(members[rows], axis=1, weights=stops[rows]), EPSILON)
    variance = held_out.var()
    noise = min(np.mean((held_out[rows] - other) ** 2) / 2, MAX_NOISE_SHARE * variance)
    of_all = variance - noise + noise / (plan.fold_of_row.max() + 1)
    return LogitMean(float(variance / of_all), float(held_out.mean())) if of_all else LogitMean()
