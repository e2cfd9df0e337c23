"""How the values of a column are spread in training and in a window: the bars of a chart, and the means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from churn.monitor.drift.reference import GRID_PROBABILITY, Category, Number

BARS = 16  # of a number with many values
MANY = 12  # bins from which a number has many values
LEVELS = 6  # of a category that have a bar of their own; those that changed most
MARGIN = 0.25  # of the distance between the outermost inner edges: how far the bars reach beyond them


@dataclass(frozen=True)
class Spread:
    """Shares of the rows with a value, before (training) and after (the window), by bar."""

    labels: list[str]  # of each bar: its level, or the least number in it
    before: list[float]
    after: list[float]
    means: tuple[float, float] | None = None  # in the unit of the column; None for categories
    reach: tuple[float, float] | None = None  # numbers at the left and right end of the bars
    unit: str = ""  # of means and ends; "" for that of the column


def spread_of_number(number: Number, after: np.ndarray, means: tuple[float, float] | None) -> Spread | None:
    """The bars of a number from the counts [B + 1] of its cells, missing rows last; None without numbers."""
    before, after = number.counts[:-1], after[:-1]
    if not before.sum() or not after.sum():
        return None
    edges = number.bounds.astype(float)
    if len(edges) > 2 and edges[0] == edges[1]:  # the least value is an edge, too: the first bin is empty
        edges = edges[1:]
        before, after = (np.r_[counts[0] + counts[1], counts[2:]] for counts in (before, after))
    if len(before) >= MANY:
        edges, before, after = _equally_wide(edges, before, after)
    labels = [f"{edge:.4g}" for edge in edges[:-1]]
    if len(edges) > 2 and edges[-2] == edges[-1]:  # the last bin is for numbers above those of training
        labels[-1] = f"above {labels[-1]}"
        if not after[-1]:
            labels, before, after = labels[:-1], before[:-1], after[:-1]
    return Spread(labels, _shares(before), _shares(after), means, (float(edges[0]), float(edges[-1])))


def _equally_wide(
    edges: np.ndarray, before: np.ndarray, after: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The counts of equally wide bars in place of quantile bins; the outermost hold the long tails, too."""
    beyond = MARGIN * (edges[-2] - edges[1])
    low, high = max(edges[0], edges[1] - beyond), min(edges[-1], edges[-2] + beyond)
    wide = np.linspace(low, high, BARS + 1)
    at = np.r_[edges[0], wide[1:-1], edges[-1]]
    one, other = (np.diff(np.interp(at, edges, np.r_[0, np.cumsum(counts)])) for counts in (before, after))
    return wide, one, other


def spread_of_category(category: Category, after: np.ndarray) -> Spread | None:
    """The bars of the levels that changed most, in the order of training, and of all others together."""
    before, names = category.counts, [level or "missing" for level in category.cell]
    if not before.sum() or not after.sum():
        return None
    shares = np.array([before / before.sum(), after / after.sum()])
    weight = np.abs(shares[1] - shares[0]) + shares.max(axis=0) / 10
    chosen = np.sort(np.argsort(-weight[:-1], kind="stable")[:LEVELS])
    rest = 1 - shares[:, chosen].sum(axis=1)
    labels = [names[i] for i in chosen] + (["others"] if rest.max() > 1e-9 else [])
    bars = np.column_stack([shares[:, chosen], rest])[:, : len(labels)]
    return Spread(labels, _shares(bars[0]), _shares(bars[1]))


def spread_of_score(before: np.ndarray, after: np.ndarray) -> Spread:
    """The bars of the probability from its counts [GRID]: each is five points wide."""
    bar = np.minimum((GRID_PROBABILITY * 20).astype(int), 19)
    counts = [np.bincount(bar, one, 20) for one in (before, after)]
    mean = [float(100 * one @ GRID_PROBABILITY / max(one.sum(), 1)) for one in (before, after)]
    labels = [f"{5 * i} %" for i in range(20)]
    return Spread(labels, _shares(counts[0]), _shares(counts[1]), (mean[0], mean[1]), (0.0, 100.0), " %")


def means_of(profile: Mapping[str, float | None], total: float, rows: int) -> tuple[float, float] | None:
    """The mean of a number in training and in a window; None for the profile of an older version."""
    mean = profile.get("mean")
    return None if mean is None or not rows else (mean, total / rows)


def _shares(counts: Sequence[float] | np.ndarray) -> list[float]:
    return np.round(np.asarray(counts, float) / max(np.sum(counts), 1e-9), 4).tolist()
