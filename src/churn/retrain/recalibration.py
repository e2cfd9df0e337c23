"""Recalibration by open outcome windows: long before it is known who stayed, it is known who left.

Of the customers who will leave within the horizon, the share F(a) has left at the age a of the prediction. So
a customer with the probability p has left by then with the probability p F(a). The shift of all log-odds that
makes what was seen most likely is an update of the intercept (Steyerberg et al. 2004, Statistics in Medicine
23, "validation and updating"). Only a rise is adopted: leavers who are reported late can hide a rise, but not
pretend one.

Customers may leave on some days of the calendar only, such as the last of a month, whatever the age. A look
on that day sees more leavers than F says. So a rise is tested against F raised to what the worst of earlier
looks had needed. Chance has its part in the worst of looks, so that the rise itself is estimated with F as it
is, unless earlier looks show beyond chance that the calendar matters.
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
LEAST_SEEN = 10  # customers who left by an earlier look, or should have; fewer say nothing of the calendar
LOOKS = 200  # earlier moments at which the past leavers are counted, at most
LEAST_POWER = 0.01  # of F: nearly all leave at once
BEYOND_CHANCE = 3.0  # standard deviations by which the worst of all looks seldom differs from F


@dataclass(frozen=True)
class OpenWindows:
    """Predictions [n] with what is known of them so far."""

    probability: np.ndarray  # [n] of leaving within the horizon
    left: np.ndarray  # [n] bool: has left already
    age: np.ndarray  # [n] of the prediction, in any unit
    leavers: np.ndarray  # [m] ages at which customers with closed windows left
    begun: np.ndarray | None = None  # [m] when these predictions were made; None: they leave on any day alike

    @cached_property
    def elapsed(self) -> np.ndarray:
        """[n] F(a): share of those who leave within the horizon that has left at this age."""
        return self.elapsed_at_most if self._exponent(BEYOND_CHANCE) < 1 else self._share(self.age)

    @cached_property
    def elapsed_at_most(self) -> np.ndarray:
        """[n] the same on the worst day of the calendar."""
        return self._share(self.age) ** self._exponent()

    def _share(self, age: np.ndarray) -> np.ndarray:
        """F(a) of ages [n], whatever the calendar."""
        return np.searchsorted(np.sort(self.leavers), age, side="right") / max(len(self.leavers), 1)

    def _exponent(self, deviations: float = 1.0) -> float:
        """The power of F, at most 1, that gives as many leavers as the worst of the earlier looks saw.

        A look at a moment sees the past leavers whose predictions were as young as these are now. What it saw
        is taken some standard deviations lower.
        """
        if self.begun is None or not len(self.begun) or not len(self.age):
            return 1.0
        left, span, least = self.begun + self.leavers, self.age.max(), 1.0
        inside = left[(left >= self.begun.min() + span) & (left <= self.begun.max())]
        looks = (
            np.unique(np.quantile(inside, np.linspace(0, 1, LOOKS), method="nearest")) if len(inside) else ()
        )
        for look in looks:
            young = (self.begun >= look - span) & (self.begun < look)
            share = self._share(look - self.begun[young])
            were_left = left[young] <= look
            if max(share.sum(), were_left.sum()) < LEAST_SEEN:  # also if nobody is young
                continue
            gone = float(were_left.mean())
            seen = len(share) * gone - deviations * np.sqrt(len(share) * gone * (1 - gone))
            while (share**least).sum() < seen and least > LEAST_POWER:
                least *= 0.9
        return least

    def overdispersion(self) -> float:
        """How many times as much the number of leavers varies as if F were known: it is of few leavers.

        The expected number is the mean, over the past leavers, of the probabilities of all predictions that
        are at least as old as the leaver was.
        """
        order, chance = np.argsort(self.age), self.elapsed_at_most * self.probability
        older = np.append(np.cumsum(self.probability[order][::-1])[::-1], 0.0)
        reached = older[np.searchsorted(self.age[order], self.leavers, "left")]
        reached = reached * (chance.sum() / max(float(reached.mean()), EPSILON)) if len(reached) else reached
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
    least, evidence = _most_likely(seen, seen.elapsed_at_most)
    p = float(chi2.sf(evidence / seen.overdispersion(), 1)) / 2 if least > 0 else 1.0
    expected = float((seen.elapsed * seen.probability).sum())
    return Shift(_most_likely(seen, seen.elapsed)[0], p, len(seen.left), int(seen.left.sum()), expected)


def _most_likely(seen: OpenWindows, elapsed: np.ndarray) -> tuple[float, float]:
    """The most likely shift, given F(a) [n], and the likelihood ratio of it and none."""
    log_odds = logit(seen.probability, EPSILON)

    def loss(shift: float) -> float:
        """Minus the log-likelihood."""
        chance = np.clip(elapsed * expit(log_odds + shift), EPSILON, 1 - EPSILON)
        return float(-np.log(np.where(seen.left, chance, 1 - chance)).sum())

    if not len(log_odds):
        return 0.0, 0.0
    best = float(minimize_scalar(loss, bounds=(-LARGEST, LARGEST), method="bounded").x)
    return best, 2 * (loss(0.0) - loss(best))


def shifted(probability: np.ndarray, log_odds: float) -> np.ndarray:
    """[n] probabilities with shifted log-odds."""
    return expit(logit(probability, EPSILON) + log_odds)
