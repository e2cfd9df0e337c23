"""A 90 % interval for each customer's true probability, computed by the graph from constants.

The error is larger for customers unlike the training rows. Its unit is the root of the trees' uncertainty: of
the sum of 1 / rows over the leaves that a customer is in (see `churn.network.trees`). How many units make an
interval is calibrated, for each region of the probability, on refits for which the truth is known (see
`churn.bundle.parametric_bootstrap`): as many as cover `LEVEL` of the refits' truths. A field unlike any in
training adds once its width to the interval. Measured coverage: benchmarks/coverage.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from churn.backend import tensorflow
from churn.network.log_odds import clip_logit

LEVEL = 0.9
REGIONS = 8  # of the probability, with equally many rows of the refits
EPSILON = 1e-5  # probabilities are kept this far from 0 and 1
LIMIT = float(np.log(1 / EPSILON - 1))  # the same as log-odds


@dataclass(frozen=True)
class Refit:
    """What a refitted model predicts for [n] customers, and the truth that its labels were drawn from."""

    truth: np.ndarray  # [n] log-odds
    predicted: np.ndarray  # [n] log-odds


@dataclass(frozen=True)
class Interval:
    """Constants of the graph, for R regions of the probability."""

    log_odds: np.ndarray  # [R] of the regions' middles, ascending
    factor: np.ndarray  # [R] units on each side

    def __call__(self, log_odds: Any, uncertainty: Any, unseen: Any) -> tuple[Any, Any]:
        """[n] lower and upper ends, from log-odds, uncertainty and unseen fields, each [n]."""
        tf = tensorflow()
        probability, middle = tf.sigmoid(log_odds), clip_logit(log_odds, EPSILON)
        half = self.factors(middle) * tf.sqrt(uncertainty) * (1 + tf.cast(unseen, tf.float32))
        # The interval always holds the probability itself, clipped or rounded.
        low, high = tf.sigmoid(middle - half), tf.sigmoid(middle + half)
        return tf.minimum(low, probability), tf.maximum(high, probability)

    def factors(self, log_odds: Any) -> Any:
        """[n] units, linear between the regions' middles, constant beyond the outer ones."""
        tf = tensorflow()
        below, above = self.log_odds[:-1], self.log_odds[1:]
        share = tf.clip_by_value((log_odds[:, None] - below) / (above - below), 0.0, 1.0)
        return self.factor[0] + tf.reduce_sum(share * np.diff(self.factor), axis=1)


def fit_intervals(uncertainty: np.ndarray, refits: Sequence[Refit]) -> Interval:
    """The constants, from refits of the same train rows and the trees' uncertainty [n] about these."""
    predicted = np.concatenate([refit.predicted for refit in refits]).clip(-LIMIT, LIMIT)
    truth = np.concatenate([refit.truth for refit in refits]).clip(-LIMIT, LIMIT)
    ratio = abs(predicted - truth) / np.sqrt(np.tile(uncertainty, len(refits)))
    regions = np.array_split(np.argsort(predicted, kind="stable"), REGIONS)
    middles = np.array([np.median(predicted[rows]) for rows in regions], np.float32)
    factors = np.array([np.quantile(ratio[rows], LEVEL) for rows in regions], np.float32)
    distinct = np.append(True, np.diff(middles) > 1e-3)  # equal middles would mean a division by zero
    return Interval(middles[distinct], factors[distinct])
