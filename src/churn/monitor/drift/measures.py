"""Distances between two sets of counts, and p-values of their difference.

r and w are counts [B] of the reference (m rows) and of the window (n rows), by cell.
"""

from __future__ import annotations

import numpy as np
from scipy.special import bdtr, bdtrc, chdtrc, erfc, kolmogorov, nbdtrc, ndtri

EXPECTED = 5  # rows that a test's cell must have by expectation; sparser cells are pooled


def corrected_psi(r: np.ndarray, w: np.ndarray) -> float:
    """The population stability index less its expectation without drift, (B - 1)(1/m + 1/n).

    Half a row is added to each cell.
    """
    used = r + w > 0
    r, w = r[used] + 0.5, w[used] + 0.5
    p, q = r / r.sum(), w / w.sum()
    return float(((q - p) * np.log(q / p)).sum() - (len(r) - 1) * (1 / r.sum() + 1 / w.sum()))


def jensen_shannon(r: np.ndarray, w: np.ndarray) -> float:
    """The Jensen-Shannon distance to the base 2: 0 for equal shares, 1 without a common cell."""
    p, q = r / max(r.sum(), 1), w / max(w.sum(), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [np.where(x > 0, x * np.log2(2 * x / (p + q)), 0).sum() for x in (p, q)]
    return float(np.sqrt(max(sum(parts), 0) / 2))


def normal_scores(r: np.ndarray) -> np.ndarray:
    """[B] the standard normal score of the middle of each cell, by the ranks of the reference."""
    share = r / max(r.sum(), 1)
    return np.asarray(ndtri(np.clip(np.cumsum(share) - share / 2, 1e-3, 1 - 1e-3)))


def corrected_shift(r: np.ndarray, w: np.ndarray) -> float:
    """The shift of the values, in standard deviations of a normal distribution with the same ranks.

    It is the Wasserstein distance of the normal scores; what sampling adds to its square is taken off.
    """
    m, n = r.sum(), w.sum()
    if m == 0 or n == 0 or len(r) < 2:
        return 0.0
    gaps = np.diff(normal_scores(r))
    below = np.cumsum(r)[:-1] / m
    distance = (np.abs(np.cumsum(w)[:-1] / n - below) * gaps).sum()
    noise = (np.sqrt(2 / np.pi * below * (1 - below) * (1 / m + 1 / n)) * gaps).sum()
    return float(np.sqrt(max(distance**2 - noise**2, 0)))


def p_location(r: np.ndarray, w: np.ndarray) -> float:
    """The p-value of a shift of an ordered column.

    The test uses the mean normal score. If cells are sparse, it uses the Kolmogorov-Smirnov distance over the
    cells; the p-value is then rather too large than too small.
    """
    m, n = r.sum(), w.sum()
    if m == 0 or n == 0:
        return 1.0
    both = r + w
    if len(r) >= 10 and both.min() * min(m, n) / (m + n) >= EXPECTED:
        scores = normal_scores(both)
        mean = both @ scores / (m + n)
        variance = both @ (scores - mean) ** 2 / (m + n - 1) * (1 / m + 1 / n)
        return float(erfc(abs(w @ scores / n - r @ scores / m) / np.sqrt(2 * variance)))
    distance = np.abs(np.cumsum(r) / m - np.cumsum(w) / n).max()
    return float(kolmogorov(distance / np.sqrt(1 / m + 1 / n)))


def p_cells(r: np.ndarray, w: np.ndarray, unseen: bool = False) -> float:
    """The p-value of the chi-square test for equal shares; sparse cells are pooled.

    unseen: the last cell counts levels that the reference lacks. Without drift each of them is sparse.
    """
    m, n = r.sum(), w.sum()
    both = r + w
    sparse = both * min(m, n) < EXPECTED * (m + n)
    sparse[-1] |= unseen
    pooled = np.array([np.append(x[~sparse], x[sparse].sum()) for x in (r, w)])
    total = pooled.sum(axis=0)
    pooled, total = pooled[:, total > 0], total[total > 0]
    if len(total) < 2 or min(m, n) == 0:
        return 1.0
    expected = total * np.array([[m], [n]]) / (m + n)
    if expected[:, -1].min() < EXPECTED and sparse.any():  # the pool itself is too sparse
        pooled, expected = pooled[:, :-1], expected[:, :-1]
        if pooled.shape[1] < 2:
            return 1.0
        expected = pooled.sum(axis=0) * pooled.sum(axis=1, keepdims=True) / pooled.sum()
    return float(chdtrc(pooled.shape[1] - 1, ((pooled - expected) ** 2 / expected).sum()))


def p_share(r: int, m: int, w: int, n: int) -> float:
    """The p-value for equal shares, r of m and w of n rows: chi-square, or binomial (too large) if few."""
    total = r + w
    if total == 0 or total == m + n:
        return 1.0
    if min(total, m + n - total) * min(m, n) / (m + n) >= EXPECTED:
        return p_cells(np.array([r, m - r]), np.array([w, n - w]))
    share = n / (m + n)
    few = total <= m + n - total  # count the rarer of the two outcomes
    k, total = (w, total) if few else (n - w, m + n - total)
    upper = 1.0 if k == 0 else float(bdtrc(k - 1, total, share))
    return min(1.0, 2 * min(upper, float(bdtr(k, total, share))))


def p_unseen(unseen: int, few: tuple[float, int, float], m: float, n: int) -> float:
    """The p-value of `unseen` rows of levels that the reference has not, or only in a few rows.

    few: the reference's rows of such levels, the least rows of other levels, and how many of these have just
    so many; where every level is named, (0, 1, levels with a single row). Without drift a window has as many
    unseen rows as the reference has of such levels, and of those that have just one row too many (Good 1953).
    They are compared with a negative binomial distribution: for each of those rows a geometric number, where
    the next row of a level belongs to the reference with the reference's share of all rows.
    """
    rows, least, levels = few
    mean = rows + least * levels
    spread = np.sqrt(rows + least**2 * levels)
    # More than mean + 1, because `mean` is random itself.
    known = int(np.ceil(mean)) + 2 * least + int(np.ceil(2 * spread))
    return 1.0 if unseen == 0 else float(nbdtrc(unseen - 1, known, m / (m + n)))


def merge_cells(counts: np.ndarray, bins: int = 10) -> np.ndarray:
    """The counts with neighbouring cells joined, so that at most `bins` are left."""
    starts = np.unique(np.linspace(0, len(counts), bins + 1)[:-1].astype(int))
    return np.add.reduceat(counts, starts)
