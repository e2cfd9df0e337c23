"""Compares one column of a window with training: how surprising the difference is, and how large.

r and w are counts [B] of the reference and of the window, by cell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from churn.monitor.drift import measures
from churn.monitor.drift.reference import Category


@dataclass(frozen=True)
class ColumnChange:
    """How much a column changed."""

    p: float  # corrected for the several tests of a column, therefore possibly above 1
    psi: float  # population stability index less its bias
    shift: float | None  # in standard deviations; None for categories


def compare_ordered(
    r: np.ndarray, w: np.ndarray, missing: tuple[int, int, int, int] | None = None
) -> ColumnChange:
    """The change of a number, or of the score, from counts in ordered cells.

    missing: missing rows and all rows of the reference, then of the window.
    """
    coarse_r, coarse_w = measures.merge_cells(r), measures.merge_cells(w)
    tests = [measures.p_location(r, w), measures.p_cells(coarse_r, coarse_w)]
    if missing:
        tests.append(measures.p_share(*missing))
        coarse_r, coarse_w = np.append(coarse_r, missing[0]), np.append(coarse_w, missing[2])
    psi = measures.corrected_psi(coarse_r, coarse_w)
    return ColumnChange(len(tests) * min(tests), psi, measures.corrected_shift(r, w))


def compare_levels(category: Category, r: np.ndarray, w: np.ndarray, window_rows: int) -> ColumnChange:
    """The change of a category; the last cell counts the levels that training did not see, or rarely.

    r: `category.counts`, or how many of these rows are independent.
    """
    rows = float(r.sum())
    few = float(r[-1]), category.least, category.next * rows / max(int(category.counts.sum()), 1)
    tests = measures.p_cells(r, w, unseen=True), measures.p_unseen(int(w[-1]), few, rows, window_rows)
    return ColumnChange(2 * min(tests), measures.corrected_psi(*_pool_rare_levels(r, w)), None)


def _pool_rare_levels(r: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The counts with all rare levels in one cell; unseen levels keep a cell of their own."""
    rare = (r + w)[:-1] * min(r.sum(), w.sum()) < measures.EXPECTED * (r.sum() + w.sum())
    pooled = [np.concatenate([x[:-1][~rare], [x[:-1][rare].sum(), x[-1]]]) for x in (r, w)]
    return pooled[0], pooled[1]
