"""What is counted exactly over all rows of a stream; the counts of two parts of a table add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import numpy as np

from churn.data.dataset import Schema
from churn.data.features import ArrowFeatures

MOST_LEVELS = 100_000  # of a category that are counted; what comes after is only one level more


@dataclass(frozen=True)
class Counts:
    """Rows and ranges of what was seen."""

    rows: int
    churned: int
    lowest: np.ndarray  # [F] float32 least and
    highest: np.ndarray  # [F] float32 greatest value of each number
    missing: np.ndarray  # [F] int64 rows without it
    levels: tuple[Counter[str], ...]  # rows of each level of each category

    def __add__(self, other: Counts) -> Counts:
        """The counts of both."""
        return Counts(
            self.rows + other.rows,
            self.churned + other.churned,
            np.minimum(self.lowest, other.lowest),
            np.maximum(self.highest, other.highest),
            self.missing + other.missing,
            tuple(_keep_commonest(a + b) for a, b in zip(self.levels, other.levels, strict=True)),
        )


def count_rows(features: ArrowFeatures, churned: np.ndarray, schema: Schema) -> Counts:
    """The counts of some rows."""
    numbers = np.array([features[name] for name in schema.numeric]).reshape(-1, len(churned))
    return Counts(
        len(churned),
        int(churned.sum()),
        np.fmin.reduce(numbers, axis=1, initial=np.inf),
        np.fmax.reduce(numbers, axis=1, initial=-np.inf),
        np.isnan(numbers).sum(axis=1),
        tuple(_count_levels(*features[name]) for name in schema.categorical),
    )


def _count_levels(levels: np.ndarray, codes: np.ndarray) -> Counter[str]:
    """Rows of each level; two that mean the same are one."""
    rows = np.bincount(codes, minlength=len(levels))
    found: Counter[str] = Counter()
    for level, n in zip(levels, rows.tolist(), strict=True):
        if n:
            found[level] += n
    return found


def _keep_commonest(levels: Counter[str]) -> Counter[str]:
    """The commonest levels."""
    return Counter(dict(levels.most_common(MOST_LEVELS))) if len(levels) > MOST_LEVELS else levels


def sum_counts(counts: Iterable[Counts]) -> Counts:
    """The counts of all."""
    return reduce(lambda a, b: a + b, counts)
