"""Numbers with their 95 % intervals: from a bootstrap over customers, or Jeffreys' for a share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import betaincinv

OUTSIDE = 0.025  # share of the resamples beyond each end of an interval
CHUNK_CELLS = 200_000  # weights in memory at a time: 1.6 MB, which stays in a processor's cache

Measure = Callable[[np.ndarray], Mapping[str, np.ndarray]]  # weights [B, n] -> values [B] by name


@dataclass(frozen=True)
class Estimate:
    """A number from a sample with its 95 % interval; NaN where it is undefined or unknown."""

    value: float
    low: float
    high: float

    @classmethod
    def from_resamples(cls, values: np.ndarray) -> Estimate:
        """The first of [1 + B] values, with Efron's percentile interval from the B others, its resamples."""
        return cls(float(values[0]), *percentile_interval(values[1:]))

    @property
    def negative(self) -> Estimate:
        """The estimate of the negative number."""
        return Estimate(-self.value, -self.high, -self.low)

    def to_json(self) -> dict[str, float | None]:
        """The three numbers, null for NaN."""
        return {name: None if np.isnan(number) else float(number) for name, number in vars(self).items()}


def resample_weights(
    rows: int, customers: np.ndarray | None, resamples: int, seed: int
) -> Iterator[np.ndarray]:
    """Chunks [<= k, n] of row weights: first 1 for each row, then the counts of each bootstrap resample.

    Customers are drawn with replacement, all rows of one together: `customers` [n] says whose each row is;
    None: each row is a customer.
    """
    customer = np.arange(rows) if customers is None else np.unique(customers, return_inverse=True)[1]
    yield np.ones((1, rows))
    size, random = max(1, CHUNK_CELLS // rows), np.random.default_rng(seed)
    for counts in _customer_counts(customer.max() + 1, resamples, size, random):
        yield counts[:, customer]


def _customer_counts(
    customers: int, resamples: int, size: int, random: np.random.Generator
) -> Iterator[np.ndarray]:
    """Chunks [<= size, customers] of how often each customer is in each resample."""
    for first in range(0, resamples, size):
        rows = min(size, resamples - first)
        drawn = random.integers(customers, size=(rows, customers)) + customers * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * customers).reshape(rows, customers).astype(float)


def bootstrap(
    measures: Mapping[str, Measure], weights: Iterable[np.ndarray]
) -> dict[str, dict[str, np.ndarray]]:
    """[1 + B] values of each metric of each model, by `measures` of each model on the same weights.

    >>> weights = resample_weights(len(loss), None, resamples=1_000, seed=0)
    >>> values = bootstrap({"model": lambda w: {"loss": w @ loss / w.sum(axis=1)}}, weights)
    >>> Estimate.from_resamples(values["model"]["loss"])
    """
    chunks = [{name: measure(chunk) for name, measure in measures.items()} for chunk in weights]
    return {
        name: {metric: np.concatenate([chunk[name][metric] for chunk in chunks]) for metric in values}
        for name, values in chunks[0].items()
    }


def percentile_interval(values: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of the values; NaN, NaN if more than 2.5 % of them are undefined."""
    known = values[np.isfinite(values)]
    if len(known) == 0 or len(known) < (1 - OUTSIDE) * len(values):
        return np.nan, np.nan
    low, high = np.quantile(known, [OUTSIDE, 1 - OUTSIDE])
    return float(low), float(high)


def jeffreys_interval(hits: Any, rows: Any) -> tuple[Any, Any]:
    """Jeffreys' 95 % interval of the shares `hits / rows`, numbers or arrays.

    It begins at 0 for no hits, and ends at 1 for hits only (Brown, Cai and DasGupta 2001).

    >>> jeffreys_interval(9, 10)  # 0.63, 0.99
    """
    low, high = (betaincinv(hits + 0.5, rows - hits + 0.5, end) for end in (OUTSIDE, 1 - OUTSIDE))
    low, high = np.where(hits == 0, 0, low), np.where(hits == rows, 1, high)
    return low[()], high[()]  # numbers again, where they were numbers
