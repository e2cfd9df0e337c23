"""Quality of churn probabilities, under many weightings of the same rows at once.

A bootstrap needs each metric a thousand times; one matrix operation over all resamples takes about as
long as a few calls of scikit-learn, whose numbers these are (the tests compare them).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import expit

from churn.network.log_odds import logit

TOP = 0.1  # share of the customers that lift_at_10 and captured_at_10 speak of
EPSILON = np.finfo(float).eps  # probabilities are kept this far from 0 and 1, as scikit-learn's log loss does
ITERATIONS = 50  # of Newton's method, at most
TOLERANCE = 1e-4  # a last step this small leaves an error of about its square


@dataclass(frozen=True)
class Ranked:
    """Rows in the order of one model's probabilities, highest first."""

    churned: np.ndarray  # [n] float, 1 = left
    probability: np.ndarray  # [n]
    customer: np.ndarray  # [n] int, 0 ... number of customers - 1
    last_equal: np.ndarray  # positions of the last row of each run of equal probabilities

    @cached_property
    def log_odds(self) -> np.ndarray:
        """[n] finite log-odds of the probabilities."""
        return logit(self.probability, EPSILON)

    @cached_property
    def line(self) -> np.ndarray:
        """[2] the calibration line of the rows as they are; other weightings start from it."""
        return calibration_line(self, np.ones((1, len(self.churned))), np.array([0.0, 1.0]))[0]

    @cached_property
    def shift(self) -> np.ndarray:
        """[1] their calibration-in-the-large, likewise."""
        return _calibration_shift(self, np.ones((1, len(self.churned))), np.zeros(1))[0]


def rank_rows(churned: np.ndarray, probability: np.ndarray, customer: np.ndarray) -> Ranked:
    """The rows sorted by probability."""
    order = np.argsort(-probability, kind="stable")
    ordered = probability[order].astype(float)
    last_equal = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    return Ranked(churned[order].astype(float), ordered, customer[order], last_equal)


def compute_metrics(ranked: Ranked, weights: np.ndarray) -> dict[str, np.ndarray]:
    """[B] values of each metric for weights [B, n] of the ranked rows; NaN where it is undefined.

    ROC AUC, slope and intercept need both kinds of customers; average precision, lift and captured
    churners need a churner.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            **ranking_metrics(ranked, weights),
            **probability_metrics(ranked, weights),
            "calibration_slope": calibration_line(ranked, weights, ranked.line)[:, 1],
            "calibration_intercept": _calibration_shift(ranked, weights, ranked.shift)[:, 0],
        }


def ranking_metrics(ranked: Ranked, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Metrics of the order alone. Equal probabilities count as in a random order among them, on average."""
    called = weights.cumsum(axis=1)[:, ranked.last_equal]
    caught = (weights * ranked.churned).cumsum(axis=1)[:, ranked.last_equal]
    missed = called - caught
    gain = np.diff(caught, axis=1, prepend=0)
    churners, stayers = caught[:, -1], missed[:, -1]
    area = ((caught - gain / 2) * np.diff(missed, axis=1, prepend=0)).sum(axis=1)
    precision = caught / np.maximum(called, EPSILON)
    captured = at_share(called, caught, TOP) / churners
    return {
        "roc_auc": area / (churners * stayers),
        "average_precision": (gain * precision).sum(axis=1) / churners,
        "lift_at_10": captured / TOP,
        "captured_at_10": captured,
    }


def at_share(called: np.ndarray, caught: np.ndarray, share: float) -> np.ndarray:
    """[B] churners caught when calling stops at `share` of the customers: straight lines between [B, G]."""
    stop = share * called[:, -1]
    above = (called < stop[:, None]).sum(axis=1)
    rows = np.arange(len(called))
    before = np.maximum(above - 1, 0)
    called_before = np.where(above > 0, called[rows, before], 0)
    caught_before = np.where(above > 0, caught[rows, before], 0)
    part = (stop - called_before) / (called[rows, above] - called_before)
    return caught_before + part * (caught[rows, above] - caught_before)


def probability_metrics(ranked: Ranked, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Log loss (nats) and Brier score: weighted means over the rows."""
    chance = np.clip(ranked.probability, EPSILON, 1 - EPSILON)
    losses = {
        "log_loss": -np.log(np.where(ranked.churned == 1, chance, 1 - chance)),
        "brier": (ranked.probability - ranked.churned) ** 2,
    }
    total = weights.sum(axis=1)
    return {name: weights @ loss / total for name, loss in losses.items()}


def calibration_line(ranked: Ranked, weights: np.ndarray, start: np.ndarray) -> np.ndarray:
    """[B, 2] intercept and slope of the logistic regression of `churned` on the model's log-odds (Cox 1958).

    A slope below 1 means that the probabilities are too extreme. NaN where all probabilities are equal.
    """
    x = ranked.log_odds

    def step(line: np.ndarray, weights: np.ndarray) -> np.ndarray:
        residual, curvature = _residuals(line[:, :1] + line[:, 1:] * x, ranked.churned, weights)
        g0, g1 = residual.sum(axis=1), residual @ x
        h0, h1, h2 = curvature.sum(axis=1), curvature @ x, curvature @ x**2
        determinant = h0 * h2 - h1**2
        determinant[determinant < 1e-9 * h0 * h2] = np.nan  # no spread in x
        return np.stack([h2 * g0 - h1 * g1, h0 * g1 - h1 * g0], axis=1) / determinant[:, None]

    return _newton(step, np.array([[1, x[0]], [1, x[-1]]]), start, weights)


def _calibration_shift(ranked: Ranked, weights: np.ndarray, start: np.ndarray) -> np.ndarray:
    """[B, 1] calibration-in-the-large: the intercept of that regression with its slope fixed to 1.

    Above 0 more customers leave than the probabilities say.
    """
    x = ranked.log_odds

    def step(shift: np.ndarray, weights: np.ndarray) -> np.ndarray:
        residual, curvature = _residuals(shift + x, ranked.churned, weights)
        return residual.sum(axis=1, keepdims=True) / curvature.sum(axis=1, keepdims=True)

    return _newton(step, np.ones((1, 1)), start, weights)


def _residuals(
    log_odds: np.ndarray, churned: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Gradient and curvature [B, n] of the weighted log-likelihood in the log-odds of each row."""
    chance = expit(log_odds)
    return weights * (churned - chance), weights * chance * (1 - chance)


def _newton(
    step: Callable[[np.ndarray, np.ndarray], np.ndarray],
    extremes: np.ndarray,
    start: np.ndarray,
    weights: np.ndarray,
) -> np.ndarray:
    """[B, k] where the steps from `start` [k] end; NaN where they do not (no finite maximum).

    Steps are shortened so that the log-odds of no row change by more than 1, within which the curvature is
    trustworthy; `extremes` [e, k] are the rows whose log-odds change most.
    """
    found = np.full((len(weights), len(start)), np.nan)
    going = np.arange(len(weights))
    at = start[None, :]  # shared by all weightings: the first step is cheap
    for _ in range(ITERATIONS):
        change = step(at, weights)
        change /= np.maximum(1, abs(change @ extremes.T).max(axis=1, keepdims=True))
        at = at + change
        ended = (abs(change) < TOLERANCE).all(axis=1)
        found[going[ended]] = at[ended]
        on = ~ended & np.isfinite(change).all(axis=1)
        going, at, weights = going[on], at[on], weights[on]
        if len(going) == 0:
            break
    return found


def expected_calibration_error(churned: np.ndarray, probability: np.ndarray, bins: int = 15) -> float:
    """Mean gap between probability and churn rate, over bins of equally many rows (Naeini et al. 2015)."""
    by_probability = np.argsort(probability, kind="stable")
    parts = np.array_split(by_probability, min(bins, len(by_probability)))
    gaps = [len(rows) * abs(probability[rows].mean() - churned[rows].mean()) for rows in parts]
    return float(sum(gaps) / len(churned))
