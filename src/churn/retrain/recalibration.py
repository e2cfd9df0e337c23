"""Recalibration by open outcome windows: long before it is known who stayed, it is known who left.

Of the customers who will leave within the horizon, the share F(a) has left at the age a of the prediction. So
a customer with the probability p has left by then with the probability p F(a). The shift of all log-odds that
makes what was seen most likely is an update of the intercept (Steyerberg et al. 2004, Statistics in Medicine
23, "validation and updating"). Only a rise is adopted: leavers who are reported late can hide a rise, but not
pretend one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit
from scipy.stats import chi2

from churn.config.loop import RetrainConfig
from churn.evaluate.metrics import EPSILON
from churn.network.log_odds import logit

LARGEST = 4.0  # shift of the log-odds
LEAST_LEFT = 20  # customers who left; fewer give no shift


@dataclass(frozen=True)
class OpenWindows:
    """Predictions [n] with what is known of them so far."""

    probability: np.ndarray  # [n] of leaving within the horizon
    left: np.ndarray  # [n] bool: has left already
    age: np.ndarray  # [n] of the prediction, in any unit
    leavers: np.ndarray  # [m] ages at which customers with closed windows left

    @cached_property
    def elapsed(self) -> np.ndarray:
        """[n] F(a): share of those who leave within the horizon that has left at this age."""
        return np.searchsorted(np.sort(self.leavers), self.age, side="right") / max(len(self.leavers), 1)

    def overdispersion(self) -> float:
        """How many times as much the number of leavers varies as if F were known: it is of few leavers.

        The expected number is the mean, over the past leavers, of the probabilities of all predictions that
        are at least as old as the leaver was.
        """
        order, chance = np.argsort(self.age), self.elapsed * self.probability
        older = np.append(np.cumsum(self.probability[order][::-1])[::-1], 0.0)
        reached = older[np.searchsorted(self.age[order], self.leavers, "left")]
        of_share = reached.var(ddof=1) / len(reached) if len(reached) > 1 else 0.0
        return 1 + of_share / max(float((chance * (1 - chance)).sum()), EPSILON)


@dataclass(frozen=True)
class Shift:
    """The most likely shift of all log-odds, and the evidence for it."""

    log_odds: float
    p: float  # chance of so large a rise if the probabilities are right
    rows: int
    left: int
    expected: float  # customers who should have left by now

    def needed(self, cfg: RetrainConfig) -> bool:
        """Whether more customers leave than predicted, beyond doubt."""
        return self.left >= LEAST_LEFT and self.p < cfg.recalibration_significance

    def __str__(self) -> str:
        return (
            f"of {self.rows:,} customers with open windows {self.left:,} have left, "
            f"where {self.expected:,.0f} were expected: all log-odds rise by {self.log_odds:.2f}"
        )


def fit_shift(seen: OpenWindows) -> Shift:
    """The most likely shift, by the likelihood ratio, which allows for the uncertainty of F.

    >>> fit_shift(OpenWindows(probability, left, age, leavers)).needed(cfg.retrain)
    """
    log_odds = logit(seen.probability, EPSILON)

    def loss(shift: float) -> float:
        """Minus the log-likelihood."""
        chance = np.clip(seen.elapsed * expit(log_odds + shift), EPSILON, 1 - EPSILON)
        return float(-np.log(np.where(seen.left, chance, 1 - chance)).sum())

    best = (
        float(minimize_scalar(loss, bounds=(-LARGEST, LARGEST), method="bounded").x) if len(log_odds) else 0.0
    )
    p = float(chi2.sf(2 * (loss(0.0) - loss(best)) / seen.overdispersion(), 1)) / 2
    expected = float((seen.elapsed * seen.probability).sum())
    return Shift(best, p if best > 0 else 1.0, len(log_odds), int(seen.left.sum()), expected)


def shifted(probability: np.ndarray, log_odds: float) -> np.ndarray:
    """[n] probabilities with shifted log-odds."""
    return expit(logit(probability, EPSILON) + log_odds)
