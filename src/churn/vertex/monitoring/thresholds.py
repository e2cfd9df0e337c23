"""From which distance on Vertex AI's monitoring is to call a feature's change drift.

Vertex AI measures with TensorFlow Data Validation: numbers by the Jensen-Shannon divergence, in bits, of two
histograms of 10 equal buckets over their own ranges, laid over one another (metrics.cc), categories by the
greatest change of a level's share. What such a distance comes to by chance depends on the feature: under .02
for a normal one, over .3 for one with a long tail, whose range differs from window to window. So pairs of
windows are drawn from the training profile, and the threshold is what they exceed in one of a hundred
comparisons of all features together, or, if more, the least change that is worth an alarm.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from typing import Any

import numpy as np

from churn.bundle.bundle import Bundle
from churn.data.dataset import MISSING_BELOW

BUCKETS = 10
PAIRS = 100  # of windows that are drawn
FALSE_ALARMS = 0.01  # of all features together, for each look
LEAST_DIVERGENCE = 0.02  # bits: about a third of a normal feature's standard deviation
LEAST_SHARE = 0.1  # ten points, but no more than half of the commonest level's share
BLIND = 0.5  # with a higher threshold the monitoring sees next to nothing


@cache
def drift_thresholds(bundle: Bundle, rows: int) -> dict[str, float]:
    """By input: the distance of two windows of so many rows that is drift, at most 1, which none exceeds."""
    random, told = np.random.default_rng(0), bundle.profile
    exceeded = FALSE_ALARMS / len(bundle.facts["inputs"])
    limits = {}
    for field in bundle.facts["inputs"]:
        if field["kind"] == "number":
            draw = partial(sample_number, told["numeric"][field["column"]], rows, random)
            chance, least = [divergence(draw(), draw()) for _ in range(PAIRS)], LEAST_DIVERGENCE
        else:
            share = np.array([*told["categorical"][field["column"]].values()], float)
            share /= share.sum()
            windows = random.multinomial(rows, share, (2, PAIRS)) / rows
            chance, least = (
                np.abs(windows[0] - windows[1]).max(axis=1),
                min(LEAST_SHARE, float(share.max()) / 2),
            )
        limits[field["input"]] = round(min(max(_upper_quantile(np.array(chance), exceeded), least), 1.0), 4)
    return limits


def unseen_drift(bundle: Bundle, limits: Mapping[str, float]) -> list[str]:
    """Inputs whose drift the monitoring can hardly see.

    Beside those with a high threshold they are numbers with gaps: the number that stands for a gap is so far
    off that all others share a bucket.
    """
    gaps = {column for column, told in bundle.profile["numeric"].items() if told["missing"]}
    fields = [field for field in bundle.facts["inputs"] if field["input"] in limits]
    return [f["input"] for f in fields if limits[f["input"]] > BLIND or f["column"] in gaps]


def _upper_quantile(values: np.ndarray, share: float) -> float:
    """What a small share of such values exceed, by the gamma distribution of their mean and variance."""
    from scipy.stats import gamma

    mean, variance = values.mean(), values.var()
    return float(gamma.isf(share, mean**2 / variance, scale=variance / mean)) if variance else float(mean)


def sample_number(told: Mapping[str, Any], rows: int, random: np.random.Generator) -> np.ndarray:
    """[rows] values of a numeric column as the profile knows it: even within bins, outer ones being tails.

    What is missing is the number that is sent in its place.
    """
    if told["lowest"] is None:
        return np.full(rows, MISSING_BELOW)
    counts = np.array([*told["counts"], told["missing"]], float)
    bounds = np.array([told["lowest"], *told["edges"], told["highest"], MISSING_BELOW])
    cell, place = random.choice(len(counts), rows, p=counts / counts.sum()), 1 - random.random(rows)
    last = len(counts) - 2  # bin; the cell after it is "missing"
    values = bounds[cell] + place * (bounds[cell + 1] - bounds[cell])
    values[cell > last] = MISSING_BELOW
    if last >= 2:
        top, bottom = cell == last, cell == 0
        values[top] = sample_tail(bounds[last - 1 : last + 2], counts[last - 1 : last + 1], place[top])
        values[bottom] = -sample_tail(-bounds[2::-1], counts[1::-1], place[bottom])
    return values


def sample_tail(bounds: np.ndarray, counts: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Values of the outer of two bins at places from 0 (far out) to 1 (its inner edge).

    bounds [3]: the bins' edges, outermost last, where the farthest of counts [2] training rows lay. The
    generalised Pareto distribution through these three points, its shape between -3 and 2.
    """
    from scipy.optimize import brentq

    inner, edge, outer = bounds
    if not inner < edge < outer or not counts.all():
        return edge + (1 - place) * (outer - edge)
    rows, ratio = counts.sum(), counts.sum() / counts[1]

    def too_short(shape: float) -> float:
        shape = shape or 1e-9
        return float((rows**shape - 1) / (ratio**shape - 1) - (outer - inner) / (edge - inner))

    ends = (-3.0, 2.0)
    beyond = [end for end, sign in zip(ends, (1, -1), strict=True) if too_short(end) * sign >= 0]
    shape = (beyond[0] if beyond else brentq(too_short, *ends)) or 1e-9
    return inner + (edge - inner) * ((ratio / place) ** shape - 1) / (ratio**shape - 1)


def divergence(one: np.ndarray, other: np.ndarray) -> float:
    """Jensen-Shannon divergence of two samples in bits, as TensorFlow Data Validation measures it."""
    from scipy.special import rel_entr

    first, second = _histogram_edges(one), _histogram_edges(other)
    bounds = np.union1d(first, second)
    shares = [_shares_between(bounds, one, first), _shares_between(bounds, other, second)]
    middle = (shares[0] + shares[1]) / 2
    return float(sum(rel_entr(share, middle).sum() for share in shares) / 2 / np.log(2))


def _histogram_edges(values: np.ndarray) -> np.ndarray:
    """[11] edges of the histogram of a sample."""
    lowest, highest = values.min(), values.max()
    return np.linspace(lowest, max(highest, np.nextafter(lowest, np.inf)), BUCKETS + 1)


def _shares_between(bounds: np.ndarray, values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Share of the values between each two bounds, were they even within the buckets of their histogram."""
    counts, _ = np.histogram(values, edges)
    below = np.interp(bounds, edges, np.append(0, np.cumsum(counts)) / len(values))
    return np.maximum(np.diff(below), 0)  # rounding could make them negative
