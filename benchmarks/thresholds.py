"""Drift that Vertex AI's monitoring detects, with thresholds from the training profile and with .3.

For a feature of each shape: a profile of 5,000 rows, then windows of 1,000 and 10,000 rows without drift,
with the mean moved by .3, .5 and 1 standard deviation, or with the share of the commonest level moved by
5, 10 and 20 points. .3 is Vertex AI's default threshold. Each window is compared with another as Vertex AI
does it (`churn.vertex.monitoring.thresholds.divergence`). Prints the share of windows that are called drift.
"""

from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
from compare import arguments, finish

from churn.monitor.drift.profile import number_profile
from churn.vertex.monitoring.thresholds import divergence, drift_thresholds

Draw = Callable[[np.random.Generator, int], np.ndarray]
NUMBERS: dict[str, Draw] = {
    "even": lambda random, rows: random.random(rows),
    "normal": lambda random, rows: random.normal(size=rows),
    "exponential": lambda random, rows: random.exponential(size=rows),
    "lognormal": lambda random, rows: random.lognormal(size=rows),
}
CATEGORIES = {"2 levels": [0.6, 0.4], "5 levels": [0.4, 0.3, 0.15, 0.1, 0.05], "50 levels": [0.02] * 50}
MOVED = (0.0, 0.3, 0.5, 1.0)  # standard deviations
POINTS = (0.0, 0.05, 0.1, 0.2)  # of the share
ROWS = (1_000, 10_000)
TRAINED, WINDOWS, DEFAULT = 5_000, 300, 0.3


class ProfileBundle(SimpleNamespace):
    """The part of a bundle that `drift_thresholds` needs."""

    __hash__ = object.__hash__


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    options, random = parser.parse_args(), np.random.default_rng(0)
    entries = []
    for rows in ROWS:
        print(f"\n{rows:,} rows: share called drift with the profile's threshold / with {DEFAULT}")
        thresholds = drift_thresholds(make_profile(random), rows)  # type: ignore[arg-type]
        for name, shift, distances in cases(random, rows):
            limit = thresholds[name]
            share, default = (float(np.mean(distances > bound)) for bound in (limit, DEFAULT))
            print(f"{name:12} threshold {limit:.3f}  {shift:14} {share:5.2f} / {default:.2f}")
            spread = 1.96 * np.sqrt(max(share * (1 - share), 1 / WINDOWS) / WINDOWS)
            entries.append(
                {"name": f"{name}, {shift}, {rows} rows", "value": share, "low": max(share - spread, 0),
                 "high": min(share + spread, 1), "unit": "share of windows", "peer": default,
                 "better": "lower" if shift == "no drift" else "higher"}
            )  # fmt: skip
    finish(entries, options.json)


def make_profile(random: np.random.Generator) -> ProfileBundle:
    """The profile of training data with a feature of each shape."""
    numeric = {name: number_profile(np.float32(draw(random, TRAINED))) for name, draw in NUMBERS.items()}
    categorical = {
        name: {str(i): int(share * TRAINED) for i, share in enumerate(shares)}
        for name, shares in CATEGORIES.items()
    }
    kinds = dict.fromkeys(numeric, "number") | dict.fromkeys(categorical, "category")
    inputs = [{"input": name, "column": name, "kind": kind} for name, kind in kinds.items()]
    return ProfileBundle(facts={"inputs": inputs}, profile={"numeric": numeric, "categorical": categorical})


def cases(random: np.random.Generator, rows: int) -> Iterator[tuple[str, str, np.ndarray]]:
    """Feature, drift, and [WINDOWS] distances between windows before and after it."""
    for name, draw in NUMBERS.items():
        deviation = draw(random, 100_000).std()
        for moved in MOVED:
            pair = partial(draw, random, rows)
            distances = [divergence(pair(), pair() + moved * deviation) for _ in range(WINDOWS)]
            yield name, f"mean {moved:g} sd" if moved else "no drift", np.array(distances)
    for name, shares in CATEGORIES.items():
        for points in POINTS:
            distances = [largest_change(random, rows, shares, points) for _ in range(WINDOWS)]
            yield name, f"{100 * points:g} points" if points else "no drift", np.array(distances)


def largest_change(random: np.random.Generator, rows: int, shares: list[float], points: float) -> Any:
    """Greatest change of a level's share between two windows; the first level gains `points`."""
    before = np.array(shares)
    after = before * (1 - points / (1 - before[0]))
    after[0] = before[0] + points
    first, second = (random.multinomial(rows, shares) / rows for shares in (before, after))
    return np.abs(first - second).max()


if __name__ == "__main__":
    main()
