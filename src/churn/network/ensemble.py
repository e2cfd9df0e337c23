"""The prediction of an ensemble: the mean of its members' log-odds, moved away from the centre.

An out-of-fold prediction is signal plus its member's noise, and is calibrated for that noise: log-odds that
are partly noise have to be believed less (attenuation; Fuller 1987). The mean of all members has less noise,
so it would be too cautious (Rahaman and Thiery 2021, Uncertainty Quantification and Deep Ensembles). The size
of the noise follows from rows that two members predict without having seen them; no label is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from churn.backend import tensorflow
from churn.network.crossfit import CrossfitPlan
from churn.network.log_odds import clip_logit, logit

EPSILON = 1e-5  # differences of probabilities nearer to 0 or 1 do not count as noise
MAX_NOISE_SHARE = 0.5  # share of the variance of log-odds that counts as noise, at most


@dataclass(frozen=True)
class LogitMean:
    """Probabilities [n, M] of members to probabilities [n]; a single member's are left as they are."""

    scale: float = 1.0  # factor of the mean log-odds' distance from `centre`
    centre: float = 0.0  # log-odds

    def __call__(self, members: np.ndarray) -> np.ndarray:
        """[n] probabilities of members' probabilities [n, M] in memory."""
        if members.shape[1] == 1:
            return members[:, 0]
        mean = logit(members).mean(axis=1)
        return expit(self.centre + self.scale * (mean - self.centre))

    def combine_logits(self, members: Any) -> Any:
        """[n] log-odds of members' log-odds [n, M] in a graph."""
        if members.shape[1] == 1:
            return members[:, 0]
        mean = tensorflow().reduce_mean(clip_logit(members), axis=1)
        return self.scale * mean + (1 - self.scale) * self.centre


def fit_logit_mean(plan: CrossfitPlan, members: np.ndarray) -> LogitMean:
    """The `LogitMean` of cross-fitted members, from their probabilities [n, M] for the rows of the plan."""
    if not plan.stopping_half.any():
        return LogitMean()
    rows, stops = plan.stopping_half, plan.stopping_mask()
    held_out = logit(plan.out_of_fold(members), EPSILON)
    second = logit(np.average(members[rows], axis=1, weights=stops[rows]), EPSILON)
    variance = held_out.var()
    noise = min(np.mean((held_out[rows] - second) ** 2) / 2, MAX_NOISE_SHARE * variance)
    variance_of_mean = variance - noise + noise / (plan.fold_of_row.max() + 1)
    if not variance_of_mean:
        return LogitMean()
    return LogitMean(float(variance / variance_of_mean), float(held_out.mean()))
