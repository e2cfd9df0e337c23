"""The simulated year of `churn loop` over many seeds, and false alarms of retraining where nothing changes.

loop.py [--seeds 20] [--simulations 1000] [--page FILE] [--json FILE]: for each seed the profit of retraining
by policy, every month, never, and of an oracle. Then, in a world without drift, the trigger alone: each
simulation is one decision on five windows and the settled predictions of a champion. Then the recalibration
alone: one decision on the open windows of four weeks. Then the probation after a promotion: weekly
comparisons of a champion with a previous model that is exactly as good.
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

CHAMPIONS = 5  # behind the false alarms, so that the luck of one training does not decide
NO_SUCH_MONTH = 13


def main() -> None:
    from argparse import ArgumentParser

    from churn.config.root import compose_config
    from churn.retrain.simulation import page
    from churn.retrain.simulation.stage import describe_year

    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the page of the years there")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--simulations", type=int, default=1_000)
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (default: the cores)")
    options = parser.parse_args()
    cfg, years, entries = compose_config(), [], []
    settings = {"seeds": f"0 to {options.seeds - 1}", "simulations": options.simulations}
    with ProcessPoolExecutor(options.workers, get_context("spawn")) as workers:
        simulated = workers.map(simulate_year, range(options.seeds))
        each = options.simulations // CHAMPIONS
        seeds = range(CHAMPIONS if each else 0)
        counts = {
            name: [workers.submit(count, seed, each) for seed in seeds]
            for name, count in (
                ("decisions to retrain", count_retrainings),
                ("decisions to recalibrate", count_recalibrations),
                ("promotions taken back", count_rollbacks),
            )
        }
        for year in simulated:
            years.append(year)
            print(describe_year(year), flush=True)
            if options.page:
                page.write_loop_page(options.page, years, cfg)
        entries = year_entries(years, cfg) if years else []
        if each:
            entries += [
                share_entry(name, sum(count.result() for count in per_seed), each * CHAMPIONS)
                for name, per_seed in counts.items()
            ]
    for entry in entries:
        print(
            f"{entry['name']:60} {entry['value']:8.2f} {entry['unit']}   "
            f"({entry['low']:.2f} to {entry['high']:.2f})"
        )
    finish([entry | settings for entry in entries], options.json, merge=True)


def simulate_year(seed: int):  # noqa: ANN201
    """The year of a seed; runs in a worker process."""
    from churn.config.root import compose_config
    from churn.retrain.simulation.model import quick_config
    from churn.retrain.simulation.year import simulate

    return simulate(quick_config(compose_config()), seed)


def year_entries(years, cfg) -> list[dict]:  # noqa: ANN001
    """Median, least and greatest of each result of the page, as entries."""
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


def world_without_drift(seed: int, models: int):  # noqa: ANN201
    """The configuration, a world without drift, and models, each trained on a part of its rows."""
    from churn.config.root import compose_config
    from churn.retrain.simulation.model import fit_model, quick_config
    from churn.retrain.simulation.world import known_rows, make_world

    cfg = quick_config(compose_config())
    no_change = replace(cfg.loop, price_month=NO_SUCH_MONTH, competitor_month=NO_SUCH_MONTH)
    cfg = replace(cfg, loop=no_change)
    world = make_world(replace(no_change, rows_per_day=4 * no_change.rows_per_day), 1_000 + seed)
    labelled = known_rows(world, 0, cfg.loop)
    return cfg, world, [fit_model(world.rows.take(labelled[i::4]), world, cfg, seed) for i in range(models)]


def count_retrainings(seed: int, simulations: int) -> int:
    """How many of the simulated decisions about one champion are to retrain, in a world without drift."""
    from churn.monitor.drift.alarm import DriftPolicy
    from churn.monitor.window import Window, assess_window
    from churn.retrain.simulation.world import SCHEMA, day_time
    from churn.retrain.trigger import decide_trigger

    cfg, world, (champion,) = world_without_drift(seed, 1)
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


def count_recalibrations(seed: int, simulations: int) -> int:
    """How many of the simulated decisions about one champion are to recalibrate, in a world without drift.

    Each sees the newest customers, of whom those who left by now are known.
    """
    from churn.retrain.recalibration import OpenWindows, fit_shift

    cfg, world, (champion,) = world_without_drift(seed, 1)
    rng, pool = np.random.default_rng(seed), world.between(0, 360)
    days = int(cfg.retrain.recalibration_days)
    age, count = np.repeat(np.arange(1, days + 1), cfg.loop.rows_per_day).astype(float), 0
    for _ in range(simulations):
        rows, past = rng.choice(pool, len(age), replace=False), rng.choice(world.age, 1_000)
        left = (world.rows.churned[rows] == 1) & (world.age[rows] <= age)
        seen = OpenWindows(champion.probability[rows], left, age, past)
        count += fit_shift(seen).needed(cfg.retrain)
    return count


def count_rollbacks(seed: int, simulations: int) -> int:
    """How many promotions are rolled back although the previous model is exactly as good.

    `churn retrain` compares both every week of the probation, on the rows that are settled by then.
    """
    from churn.config.loop import GateConfig
    from churn.retrain.gate import rollback_config

    cfg, world, both = world_without_drift(seed, 2)
    rng, pool = np.random.default_rng(seed), world.between(0, 360)
    gate = replace(rollback_config(cfg).retrain.gate, bootstrap=GateConfig().bootstrap)
    days = np.arange(7, cfg.retrain.probation_days + cfg.data.horizon + 1, 7) - cfg.data.horizon
    sizes = [int(n) for n in days * cfg.loop.rows_per_day if n >= gate.min_rows]
    count = 0
    for _ in range(simulations):
        fresh = exchanged_models(world, both, rng.choice(pool, sizes[-1], replace=False), cfg.decision, rng)
        count += is_rolled_back(fresh, sizes, gate)
    return count


def exchanged_models(world, both, rows, costs, rng):  # noqa: ANN001, ANN201
    """Fresh rows with an equally good champion and challenger: on each row a coin decides which is which."""
    from churn.bundle import decision
    from churn.bundle.registry import CHALLENGER, CHAMPION
    from churn.retrain.gate import FreshRows

    churned, row, coin = world.rows.churned[rows], np.arange(len(rows)), rng.integers(0, 2, len(rows))
    model_of = {CHAMPION: coin, CHALLENGER: 1 - coin}
    probability, called = (
        np.stack([model.probability[rows] for model in both]),
        np.stack([model.calls(rows) for model in both]),
    )
    return FreshRows(
        churned,
        {name: probability[model, row] for name, model in model_of.items()},
        {name: called[model, row] for name, model in model_of.items()},
        decision.call_gain(churned, np.array(costs.customer_value), costs),
    )


def is_rolled_back(fresh, sizes, gate) -> bool:  # noqa: ANN001
    """Whether the gate finds the champion worse on the first rows, for any of the sizes.

    Below 1.5 standard errors the bootstrap is left out: its bound lies at more than 2.5.
    """
    from churn.bundle.registry import CHALLENGER, CHAMPION
    from churn.retrain.gate import FreshRows, is_regression, judge_challenger, row_log_loss

    losses = [row_log_loss(fresh.churned, fresh.probability[name]) for name in (CHAMPION, CHALLENGER)]
    gain = losses[0] - losses[1]
    for n in sizes:
        if gain[:n].mean() * np.sqrt(n) < 1.5 * gain[:n].std():
            continue
        first = FreshRows(
            fresh.churned[:n],
            {name: values[:n] for name, values in fresh.probability.items()},
            {name: values[:n] for name, values in fresh.called.items()},
            fresh.brings[:n],
        )
        if is_regression(judge_challenger(first, False, gate, seed=0)):
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
