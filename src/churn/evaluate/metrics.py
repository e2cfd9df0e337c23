"""Metrics of churn probabilities: their names for people, and their values under many row weights at once.

A bootstrap needs each metric a thousand times; one matrix operation over all resamples takes about as long
as a few calls of scikit-learn, whose numbers these are (the tests compare them).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import expit

from churn.network.log_odds import logit

TOP = 0.1  # share of the customers that lift_at_10 and captured_at_10 are about
EPSILON = np.finfo(float).eps  # probabilities are kept this far from 0 and 1, as scikit-learn's log loss does
ITERATIONS = 50  # of Newton's method, at most
TOLERANCE = 1e-4  # a last step this small leaves an error of about its square


@dataclass(frozen=True)
class Metric:
    """How to show and read a metric."""

    label: str  # within a sentence
    meaning: str
    digits: int
    better: int  # 1: more is better, -1: less is better, 0: there is a right value
    percent: bool = False


METRICS = {
    "roc_auc": Metric("ROC AUC", "chance that a churner ranks above a stayer", 4, 1),
    "average_precision": Metric("average precision", "precision over all thresholds", 4, 1),
    "lift_at_10": Metric("lift in the top 10 %", "times as many churners as by chance", 2, 1),
    "captured_at_10": Metric("churners in the top 10 %", "share of all churners", 1, 1, percent=True),
    "log_loss": Metric("log loss", "how far the probabilities are from what happened; less is better", 4, -1),
    "brier": Metric("Brier score", "mean squared error; less is better", 4, -1),
    "calibration_slope": Metric("calibration slope", "1 is right; below 1: too extreme", 2, 0),
    "calibration_intercept": Metric(
        "calibration intercept", "0 is right; above 0: more leave than predicted", 2, 0
    ),
    "ece": Metric("calibration error", "15 bins; biased upward, so without interval", 4, -1),
}


@dataclass(frozen=True)
class Ranked:
    """Rows in the order of their probabilities, highest first."""

    churned: np.ndarray  # [n] float, 1 = left
    probability: np.ndarray  # [n]
    order: np.ndarray  # [n] their positions in the table
    last_equal: np.ndarray  # positions, in this order, of the last row of each run of equal probabilities

    @cached_property
    def log_odds(self) -> np.ndarray:
        """[n] finite log-odds of the probabilities."""
        return logit(self.probability, EPSILON)

    @cached_property
    def line(self) -> np.ndarray:
        """[2] intercept and slope of the calibration line at equal weights, where other fits start."""
        return calibration_line(self, np.ones((1, len(self.churned))), np.array([0.0, 1.0]))[0]

    @cached_property
    def shift(self) -> np.ndarray:
        """[1] calibration-in-the-large at equal weights, where other fits start."""
        return _calibration_shift(self, np.ones((1, len(self.churned))), np.zeros(1))[0]


def rank_rows(churned: np.ndarray, probability: np.ndarray) -> Ranked:
    """The rows sorted by probability."""
    order = np.argsort(-probability, kind="stable")
    ordered = probability[order].astype(float)
    last_equal = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    return Ranked(churned[order].astype(float), ordered, order, last_equal)


def compute_metrics(ranked: Ranked, weights: np.ndarray) -> dict[str, np.ndarray]:
    """[B] values of each metric, for weights [B, n] of the ranked rows; NaN where a metric is undefined.

    ROC AUC, slope and intercept need churners and stayers; average precision, lift and captured churners
    need a churner.

    >>> ranked = rank_rows(churned, probability)
    >>> compute_metrics(ranked, np.ones((1, len(churned))))["roc_auc"][0]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            **ranking_metrics(ranked, weights),
            **probability_metrics(ranked, weights),
            "calibration_slope": calibration_line(ranked, weights, ranked.line)[:, 1],
            "calibration_intercept": _calibration_shift(ranked, weights, ranked.shift)[:, 0],
        }


def ranking_metrics(ranked: Ranked, weights: np.ndarray) -> dict[str, np.ndarray]:
    """[B] values of the metrics of the order alone. Ties count as the average over their orders."""
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
    """[B] churners caught if `share` of the customers are called; linear between the points [B, G]."""
    stop = share * called[:, -1]
    above = (called < stop[:, None]).sum(axis=1)
    rows = np.arange(len(called))
    before = np.maximum(above - 1, 0)
    called_before = np.where(above > 0, called[rows, before], 0)
    caught_before = np.where(above > 0, caught[rows, before], 0)
    part = (stop - called_before) / (called[rows, above] - called_before)
    return caught_before + part * (caught[rows, above] - caught_before)


def probability_metrics(ranked: Ranked, weights: np.ndarray) -> dict[str, np.ndarray]:
    """[B] log loss (nats) and Brier score: weighted means over the rows."""
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

    Above 0 more customers leave than predicted.
    """
    x = ranked.log_odds

    def step(shift: np.ndarray, weights: np.ndarray) -> np.ndarray:
        residual, curvature = _residuals(shift + x, ranked.churned, weights)
        return residual.sum(axis=1, keepdims=True) / curvature.sum(axis=1, keepdims=True)

    return _newton(step, np.ones((1, 1)), start, weights)


def _residuals(
    log_odds: np.ndarray, churned: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """[B, n] gradient and curvature of the weighted log-likelihood in the log-odds of each row."""
    chance = expit(log_odds)
    return weights * (churned - chance), weights * chance * (1 - chance)


def _newton(
    step: Callable[[np.ndarray, np.ndarray], np.ndarray],
    extremes: np.ndarray,
    start: np.ndarray,
    weights: np.ndarray,
) -> np.ndarray:
    """[B, k] the maxima that Newton's method finds from `start` [k]; NaN if there is no finite maximum.

    Steps are shortened so that the log-odds of no row change by more than 1, since the curvature is reliable
    only near a point; `extremes` [e, k] are the rows whose log-odds change most.
    """
    maxima = np.full((len(weights), len(start)), np.nan)
    open_rows = np.arange(len(weights))
    point = start[None, :]  # shared by all weights: the first step is cheap
    for _ in range(ITERATIONS):
        change = step(point, weights)
        change /= np.maximum(1, abs(change @ extremes.T).max(axis=1, keepdims=True))
        point = point + change
        converged = (abs(change) < TOLERANCE).all(axis=1)
        maxima[open_rows[converged]] = point[converged]
        proceed = ~converged & np.isfinite(change).all(axis=1)
        open_rows, point, weights = open_rows[proceed], point[proceed], weights[proceed]
        if len(open_rows) == 0:
            break
    return maxima


def expected_calibration_error(churned: np.ndarray, probability: np.ndarray, bins: int = 15) -> float:
    """Mean gap between probability and churn rate, over bins of equally many rows (Naeini et al. 2015).

    Where a bin ends between equal probabilities, each of their rows counts with the churn rate of them all.
    """
    churned = mean_of_ties(churned, probability)
    by_probability = np.argsort(probability, kind="stable")
    parts = np.array_split(by_probability, min(bins, len(by_probability)))
    gaps = [len(rows) * abs(probability[rows].mean() - churned[rows].mean()) for rows in parts]
    return float(sum(gaps) / len(churned))


def mean_of_ties(values: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """[n] the mean of the values of all rows with the row's probability: it is the same in any order of rows.

    >>> mean_of_ties(np.array([0, 1, 1]), np.array([0.2, 0.2, 0.7]))
    array([0.5, 0.5, 1. ])
    """
    _, tied = np.unique(probability, return_inverse=True)
    return (np.bincount(tied, values) / np.bincount(tied))[tied]
