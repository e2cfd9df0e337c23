"""A 90 % interval for each customer's true probability, computed by the graph from constants.

The error is larger for customers unlike the training rows. Its unit is the leverage of a logistic
regression on the network's inputs x, the length of `x @ root`: the standard error of its log-odds at x. How
many units make an interval is calibrated, for each region of the probability, on refits for which the truth
is known (see `churn.bundle.parametric_bootstrap`). A field unlike any in training adds once its width to
the interval. The spread of the members alone covers too little (benchmarks/coverage.py); as the unit it
gave intervals that were a tenth wider for the same coverage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from churn.backend import tensorflow
from churn.network.log_odds import clip_logit, logit

LEVEL = 0.9
# Share of the refits' truths inside the interval, by region of the probability, lowest first: chosen where
# the truth is known (benchmarks/coverage.py). At both ends real truths are rougher than simulated ones.
REFIT_QUANTILES = (0.98, 0.95, 0.92, 0.92, 0.94)
PENALTY = 1.0  # of the logistic regression: each input's coefficient is about 0 ± 1
EPSILON = 1e-5  # probabilities are kept this far from 0 and 1


@dataclass(frozen=True)
class Refit:
    """What a refitted network predicts for [n] customers, and the truth that its labels were drawn from."""

    truth: np.ndarray  # [n] probability
    predicted: np.ndarray  # [n] probability


@dataclass(frozen=True)
class Interval:
    """Constants of the graph, for inputs of width D and R regions of the probability."""

    root: np.ndarray  # [D + 1, D + 1] float32, the last row for the constant
    log_odds: np.ndarray  # [R] of the regions' middles, ascending
    factor: np.ndarray  # [R] units on each side

    def __call__(self, inputs: Any, log_odds: Any, unseen: Any) -> tuple[Any, Any]:
        """[n] lower and upper ends, from inputs [n, D], log-odds [n] and counts of unseen fields [n]."""
        tf = tensorflow()
        probability, middle = tf.sigmoid(log_odds), clip_logit(log_odds, EPSILON)
        squares = tf.math.squared_difference(tf.matmul(inputs, self.root[:-1]), -self.root[-1])
        unit = tf.sqrt(tf.reduce_sum(squares, axis=1))
        half = self.factors(middle) * unit * (1 + tf.cast(unseen, tf.float32))
        # The interval always holds the probability itself, clipped or rounded.
        low, high = tf.sigmoid(middle - half), tf.sigmoid(middle + half)
        return tf.minimum(low, probability), tf.maximum(high, probability)

    def factors(self, log_odds: Any) -> Any:
        """[n] units, linear between the regions' middles, constant beyond the outer ones."""
        tf = tensorflow()
        below, above = self.log_odds[:-1], self.log_odds[1:]
        share = tf.clip_by_value((log_odds[:, None] - below) / (above - below), 0.0, 1.0)
        return self.factor[0] + tf.reduce_sum(share * np.diff(self.factor), axis=1)


def fit_intervals(inputs: np.ndarray, probability: np.ndarray, refits: Sequence[Refit]) -> Interval:
    """The constants, from inputs [n, D], probabilities [n] and refits of the same train rows."""
    root = leverage_root(inputs, probability)
    unit = np.linalg.norm(inputs @ root[:-1] + root[-1], axis=1)
    predicted = logit(np.concatenate([refit.predicted for refit in refits]), EPSILON)
    error = abs(predicted - logit(np.concatenate([refit.truth for refit in refits]), EPSILON))
    ratio = error / np.tile(unit, len(refits))
    regions = np.array_split(np.argsort(predicted, kind="stable"), len(REFIT_QUANTILES))
    middles = np.array([np.median(predicted[rows]) for rows in regions], np.float32)
    factors = [np.quantile(ratio[rows], share) for rows, share in zip(regions, REFIT_QUANTILES, strict=True)]
    distinct = np.append(True, np.diff(middles) > 1e-3)  # equal middles would mean a division by zero
    return Interval(root, middles[distinct], np.array(factors, np.float32)[distinct])


def leverage_root(inputs: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """[D + 1, D + 1] root of the covariance of a ridge logistic regression's coefficients, constant last."""
    rows = np.column_stack([inputs, np.ones(len(inputs), np.float32)]).astype(np.float32)
    weight = (probability * (1 - probability)).astype(np.float32)[:, None]
    precision = (rows.T @ (rows * weight)).astype(float) + PENALTY * np.eye(rows.shape[1])
    lower = np.linalg.cholesky(precision)  # precision⁻¹ = lower⁻ᵀ lower⁻¹
    return np.linalg.inv(lower).T.astype(np.float32)
