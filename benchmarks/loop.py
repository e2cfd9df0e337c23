"""The simulated year of `churn loop` over many seeds, and how often the trigger fires where nothing changes.

loop.py [--seeds 20] [--simulations 1000] [--page FILE] [--json FILE]: for each seed a world, and in it the
profit of retraining by policy, every month, never, and of an oracle. Then the trigger alone: each simulation
is a decision on five windows and the settled predictions of a champion in a world without drift.
"""

import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from compare import finish
from scipy.stats import binomtest

for threads in (
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
):
    os.environ.setdefault(threads, "1")  # the seeds share the cores

CHAMPIONS = 5  # of the trigger alone: what one of them happened to learn must not decide
NO_SUCH_MONTH = 13


def main() -> None:
    from argparse import ArgumentParser

    from churn.config import configured
    from churn.simulation import page

    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the page of the years there")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--simulations", type=int, default=1_000)
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (default: the cores)")
    options = parser.parse_args()
    cfg, years, entries = configured(), [], []
    made = {"seeds": f"0 to {options.seeds - 1}", "simulations": options.simulations}
    with ProcessPoolExecutor(options.workers, get_context("spawn")) as workers:
        lived = workers.map(one_year, range(options.seeds))
        each = options.simulations // CHAMPIONS
        fired = [workers.submit(fires, seed, each) for seed in range(CHAMPIONS if each else 0)]
        for year in lived:
            years.append(year)
            print(words(year), flush=True)
            if options.page:
                page.write(options.page, years, cfg)
        entries = summarised(years, cfg) if years else []
        if fired:
            entries.append(trigger_entry(sum(one.result() for one in fired), each * CHAMPIONS))
    for entry in entries:
        print(
            f"{entry['name']:60} {entry['value']:8.2f} {entry['unit']}   "
            f"({entry['low']:.2f} to {entry['high']:.2f})"
        )
    finish([entry | made for entry in entries], options.json, merge=True)


def one_year(seed: int):  # noqa: ANN201
    """The year of a seed, in a process of its own."""
    from churn.config import configured
    from churn.simulation.model import quick
    from churn.simulation.year import live

    return live(quick(configured()), seed)


def words(year) -> str:  # noqa: ANN001
    from churn.simulation.stage import in_words

    return in_words(year)


def summarised(years, cfg) -> list[dict]:  # noqa: ANN001
    """Median, least and greatest of all that the page tells, as entries."""
    from churn.simulation import page

    entries = []
    for name, (median, least, greatest, count) in page.summary(years, cfg).items():
        unit = "%" if name.startswith("share") else "days" if name.startswith("days") else "a year"
        better = "lower" if unit != "%" else "higher"
        entries.append(
            {"name": f"loop: {name}", "value": median, "low": least, "high": greatest, "unit": unit,
             "peer": "oracle" if unit == "%" else None, "better": better, "years": count}
        )  # fmt: skip
    return entries


def fires(seed: int, simulations: int) -> int:
    """How many of the simulated decisions about one champion, in a world without drift, are to retrain."""
    from churn.config import configured
    from churn.drift import Policy
    from churn.monitor.window import Window, assess
    from churn.retrain.trigger import decide
    from churn.simulation.model import fit, quick
    from churn.simulation.world import SCHEMA, make
    from churn.simulation.year import known, moment

    cfg = quick(configured())
    calm = replace(cfg.loop, price_month=NO_SUCH_MONTH, competitor_month=NO_SUCH_MONTH)
    cfg = replace(cfg, loop=calm)
    world = make(replace(calm, rows_per_day=4 * calm.rows_per_day), 1_000 + seed)
    labelled = known(world, 0, cfg)
    champion = fit(world.rows.take(labelled[::4]), world, cfg, seed)
    rng, pool = np.random.default_rng(seed), world.between(0, 360)
    week, settled = calm.rows_per_day * calm.window_days, calm.rows_per_day * calm.settled_days
    columns = {name: world.rows.frame[name].to_numpy() for name in SCHEMA.features}
    policy = Policy(min_rows=cfg.monitor.min_rows, permutations=0)
    windows, count = cfg.retrain.trigger.windows, 0
    for _ in range(simulations):
        drawn = rng.permutation(pool)
        history = []
        for number in range(windows):
            window = Window.of(champion.profile, seed)
            rows = np.sort(drawn[number * week : (number + 1) * week])
            window.summary.add(
                {name: values[rows] for name, values in columns.items()}, champion.probability[rows]
            )
            if number == windows - 1:
                rows = drawn[windows * week : windows * week + settled]
                window.outcomes.add(champion.probability[rows], world.rows.churned[rows])
            report = assess(window, champion.metrics, policy)
            history.append({"time": moment(7 * number).isoformat(), **report})
        count += decide(history, [], moment(7 * windows), cfg.retrain.trigger).kind is not None
    return count


def trigger_entry(fired: int, simulations: int) -> dict:
    """The share of the decisions that were to retrain, with its exact 95 % interval."""
    low, high = binomtest(fired, simulations).proportion_ci()
    return {
        "name": "loop: share of decisions to retrain without drift",
        "value": 100 * fired / simulations,
        "low": 100 * low,
        "high": 100 * high,
        "unit": "%",
        "peer": None,
        "better": "lower",
    }


if __name__ == "__main__":
    main()
