"""The simulated year of `churn loop` over many seeds, and how often the trigger fires where nothing changes.

loop.py [--seeds 20] [--simulations 1000] [--page FILE] [--json FILE]: for each seed a world, and in it the
profit of retraining by policy, every month, never, and of an oracle. Then, in a world without drift, the
trigger alone: each simulation is a decision on five windows and the settled predictions of a champion. And a
promotion's probation: weekly looks at a champion that is exactly as good as the model before.
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

    from churn.config.root import compose_config
    from churn.retrain.simulation import page

    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the page of the years there")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--simulations", type=int, default=1_000)
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (default: the cores)")
    options = parser.parse_args()
    cfg, years, entries = compose_config(), [], []
    made = {"seeds": f"0 to {options.seeds - 1}", "simulations": options.simulations}
    with ProcessPoolExecutor(options.workers, get_context("spawn")) as workers:
        lived = workers.map(one_year, range(options.seeds))
        each = options.simulations // CHAMPIONS
        seeds = range(CHAMPIONS if each else 0)
        errors = {
            name: [workers.submit(count, seed, each) for seed in seeds]
            for name, count in (("decisions to retrain", fires), ("promotions taken back", taken_back))
        }
        for year in lived:
            years.append(year)
            print(words(year), flush=True)
            if options.page:
                page.write_loop_page(options.page, years, cfg)
        entries = summarised(years, cfg) if years else []
        if each:
            entries += [
                share_entry(name, sum(one.result() for one in counted), each * CHAMPIONS)
                for name, counted in errors.items()
            ]
    for entry in entries:
        print(
            f"{entry['name']:60} {entry['value']:8.2f} {entry['unit']}   "
            f"({entry['low']:.2f} to {entry['high']:.2f})"
        )
    finish([entry | made for entry in entries], options.json, merge=True)


def one_year(seed: int):
    """The year of a seed, in a process of its own."""
    from churn.config.root import compose_config
    from churn.retrain.simulation.model import quick_config
    from churn.retrain.simulation.year import simulate

    return simulate(quick_config(compose_config()), seed)


def words(year) -> str:
    from churn.retrain.simulation.stage import describe_year

    return describe_year(year)


def summarised(years, cfg) -> list[dict]:
    """Median, least and greatest of all that the page tells, as entries."""
    from churn.retrain.simulation import page

    entries = []
    for name, (median, least, greatest, count) in page.summarize_years(years, cfg).items():
        unit = "%" if name.startswith("share") else "days" if name.startswith("days") else "a year"
        better = "lower" if unit != "%" else "higher"
        entries.append(
            {"name": f"loop: {name}", "value": median, "low": least, "high": greatest, "unit": unit,
             "peer": "oracle" if unit == "%" else None, "better": better, "years": count}
        )  # fmt: skip
    return entries


def calm(seed: int, models: int):
    """Configuration, a world without drift, and models that each learnt from as many rows of their own."""
    from churn.config.root import compose_config
    from churn.retrain.simulation.model import fit_model, quick_config
    from churn.retrain.simulation.world import make_world
    from churn.retrain.simulation.year import known_rows

    cfg = quick_config(compose_config())
    same = replace(cfg.loop, price_month=NO_SUCH_MONTH, competitor_month=NO_SUCH_MONTH)
    cfg = replace(cfg, loop=same)
    world = make_world(replace(same, rows_per_day=4 * same.rows_per_day), 1_000 + seed)
    labelled = known_rows(world, 0, cfg)
    return cfg, world, [fit_model(world.rows.take(labelled[i::4]), world, cfg, seed) for i in range(models)]


def fires(seed: int, simulations: int) -> int:
    """How many of the simulated decisions about one champion, in a world without drift, are to retrain."""
    from churn.monitor.drift.alarm import DriftPolicy
    from churn.monitor.window import Window, assess_window
    from churn.retrain.simulation.world import SCHEMA
    from churn.retrain.simulation.year import day_time
    from churn.retrain.trigger import decide_trigger

    cfg, world, (champion,) = calm(seed, 1)
    rng, pool = np.random.default_rng(seed), world.between(0, 360)
    week, settled = (cfg.loop.rows_per_day * days for days in (cfg.loop.window_days, cfg.loop.settled_days))
    columns = {name: world.rows.frame[name].to_numpy() for name in SCHEMA.features}
    policy = DriftPolicy(min_rows=cfg.monitor.min_rows, permutations=0)
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
            report = assess_window(window, champion.metrics, policy)
            history.append({"time": day_time(7 * number).isoformat(), **report})
        count += decide_trigger(history, [], day_time(7 * windows), cfg.retrain.trigger).kind is not None
    return count


def taken_back(seed: int, simulations: int) -> int:
    """How many promotions are taken back, though the model before is exactly as good.

    `churn retrain` looks every week of the probation at the rows that are settled by then.
    """
    from churn.config.loop import GateConfig
    from churn.retrain.gate import rollback_config

    cfg, world, both = calm(seed, 2)
    rng, pool = np.random.default_rng(seed), world.between(0, 360)
    gate = replace(rollback_config(cfg).retrain.gate, bootstrap=GateConfig().bootstrap)
    days = np.arange(7, cfg.retrain.probation_days + 1, 7) - cfg.data.horizon
    looks = [int(n) for n in days * cfg.loop.rows_per_day if n >= gate.min_rows]
    drawn = (rng.choice(pool, looks[-1], replace=False) for _ in range(simulations))
    return sum(is_taken_back(world, both, rows, looks, gate, cfg.decision, rng) for rows in drawn)


def is_taken_back(world, both, rows, looks, gate, costs, rng) -> bool:
    """Whether any look at the first rows has the champion for worse than the model before.

    Neither is: lots decide row by row which of two models the champion is. Where the mean difference is
    below 1.5 standard errors, the bootstrap is not asked: its bound lies at more than 2.5.
    """
    from churn.bundle import decision
    from churn.retrain.gate import (
        CHALLENGER,
        CHAMPION,
        FreshRows,
        is_regression,
        judge_challenger,
        row_log_loss,
    )

    churned, row, lot = world.rows.churned[rows], np.arange(len(rows)), rng.integers(0, 2, len(rows))
    who = {CHAMPION: lot, CHALLENGER: 1 - lot}
    said, calls = (
        np.stack(found) for found in zip(*((m.probability[rows], m.calls(rows)) for m in both), strict=True)
    )
    brings = decision.call_gain(churned, np.array(costs.customer_value), costs)
    gain = np.subtract(*(row_log_loss(churned, said[of, row]) for of in who.values()))
    for n in looks:
        if gain[:n].mean() * np.sqrt(n) < 1.5 * gain[:n].std():
            continue
        probability, called = ({name: of[i, row][:n] for name, i in who.items()} for of in (said, calls))
        if is_regression(
            judge_challenger(FreshRows(churned[:n], probability, called, brings[:n]), False, gate, seed=0)
        ):
            return True
    return False


def share_entry(name: str, count: int, simulations: int) -> dict:
    """A share of errors with its exact 95 % interval."""
    low, high = binomtest(count, simulations).proportion_ci()
    return {
        "name": f"loop: share of {name} without drift",
        "value": 100 * count / simulations,
        "low": 100 * low,
        "high": 100 * high,
        "unit": "%",
        "peer": None,
        "better": "lower",
    }


if __name__ == "__main__":
    main()
