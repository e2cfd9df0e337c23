"""The monitor and the effect of calling with labels that arrive as in life: leavers at once, stayers later.

late_labels.py [--worlds 200] [--json FILE]: in each world nothing changes. 15 % of the customers leave within
30 days; a label of a leaver is there at once, one of a stayer after 30 days. Customers are asked once, 100 a
day, or every day, 1,500 of them. A quarter is called, which keeps half of those who would leave; a quarter is
the control group. Shown for some days: in how many worlds the champion is called worse although it is
exactly right, the effect of calling and its true value, and how often the interval holds that. The peer also
counts windows that are still open, and each customer's oldest prediction, as churn did before.
"""

from argparse import ArgumentParser
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from compare import finish
from scipy.stats import binomtest

HORIZON, DAY, START = 30, 86_400, np.datetime64("2026-01-01", "s")
RATE, HELPED = 0.15, 0.5  # of those who would leave and are called, half stay


@dataclass(frozen=True)
class World:
    """Requests [n], and when each customer [K] leaves; inf for never."""

    customer: np.ndarray  # [n]
    day: np.ndarray  # [n]
    probability: np.ndarray  # [n] true probability of leaving within the horizon
    leaves: np.ndarray  # [K]
    treated: np.ndarray  # [K] 1, 0 or -1
    effect: float  # true effect of calling


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=200)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    options, entries = parser.parse_args(), []
    for kind, make, days in (
        ("asked once", asked_once, (20, 35, 90)),
        ("asked daily", asked_daily, (45, 90, 150)),
    ):
        for until in days:
            worlds = (make(seed, until) for seed in range(options.worlds))
            found = [(w.effect, closed_windows(w, until), open_windows(w, until)) for w in worlds]
            truth, *measured = zip(*found, strict=True)
            for way, results in zip(("churn", "as before"), measured, strict=True):
                entries += summarize(f"{kind}, day {until}", way, results, truth)
    for entry in entries:
        peer, interval = entry["peer"] or "churn", f"({entry['low']:.2f} to {entry['high']:.2f})"
        print(f"{entry['name']:60} {peer:10} {entry['value']:8.2f} {interval}")
    finish([entry | {"worlds": options.worlds} for entry in entries], options.json)


def asked_once(seed: int, days: int) -> World:
    """100 customers a day, each asked once; half are called or held out."""
    random = np.random.default_rng(seed)
    n = 100 * days
    asked, chance = np.sort(random.uniform(0, days, n)), random.beta(20 * RATE, 20 * (1 - RATE), n)
    leaves = np.where(random.random(n) < chance, asked + random.uniform(0, HORIZON, n), np.inf)
    treated = np.where(random.random(n) < 0.5, random.integers(0, 2, n), -1)
    leaves[(treated == 1) & (random.random(n) < HELPED)] = np.inf
    return World(np.arange(n), asked, chance, leaves, treated, -HELPED * RATE)


def asked_daily(seed: int, days: int) -> World:
    """1,500 customers, asked every day until they leave; each has a hazard of their own.

    The called are called again and again. The true effect is that on those who are there when the newest
    closed windows begin.
    """
    random = np.random.default_rng(seed)
    n = 1_500
    chance = random.beta(20 * RATE, 20 * (1 - RATE), n)
    treated = np.where(random.random(n) < 0.5, random.integers(0, 2, n), -1)
    leaves = random.exponential(-HORIZON / np.log1p(-chance * np.where(treated == 1, 1 - HELPED, 1)))
    customer, day = np.nonzero(leaves[:, None] > np.arange(days))
    order = np.argsort(day, kind="stable")
    there = (leaves > days - 2 * HORIZON) & (treated >= 0)
    effect = -HELPED * float(chance[there].mean())
    return World(customer[order], day[order].astype(float), chance[customer[order]], leaves, treated, effect)


def labels_until(world: World, until: int):  # noqa: ANN201
    """The labels on a day, and the key of each request."""
    from churn.monitor.labels import Labels

    left = world.leaves <= until
    last = np.full(len(world.leaves), -np.inf)  # when the newest window that is over has ended
    over = world.day + HORIZON <= until
    np.maximum.at(last, world.customer[over], world.day[over] + HORIZON)
    rows = left | np.isfinite(last)
    keys = np.array([f"c{i:06}" for i in range(len(left))])
    when = START + (np.where(left, world.leaves, last)[rows] * DAY).astype("timedelta64[s]")
    return Labels.of(keys[rows], when, left[rows].astype(int), world.treated[rows]), keys[world.customer]


def closed_windows(world: World, until: int):  # noqa: ANN201
    """Performance and effect of calling as the monitor finds them."""
    from churn.monitor.closed_windows import ClosedWindows

    known, keys = labels_until(world, until)
    closed = ClosedWindows(known, HORIZON)
    closed.add(keys, START + (world.day * DAY).astype("timedelta64[s]"), world.probability)
    parts = [(rows.value, rows.churned, rows.treated) for rows in (closed.newest(), closed.campaign())]
    return measure(*parts)


def open_windows(world: World, until: int):  # noqa: ANN201
    """The same where a leaver counts at once, and of each customer the oldest prediction that is settled."""
    left = world.leaves[world.customer] <= np.minimum(world.day + HORIZON, until)
    settled = np.flatnonzero(left | (world.day + HORIZON <= until))
    first = settled[np.unique(world.customer[settled], return_index=True)[1]]
    part = world.probability[first], left[first].astype(int), world.treated[world.customer[first]]
    return measure(part, part)


def measure(newest, campaign):  # noqa: ANN001, ANN201
    """Whether the champion is called worse, the churn rate, and the effect of calling; None if unknown.

    The effect has its interval.
    """
    from churn.monitor.performance import Outcomes, measure_performance, measure_treatment

    exact = {
        "log_loss": {"value": 0.405, "low": 0.39, "high": 0.42},
        "calibration_slope": {"value": 1.0, "low": 0.95, "high": 1.05},
        "calibration_intercept": {"value": 0.0, "low": -0.05, "high": 0.05},
    }
    outcomes, called = Outcomes(), Outcomes()
    outcomes.add(*newest)
    called.add(*campaign)
    measured, effect = measure_performance(outcomes, exact), measure_treatment(called)
    return (
        measured and measured["worse"],
        measured and measured["churn_rate"],
        effect and effect["effect"],
    )


def summarize(case: str, way: str, found: tuple, truth: tuple[float, ...]) -> list[dict]:
    """Entries for the results of all worlds."""
    worse, rates = ([one[i] for one in found if one[i] is not None] for i in range(2))
    effects = [(one[2], true) for one, true in zip(found, truth, strict=True) if one[2] is not None]
    values = [effect["value"] for effect, _ in effects]
    right = [effect["low"] <= true <= effect["high"] for effect, true in effects]
    peer, entries = None if way == "churn" else way, []
    for name, hits in (("called worse without a change", worse), ("intervals that hold the effect", right)):
        if hits:
            interval = binomtest(sum(hits), len(hits)).proportion_ci()
            shares = [100 * share for share in (sum(hits) / len(hits), interval.low, interval.high)]
            entries.append((name, *shares, "%"))
    spreads = {"churn rate": rates, "effect of calling": values, "true effect": [t for _, t in effects]}
    for name, numbers in spreads.items():
        if numbers:
            spread = 100 * np.quantile(numbers, [0.5, 0.05, 0.95])
            entries.append((name, *map(float, spread), "% points" if "effect" in name else "%"))
    return [
        {"name": f"{case}: {name}", "value": value, "low": low, "high": high, "unit": unit, "peer": peer,
         "better": "higher" if name.startswith("intervals") else "lower"}
        for name, value, low, high, unit in entries
    ]  # fmt: skip


if __name__ == "__main__":
    main()
