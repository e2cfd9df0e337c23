"""How the probabilities do in parts of the customers: short and long tenure, each contract, and so on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import norm, rankdata

from churn.evaluate.bootstrap import Estimate

SEGMENTED_FEATURES = 8  # the most important ones are looked at
QUARTERS = 4  # groups of a number, about equally large
MIN_EACH = 10  # churners, and stayers, that a group must have; smaller groups of a feature are one
OTHERS = "others"


@dataclass(frozen=True)
class Segment:
    """The test rows that have one level of a category, or a number within a range."""

    feature: str
    group: str
    rows: int
    left: float  # share who left
    foretold: float  # mean probability
    roc_auc: Estimate  # within the segment
    wrong: bool  # whether left and foretold differ by more than chance, all segments considered


def measure_segments(frame: pd.DataFrame, churned: np.ndarray, probability: np.ndarray) -> list[Segment]:
    """The segments by each column of `frame`, the worst first; [n] labels and probabilities.

    Worst are those whose churn rate is not the foretold one beyond chance (a two-sided test of the count at
    5 %, divided by the number of segments), then those within which churners are ranked worst.
    """
    groups = [
        (str(name), group, rows) for name in frame for group, rows in group_rows(frame[name], churned).items()
    ]
    limit = norm.isf(0.025 / max(1, len(groups)))

    def measured(feature: str, group: str, rows: np.ndarray) -> Segment:
        left, chance = churned[rows], probability[rows]
        deviation = np.sqrt((chance * (1 - chance)).sum())
        wrong = abs((left - chance).sum()) > limit * max(deviation, 1e-9)
        auc = auc_interval(left, chance)
        return Segment(feature, group, len(rows), float(left.mean()), float(chance.mean()), auc, bool(wrong))

    found = [measured(*one) for one in groups]
    return sorted(found, key=lambda one: (not one.wrong, one.roc_auc.value))


def group_rows(values: pd.Series, churned: np.ndarray) -> dict[str, np.ndarray]:
    """Positions of the rows by group, none if all rows would be one group."""
    kept: dict[str, np.ndarray] = {}
    few = np.empty(0, int)
    for name, rows in divide(values):
        if MIN_EACH <= churned[rows].sum() <= len(rows) - MIN_EACH:
            kept[name] = rows
        else:
            few = np.concatenate([few, rows])
    if MIN_EACH <= churned[few].sum() <= len(few) - MIN_EACH:
        kept[OTHERS] = few
    return kept if sum(map(len, kept.values())) > max(map(len, kept.values()), default=0) else {}


def divide(values: pd.Series) -> Iterator[tuple[str, np.ndarray]]:
    """Names and positions of levels, or of quarters and what is missing."""
    if not pd.api.types.is_numeric_dtype(values):
        for level, rows in values.groupby(values).indices.items():
            yield str(level) or "missing", np.asarray(rows)
        return
    number = values.to_numpy(float)
    known = np.flatnonzero(~np.isnan(number))
    shares = np.linspace(0, 1, QUARTERS + 1)[1:-1] if len(known) else np.empty(0)
    part = np.searchsorted(np.unique(np.quantile(number[known], shares)), number[known])
    for i in np.unique(part):
        inside = known[part == i]
        low, high = number[inside].min(), number[inside].max()
        yield f"{low:,.6g}" if low == high else f"{low:,.6g} … {high:,.6g}", inside
    if len(known) < len(number):
        yield "missing", np.flatnonzero(np.isnan(number))


def auc_interval(churned: np.ndarray, probability: np.ndarray) -> Estimate:
    """ROC AUC with its 95 % interval (DeLong, DeLong and Clarke-Pearson 1988)."""
    left = churned == 1
    ranks = rankdata(probability)
    above = (ranks[left] - rankdata(probability[left])) / (~left).sum()  # share of stayers below each churner
    below = 1 - (ranks[~left] - rankdata(probability[~left])) / left.sum()
    auc = above.mean()
    error = np.sqrt(above.var(ddof=1) / len(above) + below.var(ddof=1) / len(below))
    return Estimate(float(auc), max(0.0, float(auc - 1.96 * error)), min(1.0, float(auc + 1.96 * error)))
