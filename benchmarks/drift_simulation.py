"""Simulated drift, and the alarms of our policy and of the defaults of others: for `drift.py`.

Twenty features: ten numbers (five normal, five lognormal, five of the ten with 1 % missing) and ten
categories of 2 to 200 levels. Each run draws a reference, its profile, and windows. For our policy, windows
are drawn as counts in the cells of the profile, with the probabilities of the cells under the true
distributions: this is the same as drawing rows. For the defaults of others, rows are drawn.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.spatial.distance import jensenshannon
from scipy.special import erf
from scipy.stats import chi2_contingency, ks_2samp, wasserstein_distance

from churn.monitor.drift.alarm import DriftPolicy
from churn.monitor.drift.compare import compare_with_training
from churn.monitor.drift.profile import number_profile
from churn.monitor.drift.reference import GRID, GRID_LOG_ODDS, Reference
from churn.monitor.drift.summary import Summary

LEVELS = (2, 2, 3, 3, 5, 5, 10, 20, 50, 200)
NUMBERS = 10
SCORE = (-1.2, 1.3)  # mean and standard deviation of the log-odds that the model gives


@dataclass(frozen=True)
class World:
    """True distributions; numbers are normal or lognormal. Number 0 and category 4 may drift."""

    mean: float = 0.0  # of number 0
    spread: float = 1.0  # of number 0
    missing: float = 0.01  # of number 0
    share: float = 0.1  # of level 0 of category 4, which has five levels
    new: float = 0.0  # share of a level of category 4 that training did not have

    def number(self, i: int) -> tuple[float, float, float]:
        """Mean, spread and missing share of a number, before its transform."""
        return (self.mean, self.spread, self.missing) if i == 0 else (0.0, 1.0, 0.01 * (i % 2 == 0))

    def category(self, i: int) -> np.ndarray:
        """Shares of the levels, then of a new one."""
        levels = LEVELS[i]
        if i == 4:
            shares = np.r_[self.share, np.full(levels - 1, (1 - self.share) / (levels - 1))]
            return np.r_[shares * (1 - self.new), self.new]
        falling = 1 / np.arange(1, levels + 1)
        return np.r_[falling / falling.sum(), 0]


DRIFTS = {  # by name: the world, and the feature that must raise the alarm
    "mean 0.1 sd (not worth an alarm)": (World(mean=0.1), "n0"),
    "mean 0.2 sd": (World(mean=0.2), "n0"),
    "mean 0.3 sd": (World(mean=0.3), "n0"),
    "spread x 1.25": (World(spread=1.25), "n0"),
    "missing 1 to 5 %": (World(missing=0.05), "n0"),
    "new level 1 %": (World(new=0.01), "c4"),
    "share 10 to 15 %": (World(share=0.15), "c4"),
    "share 10 to 20 %": (World(share=0.2), "c4"),
}


def transform(i: int, values: np.ndarray) -> np.ndarray:
    """Every other number is lognormal; number 0 is normal."""
    return np.exp(values) if i % 2 else values


def draw_values(world: World, name: str, n: int, random: np.random.Generator) -> np.ndarray:
    """[n] values of a feature: numbers with NaN, or levels as integers."""
    i = int(name[1:])
    if name.startswith("c"):
        shares = world.category(i)
        return random.choice(len(shares), n, p=shares)
    mean, spread, missing = world.number(i)
    values = transform(i, random.normal(mean, spread, n))
    return np.where(random.random(n) < missing, np.nan, values)


def draw_reference(m: int, random: np.random.Generator) -> Reference:
    """The profile of m training rows, with the scores of as many others."""
    world = World()
    numbers = {
        f"n{i}": number_profile(draw_values(world, f"n{i}", m, random).astype(np.float32))
        for i in range(NUMBERS)
    }
    counts = {f"c{i}": random.multinomial(m, world.category(i))[:-1] for i in range(len(LEVELS))}
    categories = {
        name: {f"level {level}": int(count) for level, count in enumerate(levels) if count}
        for name, levels in counts.items()
    }
    score = random.multinomial(m, score_shares())
    return Reference({"rows": m, "numeric": numbers, "categorical": categories, "score": score.tolist()})


def score_shares() -> np.ndarray:
    """[GRID] true probability of each grid cell of the score."""
    edges = np.r_[-np.inf, np.arange(1, GRID) * (2 * GRID_LOG_ODDS / GRID) - GRID_LOG_ODDS, np.inf]
    return np.diff(normal_cdf((edges - SCORE[0]) / SCORE[1]))


def normal_cdf(z: np.ndarray) -> np.ndarray:
    """The standard normal distribution function."""
    return (1 + erf(z / np.sqrt(2))) / 2


def draw_window(world: World, reference: Reference, n: int, random: np.random.Generator) -> Summary:
    """The summary of a window of n rows."""
    summary = Summary(reference)
    summary.rows = n
    for name, number in reference.numbers.items():
        mean, spread, missing = world.number(int(name[1:]))
        inner = number.bounds[1:-1].astype(float)
        edges = np.log(inner) if int(name[1:]) % 2 else inner
        shares = np.diff(normal_cdf((np.r_[-np.inf, edges, np.inf] - mean) / spread)) * (1 - missing)
        summary.counts[name] = random.multinomial(n, np.r_[shares, missing])
    for name, category in reference.categories.items():
        counts = random.multinomial(n, world.category(int(name[1:])))
        seen = np.array([int(level.split()[1]) for level in category.cell])
        summary.counts[name] = np.r_[counts[seen], n - counts[seen].sum()]
    summary.score = random.multinomial(n, score_shares())
    return summary


def simulate_ours(
    runs: int, sizes: dict[int, list[int]], worlds: dict[str, Any], seed: int
) -> list[dict[str, Any]]:
    """Share of runs with a warning or an alarm: of the feature that drifts; without drift, of any feature.

    sizes: rows of the windows by rows of the reference. Each reference has two windows of each kind.
    """
    random = np.random.default_rng(seed)
    policy, cells = DriftPolicy(permutations=0), []
    for m, windows in sizes.items():
        counts = {(n, name): 0 for n in windows for name in worlds}
        for _ in range(max(1, runs // 2)):
            reference = draw_reference(m, random)
            for n, name in list(counts) * 2:
                world, feature = worlds[name]
                report = compare_with_training(reference, draw_window(world, reference, n, random), policy)
                status = report.features[feature].status if feature else report.status
                counts[n, name] += status != "ok"
        tried = 2 * max(1, runs // 2)
        cells += [
            {"reference": m, "window": n, "drift": name, "alarms": alarms / tried, "runs": tried}
            for (n, name), alarms in counts.items()
        ]
    return cells


def evidently(reference: np.ndarray, current: np.ndarray, name: str) -> tuple[float, bool]:
    """The statistic of evidently 0.7.23 for a column by default, and whether it counts as drift.

    From its source. Up to 1,000 reference rows: p-values (Kolmogorov-Smirnov; chi-square or, of two levels, a
    z-test) below 0.05. Above: the Wasserstein distance over the reference's standard deviation, or the
    Jensen-Shannon distance (natural logarithm) of categories, from 0.1 on. Missing numbers are dropped.
    """
    if name.startswith("n"):
        old, new = reference[~np.isnan(reference)], current[~np.isnan(current)]
        if len(reference) <= 1000:
            p = float(ks_2samp(old, new).pvalue)
            return p, p < 0.05
        distance = float(wasserstein_distance(old, new) / max(old.std(), 0.001))
        return distance, distance >= 0.1
    counts = np.array(
        [np.bincount(x, minlength=max(reference.max(), current.max()) + 1) for x in (reference, current)]
    )
    counts = counts[:, counts.sum(axis=0) > 0]
    if len(reference) <= 1000:
        p = float(chi2_contingency(counts, correction=False).pvalue) if counts.shape[1] > 1 else 1.0
        return p, p < 0.05
    distance = float(jensenshannon(*counts))
    return distance, distance >= 0.1


def vertex(reference: np.ndarray, current: np.ndarray, name: str) -> tuple[float, bool]:
    """The statistic of Vertex AI's monitoring, and whether it reaches the default threshold of 0.3.

    From its documentation: the Jensen-Shannon divergence of numbers (in bits, in ten equally wide buckets,
    as in TensorFlow Data Validation), the greatest change of a level's share of categories.
    """
    if name.startswith("n"):
        old, new = reference[~np.isnan(reference)], current[~np.isnan(current)]
        edges = np.histogram_bin_edges(np.r_[old, new], 10)
        shares = [np.histogram(x, edges)[0] for x in (old, new)]
        distance = float(jensenshannon(*shares, base=2) ** 2)
    else:
        size = max(reference.max(), current.max()) + 1
        distance = float(
            np.abs(
                np.bincount(reference, minlength=size) / len(reference)
                - np.bincount(current, minlength=size) / len(current)
            ).max()
        )
    return distance, distance >= 0.3


DEFAULTS: dict[str, Callable[..., tuple[float, bool]]] = {"evidently": evidently, "vertex": vertex}
FEATURES = [*(f"n{i}" for i in range(NUMBERS)), *(f"c{i}" for i in range(len(LEVELS)))]


FEW_LEVELS = FEATURES[:-2]  # without 50 and 200 levels, which always alarm evidently: in its favour


def simulate_defaults(runs: int, m: int, windows: list[int], seed: int) -> list[dict[str, Any]]:
    """The same shares for the defaults of others; without drift, of any feature with at most 20 levels."""
    random = np.random.default_rng(seed)
    cells = []
    for n in windows:
        for kind, (world, feature) in {"none": (World(), ""), **DRIFTS}.items():
            alarms, half_of_columns = dict.fromkeys(DEFAULTS, 0), 0
            for _ in range(runs):
                names = [feature] if feature else FEW_LEVELS
                pairs = [
                    (name, draw_values(World(), name, m, random), draw_values(world, name, n, random))
                    for name in names
                ]
                for peer, test in DEFAULTS.items():
                    flags = [test(old, new, name)[1] for name, old, new in pairs]
                    alarms[peer] += any(flags)
                    if peer == "evidently":
                        half_of_columns += sum(flags) >= len(FEATURES) / 2
            shared = {"reference": m, "window": n, "drift": kind, "runs": runs}
            cells += [shared | {"peer": peer, "alarms": count / runs} for peer, count in alarms.items()]
            half = {"peer": "evidently, half of the columns", "alarms": half_of_columns / runs}
            cells.append(shared | half)
    return cells


def no_drift() -> dict[str, Any]:
    """The world without drift, in which an alarm of any feature counts."""
    return {"none": (replace(World()), "")}
