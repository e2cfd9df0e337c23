"""Exact counts over all rows of a stream; the counts of two parts of a table can be added."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import numpy as np

from churn.data.coded import ArrowFeatures
from churn.data.dataset import Schema

MOST_LEVELS = 100_000  # levels of a category that are counted; rarer ones are forgotten


@dataclass(frozen=True)
class Counts:
    """The counts and ranges of some rows, with F numbers."""

    rows: int
    churned: int
    lowest: np.ndarray  # [F] float32, the least value of each number
    highest: np.ndarray  # [F] float32, the greatest value of each number
    missing: np.ndarray  # [F] int64, rows in which it is missing
    levels: tuple[Counter[str], ...]  # by category: rows of each level

    def __add__(self, other: Counts) -> Counts:
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
    numbers = np.array([features[name] for name in schema.numeric]).reshape(len(schema.numeric), len(churned))
    return Counts(
        len(churned),
        int(churned.sum()),
        np.fmin.reduce(numbers, axis=1, initial=np.inf),
        np.fmax.reduce(numbers, axis=1, initial=-np.inf),
        np.isnan(numbers).sum(axis=1),
        tuple(_count_levels(*features[name]) for name in schema.categorical),
    )


def _count_levels(levels: np.ndarray, codes: np.ndarray) -> Counter[str]:
    """Rows of each level; the same level may have several codes."""
    counts: Counter[str] = Counter()
    for level, rows in zip(levels, np.bincount(codes, minlength=len(levels)).tolist(), strict=True):
        if rows:
            counts[level] += rows
    return counts


def _keep_commonest(levels: Counter[str]) -> Counter[str]:
    return Counter(dict(levels.most_common(MOST_LEVELS))) if len(levels) > MOST_LEVELS else levels


def sum_counts(counts: Iterable[Counts]) -> Counts:
    """The sum of several counts."""
    return reduce(lambda a, b: a + b, counts)
