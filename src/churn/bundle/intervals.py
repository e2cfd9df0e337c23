"""A 90 % interval for each customer's true probability, computed by the graph from constants.

How far off the network is differs by customer: where few like them were in training, more. The unit of that
is the leverage of a logistic regression on the network's inputs x, the length of `x @ root`: the standard
error of its log-odds at x. How many units make an interval is calibrated on simulated worlds, in which the
truth is known (see `churn.bundle.parametric_bootstrap`), for each region of the probability. A field unlike any in training widens
the interval by once its width. The spread of the members alone covers too little (benchmarks/coverage.py); as
the unit it gave intervals that were a tenth wider where they covered as often.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from churn.backend import tensorflow
from churn.network.log_odds import clip_logit, logit

LEVEL = 0.9
# Shares of the simulated truths that are held, by region of the probability, lowest first: chosen where the
# truth is known (benchmarks/coverage.py). At both ends real truths are rougher than simulated ones.
REFIT_QUANTILES = (0.98, 0.95, 0.92, 0.92, 0.94)
PENALTY = 1.0  # of the logistic regression: each input's coefficient is about 0 ± 1
EPSILON = 1e-5  # probabilities are kept this far from 0 and 1


@dataclass(frozen=True)
class Refit:
    """What a refitted network says where the truth is known, of the same [n] customers."""

    truth: np.ndarray
    answer: np.ndarray


@dataclass(frozen=True)
class Interval:
    """Constants of the graph."""

    root: np.ndarray  # [D + 1, D + 1] float32, the last row for the constant
    log_odds: np.ndarray  # [R] of the regions' middles, ascending
    factor: np.ndarray  # [R] units on each side

    def __call__(self, inputs: Any, log_odds: Any, unseen: Any) -> tuple[Any, Any]:
        """[n] lower and upper ends, by encoded inputs [n, D], log-odds and counts of unseen fields."""
        tf = tensorflow()
        probability, middle = tf.sigmoid(log_odds), clip_logit(log_odds, EPSILON)
        apart = tf.math.squared_difference(tf.matmul(inputs, self.root[:-1]), -self.root[-1])
        unit = tf.sqrt(tf.reduce_sum(apart, axis=1))
        half = self.factors(middle) * unit * (1 + tf.cast(unseen, tf.float32))
        # Never does the interval leave out the probability itself, clipped or rounded.
        low, high = tf.sigmoid(middle - half), tf.sigmoid(middle + half)
        return tf.minimum(low, probability), tf.maximum(high, probability)

    def factors(self, log_odds: Any) -> Any:
        """[n] units, linear between the regions' middles, constant beyond the outer ones."""
        tf = tensorflow()
        below, above = self.log_odds[:-1], self.log_odds[1:]
        share = tf.clip_by_value((log_odds[:, None] - below) / (above - below), 0.0, 1.0)
        return self.factor[0] + tf.reduce_sum(share * np.diff(self.factor), axis=1)


def fit_intervals(inputs: np.ndarray, probability: np.ndarray, worlds: Sequence[Refit]) -> Interval:
    """The constants, by the encoded inputs [n, D] and probabilities [n] of the rows that trained.

    The worlds are of the same rows.
    """
    root = leverage_root(inputs, probability)
    unit = np.linalg.norm(inputs @ root[:-1] + root[-1], axis=1)
    answer = logit(np.concatenate([world.answer for world in worlds]), EPSILON)
    error = abs(answer - logit(np.concatenate([world.truth for world in worlds]), EPSILON))
    ratio = error / np.tile(unit, len(worlds))
    regions = np.array_split(np.argsort(answer, kind="stable"), len(REFIT_QUANTILES))
    middles = np.array([np.median(answer[rows]) for rows in regions], np.float32)
    factors = np.array(
        [np.quantile(ratio[rows], share) for rows, share in zip(regions, REFIT_QUANTILES, strict=True)],
        np.float32,
    )
    apart = np.append(True, np.diff(middles) > 1e-3)  # else a division by nothing
    return Interval(root, middles[apart], factors[apart])


def leverage_root(inputs: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """[D + 1, D + 1] root of the covariance of a ridge logistic regression's coefficients, constant last."""
    rows = np.column_stack([inputs, np.ones(len(inputs), np.float32)]).astype(np.float32)
    weight = (probability * (1 - probability)).astype(np.float32)[:, None]
    precision = (rows.T @ (rows * weight)).astype(float) + PENALTY * np.eye(rows.shape[1])
    lower = np.linalg.cholesky(precision)  # precision⁻¹ = lower⁻ᵀ lower⁻¹
    return np.linalg.inv(lower).T.astype(np.float32)
