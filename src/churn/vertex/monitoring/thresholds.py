"""Drift thresholds of each feature for Vertex AI's monitoring.

Vertex AI measures drift with TensorFlow Data Validation. For numbers that is the Jensen-Shannon divergence,
in bits, of two histograms of 10 equal buckets, each over the range of its own window, laid over one another
(metrics.cc); for categories the greatest change of a level's share. The distance of two windows without
drift depends on the feature: under .02 for a normal one, over .3 for one with a long tail, because its
range differs from window to window. Therefore pairs of windows are drawn from the training profile. A
threshold is what they exceed in one of a hundred comparisons, all features together, or the least change
that is worth an alarm, whichever is greater.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from typing import Any

import numpy as np

from churn.bundle.bundle import Bundle
from churn.data.contract import MISSING_BELOW

BUCKETS = 10
PAIRS = 100  # of windows, drawn for each feature
FALSE_ALARMS = 0.01  # share of the comparisons that exceed a threshold, all features together
LEAST_DIVERGENCE = 0.02  # bits: about a third of a normal feature's standard deviation
LEAST_SHARE = 0.1  # ten points, but at most half of the commonest level's share
BLIND = 0.5  # above this threshold the monitoring sees almost nothing


@cache
def drift_thresholds(bundle: Bundle, rows: int) -> dict[str, float]:
    """Drift threshold of each input for windows of `rows` rows; at most 1, the largest possible distance.

    >>> drift_thresholds(Bundle.load(path), 1000)
    {'tenure': 1.0, 'MonthlyCharges': 0.02, 'gender': 0.1}
    """
    random, profile = np.random.default_rng(0), bundle.profile
    false_alarms = FALSE_ALARMS / len(bundle.facts["inputs"])
    limits = {}
    for field in bundle.facts["inputs"]:
        if field["kind"] == "number":
            column = profile["numeric"][field["column"]]
            distances, least = _number_distances(column, rows, random), LEAST_DIVERGENCE
        else:
            rare = profile.get("rare", {}).get(field["column"], {"rows": 0})["rows"]
            counts = np.array([*profile["categorical"][field["column"]].values(), rare], float)
            shares = counts / counts.sum()
            distances = _category_distances(shares, rows, random)
            least = min(LEAST_SHARE, float(shares.max()) / 2)
        limits[field["input"]] = round(min(max(_upper_quantile(distances, false_alarms), least), 1.0), 4)
    return limits


def _number_distances(column: Mapping[str, Any], rows: int, random: np.random.Generator) -> np.ndarray:
    """[PAIRS] divergences of two windows without drift."""
    draw = partial(sample_number, column, rows, random)
    return np.array([divergence(draw(), draw()) for _ in range(PAIRS)])


def _category_distances(shares: np.ndarray, rows: int, random: np.random.Generator) -> np.ndarray:
    """[PAIRS] greatest changes of a level's share between two windows without drift."""
    windows = random.multinomial(rows, shares, (2, PAIRS)) / rows
    return np.abs(windows[0] - windows[1]).max(axis=1)


def unseen_drift(bundle: Bundle, limits: Mapping[str, float]) -> list[str]:
    """Inputs whose drift the monitoring can hardly see.

    These are inputs with a high threshold, and numbers with missing values: the number that is sent for a
    missing value is so far away that all other values share one bucket.
    """
    gaps = {name for name, column in bundle.profile["numeric"].items() if column["missing"]}
    fields = [field for field in bundle.facts["inputs"] if field["input"] in limits]
    return [f["input"] for f in fields if limits[f["input"]] > BLIND or f["column"] in gaps]


def _upper_quantile(values: np.ndarray, share: float) -> float:
    """The value that a small share exceeds, by the gamma distribution with the same mean and variance."""
    from scipy.stats import gamma

    mean, variance = values.mean(), values.var()
    return float(gamma.isf(share, mean**2 / variance, scale=variance / mean)) if variance else float(mean)


def sample_number(column: Mapping[str, Any], rows: int, random: np.random.Generator) -> np.ndarray:
    """[rows] values drawn from a numeric column's profile: uniform within bins, tails in the outer bins.

    A missing value is drawn as `MISSING_BELOW`, the number that is sent for it.
    """
    if column["lowest"] is None:
        return np.full(rows, MISSING_BELOW)
    counts = np.array([*column["counts"], column["missing"]], float)
    edges = np.array([column["lowest"], *column["edges"], column["highest"], MISSING_BELOW])
    bins, position = random.choice(len(counts), rows, p=counts / counts.sum()), 1 - random.random(rows)
    last = len(counts) - 2  # the bin after it is "missing"
    values = edges[bins] + position * (edges[bins + 1] - edges[bins])
    values[bins > last] = MISSING_BELOW
    if last >= 2:
        top, bottom = bins == last, bins == 0
        values[top] = sample_tail(edges[last - 1 : last + 2], counts[last - 1 : last + 1], position[top])
        values[bottom] = -sample_tail(-edges[2::-1], counts[1::-1], position[bottom])
    return values


def sample_tail(edges: np.ndarray, counts: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Values in the outer of two bins, at positions from 0 (far out) to 1 (its inner edge).

    edges [3]: of the two bins, outermost last, where the farthest training row was. counts [2]: training rows
    in each bin. The generalised Pareto distribution through these three points, its shape between -3 and 2.
    """
    inner, edge, outer = edges
    if not inner < edge < outer or not counts.all():
        return edge + (1 - position) * (outer - edge)
    ratio = counts.sum() / counts[1]
    shape = _pareto_shape(counts.sum(), ratio, (outer - inner) / (edge - inner))
    return inner + (edge - inner) * ((ratio / position) ** shape - 1) / (ratio**shape - 1)


def _pareto_shape(rows: float, ratio: float, reach: float) -> float:
    """The shape at which the farthest of `rows` rows lies `reach` times as far out as one row in `ratio`."""
    from scipy.optimize import brentq

    def excess(shape: float) -> float:
        shape = shape or 1e-9
        return float((rows**shape - 1) / (ratio**shape - 1) - reach)

    lowest, highest = -3.0, 2.0
    if excess(lowest) >= 0:
        return lowest
    return highest if excess(highest) <= 0 else brentq(excess, lowest, highest) or 1e-9


def divergence(first: np.ndarray, second: np.ndarray) -> float:
    """Jensen-Shannon divergence of two samples in bits, as TensorFlow Data Validation measures it.

    >>> divergence(np.zeros(9), np.ones(9))
    1.0
    """
    from scipy.special import rel_entr

    samples = [(values, _histogram_edges(values)) for values in (first, second)]
    bounds = np.union1d(samples[0][1], samples[1][1])
    shares = [_shares_between(bounds, values, edges) for values, edges in samples]
    mean = (shares[0] + shares[1]) / 2
    return float(sum(rel_entr(share, mean).sum() for share in shares) / 2 / np.log(2))


def _histogram_edges(values: np.ndarray) -> np.ndarray:
    """[BUCKETS + 1] edges of the histogram of a sample."""
    lowest, highest = values.min(), values.max()
    return np.linspace(lowest, max(highest, np.nextafter(lowest, np.inf)), BUCKETS + 1)


def _shares_between(bounds: np.ndarray, values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Share of the values between neighbouring bounds, if they are uniform within their buckets."""
    counts, _ = np.histogram(values, edges)
    below = np.interp(bounds, edges, np.append(0, np.cumsum(counts)) / len(values))
    return np.maximum(np.diff(below), 0)  # rounding could make them negative
