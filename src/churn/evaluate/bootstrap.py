"""Bootstrap intervals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

OUTSIDE = 0.025  # share of the resamples beyond each end of an interval

CHUNK_CELLS = 200_000  # weights in memory at a time: 1.6 MB, which stays in a processor's cache


@dataclass(frozen=True)
class Estimate:
    """A number from a sample with its 95 % interval; NaN where it is undefined or unknown."""

    value: float
    low: float
    high: float

    @property
    def negative(self) -> Estimate:
        """The estimate of the negative."""
        return Estimate(-self.value, -self.high, -self.low)

    def to_json(self) -> dict[str, float | None]:
        """The three numbers, null for NaN."""
        return {name: None if np.isnan(number) else float(number) for name, number in vars(self).items()}


def bootstrap_counts(
    customers: int, resamples: int, size: int, random: np.random.Generator
) -> Iterator[np.ndarray]:
    """Chunks [<= size, customers] of how often each customer is in each resample."""
    for first in range(0, resamples, size):
        rows = min(size, resamples - first)
        drawn = random.integers(customers, size=(rows, customers)) + customers * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * customers).reshape(rows, customers).astype(float)


def percentile_interval(values: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of the resamples' values; NaN, NaN where too many are undefined to tell."""
    known = values[np.isfinite(values)]
    if len(known) == 0 or len(known) < (1 - OUTSIDE) * len(values):
        return np.nan, np.nan
    low, high = np.quantile(known, [OUTSIDE, 1 - OUTSIDE])
    return float(low), float(high)
