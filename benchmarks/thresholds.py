"""What Vertex AI's monitoring finds with thresholds of the training profile, beside its default of .3.

A feature of each shape: a profile of 5,000 rows, then windows of 1,000 and 10,000 without drift and with the
mean moved by .3, .5 and 1 standard deviation, or the share of the commonest level by 5, 10 and 20 points,
each compared with another window as Vertex AI does it (`churn.vertex.monitoring.thresholds.divergence`). Prints the
share of the windows that are called drift.
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


class Profiled(SimpleNamespace):
    """As much of a bundle as has a training profile."""

    __hash__ = object.__hash__


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    options, random = parser.parse_args(), np.random.default_rng(0)
    entries = []
    for rows in ROWS:
        print(f"\n{rows:,} rows: share called drift with the profile's threshold / with {DEFAULT}")
        found = drift_thresholds(profiled(random), rows)  # type: ignore[arg-type]
        for name, shift, distances in cases(random, rows):
            ours, theirs = (float(np.mean(distances > limit)) for limit in (found[name], DEFAULT))
            print(f"{name:12} threshold {found[name]:.3f}  {shift:14} {ours:5.2f} / {theirs:.2f}")
            spread = 1.96 * np.sqrt(max(ours * (1 - ours), 1 / WINDOWS) / WINDOWS)
            entries.append(
                {"name": f"{name}, {shift}, {rows} rows", "value": ours, "low": max(ours - spread, 0),
                 "high": min(ours + spread, 1), "unit": "share of windows", "peer": theirs,
                 "better": "lower" if shift == "no drift" else "higher"}
            )  # fmt: skip
    finish(entries, options.json)


def profiled(random: np.random.Generator) -> Profiled:
    """Training data with a feature of each shape."""
    numeric = {name: number_profile(np.float32(draw(random, TRAINED))) for name, draw in NUMBERS.items()}
    categorical = {
        name: {str(i): int(share * TRAINED) for i, share in enumerate(shares)}
        for name, shares in CATEGORIES.items()
    }
    kinds = dict.fromkeys(numeric, "number") | dict.fromkeys(categorical, "category")
    inputs = [{"input": name, "column": name, "kind": kind} for name, kind in kinds.items()]
    return Profiled(facts={"inputs": inputs}, profile={"numeric": numeric, "categorical": categorical})


def cases(random: np.random.Generator, rows: int) -> Iterator[tuple[str, str, np.ndarray]]:
    """Feature, drift and the distances of windows with it."""
    for name, draw in NUMBERS.items():
        deviation = draw(random, 100_000).std()
        for moved in MOVED:
            pair = partial(draw, random, rows)
            apart = [divergence(pair(), pair() + moved * deviation) for _ in range(WINDOWS)]
            yield name, f"mean {moved:g} sd" if moved else "no drift", np.array(apart)
    for name, shares in CATEGORIES.items():
        for points in POINTS:
            apart = [largest_change(random, rows, shares, points) for _ in range(WINDOWS)]
            yield name, f"{100 * points:g} points" if points else "no drift", np.array(apart)


def largest_change(random: np.random.Generator, rows: int, shares: list[float], points: float) -> Any:
    """Greatest change of a level's share between two windows, the first level having gained so much."""
    before = np.array(shares)
    after = before * (1 - points / (1 - before[0]))
    after[0] = before[0] + points
    one, other = (random.multinomial(rows, p) / rows for p in (before, after))
    return np.abs(one - other).max()


if __name__ == "__main__":
    main()
