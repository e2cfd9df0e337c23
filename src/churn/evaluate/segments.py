"""Segments: how good the probabilities are in parts of the customers, such as each level of a contract."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from churn.data.customers import number_customers
from churn.evaluate.bootstrap import Estimate
from churn.evaluate.clustered import auc_interval

SEGMENTED_FEATURES = 8  # the most important ones are divided into segments
QUARTERS = 4  # groups of a number, about equally large
MIN_EACH = 10  # churners, and stayers, that a group must have; smaller groups of a feature are merged
OTHERS = "others"


@dataclass(frozen=True)
class Segment:
    """The test rows with one level of a category, or with a number in one range."""

    feature: str
    group: str
    rows: int
    churn_rate: float
    mean_probability: float
    roc_auc: Estimate  # within the segment
    deviates: bool  # whether the two rates differ by more than chance, given the number of segments

    def to_json(self) -> dict[str, Any]:
        """The fields, the estimate as an object."""
        return vars(self) | {"roc_auc": self.roc_auc.to_json()}


def measure_segments(
    frame: pd.DataFrame, churned: np.ndarray, probability: np.ndarray, ids: np.ndarray | None = None
) -> list[Segment]:
    """The segments by each column of `frame`, the worst first; [n] labels, probabilities and customers.

    First come segments whose churn rate deviates from the predicted one (two-sided test of the count at 5 %,
    divided by the number of segments; rows of one customer may share their outcome), then those with the
    lowest ROC AUC.

    >>> measure_segments(test.frame[["Contract"]], test.churned, probability)
    """
    groups = [
        (str(name), group, rows)
        for name in frame
        for group, rows in group_rows(frame[name], churned, ids).items()
    ]
    limit = norm.isf(0.025 / max(1, len(groups)))
    customer = number_customers(ids, len(churned))

    def measure(feature: str, group: str, rows: np.ndarray) -> Segment:
        left, chance = churned[rows], probability[rows]
        surprise = left - chance
        shared = (np.bincount(customer[rows], surprise) ** 2).sum() - (surprise**2).sum()
        error = np.sqrt((chance * (1 - chance)).sum() + max(shared, 0.0))
        deviates = bool(abs(surprise.sum()) > limit * max(error, 1e-9))
        auc = auc_interval(left, chance, customer[rows])
        return Segment(feature, group, len(rows), float(left.mean()), float(chance.mean()), auc, deviates)

    segments = [measure(*group) for group in groups]
    return sorted(segments, key=lambda segment: (not segment.deviates, segment.roc_auc.value))


def group_rows(
    values: pd.Series, churned: np.ndarray, ids: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Positions of the rows by group; empty if all rows would be one group."""
    customer = number_customers(ids, len(values))

    def is_large(rows: np.ndarray) -> bool:
        each = (rows[churned[rows] == label] for label in (0, 1))
        return all(len(np.unique(customer[same])) >= MIN_EACH for same in each)

    parts = list(divide(values))
    large = [(name, rows) for name, rows in parts if is_large(rows)]
    merged = np.concatenate([np.empty(0, int), *(rows for _, rows in parts if not is_large(rows))])
    if is_large(merged):
        large.append((OTHERS, merged))
    names = distinct_names(name for name, _ in large)
    return dict(zip(names, (rows for _, rows in large), strict=True)) if len(large) > 1 else {}


def divide(values: pd.Series) -> Iterator[tuple[str, np.ndarray]]:
    """Distinct names and positions of the levels of a category, or of a number's quarters and its blanks."""
    parts = list(_quarters(values) if pd.api.types.is_numeric_dtype(values) else _levels(values))
    names = distinct_names(name for name, _ in parts)
    return zip(names, (rows for _, rows in parts), strict=True)


def distinct_names(names: Iterable[str]) -> Iterator[str]:
    """The names; one that was there before has a number.

    >>> list(distinct_names(["missing", "others", "missing"]))
    ['missing', 'others', 'missing (2)']
    """
    taken: set[str] = set()
    for name in names:
        numbered = chain([name], (f"{name} ({number})" for number in count(2)))
        taken.add(free := next(each for each in numbered if each not in taken))
        yield free


def _levels(values: pd.Series) -> Iterator[tuple[str, np.ndarray]]:
    for level, rows in values.groupby(values).indices.items():
        yield str(level) or "missing", np.asarray(rows)


def _quarters(values: pd.Series) -> Iterator[tuple[str, np.ndarray]]:
    number = values.to_numpy(float)
    known = np.flatnonzero(~np.isnan(number))
    if len(known):
        cuts = np.quantile(number[known], np.linspace(0, 1, QUARTERS + 1)[1:-1])
        quarter = np.searchsorted(np.unique(cuts), number[known])
        for i in np.unique(quarter):
            rows = known[quarter == i]
            low, high = number[rows].min(), number[rows].max()
            yield f"{low:,.6g}" if low == high else f"{low:,.6g} … {high:,.6g}", rows
    if len(known) < len(number):
        yield "missing", np.flatnonzero(np.isnan(number))
