"""The promotion gate with labels that arrive as in life: leavers at once, stayers after the horizon.

late_gate.py [--customers once daily] [--worlds 1000] [--json FILE]: the customers of late_labels.py after 90
days, and two models. Each gives the true log-odds with an error of its own and one that both have in common.
Fresh rows are chosen as in `churn retrain`. Shown is how often the challenger is promoted, after an alarm and
without one, if it is exactly as good, if it is worse, and if it is better in calibration or in order. The
peer also counts windows that are still open, as churn did before.
"""

from argparse import ArgumentParser
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
from compare import finish
from late_labels import DAY, HORIZON, START, World, asked_daily, asked_once, labels_until
from scipy.special import expit, logit
from scipy.stats import binomtest

KINDS = {"once": asked_once, "daily": asked_daily}
UNTIL, RESAMPLES = 90, 400
COMMON, OWN = 0.3, 0.25  # standard deviations of the errors of the log-odds
WORSE_ORDER, SHIFT = 0.8, 0.6
MODELS = {  # what is added to the log-odds of champion and challenger, and the sd of their own errors
    "exactly as good": ((0, OWN), (0, OWN)),
    "worse: churn far too high": ((0, OWN), (SHIFT, OWN)),
    "better: champion too low": ((-SHIFT, OWN), (0, OWN)),
    "better: champion too high": ((SHIFT, OWN), (0, OWN)),
    "better: champion orders worse": ((0, WORSE_ORDER), (0, OWN)),
}


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--customers", choices=KINDS, nargs="+", default=list(KINDS), metavar="KIND")
    parser.add_argument("--worlds", type=int, default=1_000, help="of equal models; a 15th of the others")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there, case by case")
    options = parser.parse_args()
    for kind, models, (way, settle) in product(options.customers, MODELS, SETTLE.items()):
        worlds = options.worlds // (1 if models == "exactly as good" and way == "churn" else 15)
        counts = np.sum(
            [list(promotions(KINDS[kind], models, settle, seed)) for seed in range(worlds)], axis=0
        )
        names = [f"asked {kind}, {models}, {when} an alarm: promoted" for when in ("after", "without")]
        names = names if way == "churn" else [f"{name}, open windows count" for name in names]
        entries = [
            share(name, way, int(count), worlds, better=models.startswith("better"))
            for name, count in zip(names, counts, strict=True)
        ]
        for entry in entries:
            print(f"{entry['name']:90} {entry['value']:6.1f} %   (of {worlds})", flush=True)
        finish(entries, options.json, merge=True)


def closed(world: World) -> np.ndarray:
    """Requests whose window is closed, each customer once a period: those that `churn retrain` uses."""
    from churn.monitor.closed_windows import ClosedWindows

    known, keys = labels_until(world, UNTIL)
    windows = ClosedWindows(known, HORIZON)
    rows = windows.add(keys, START + (world.day * DAY).astype("timedelta64[s]"), world.probability)
    return rows[windows.once_a_period()]


def also_open(world: World) -> np.ndarray:
    """Requests with a known outcome: leavers count at once."""
    left = world.leaves[world.customer] <= np.minimum(world.day + HORIZON, UNTIL)
    settled = np.flatnonzero(left | (world.day + HORIZON <= UNTIL))
    return settled[np.unique(world.customer[settled], return_index=True)[1]]


SETTLE = {"churn": closed, "as before": also_open}


def promotions(make, models: str, settle, seed: int) -> Iterator[bool]:  # noqa: ANN001
    """Whether the challenger is promoted after an alarm, and without one; both share the resamples."""
    from churn.retrain import gate

    fresh, cfg = fresh_rows(make(seed, UNTIL), MODELS[models], settle, seed), defaults().retrain.gate
    drawn = gate.bootstrap_metrics(fresh, RESAMPLES, seed)
    with patch.object(gate, "bootstrap_metrics", return_value=drawn):
        for alarmed in (True, False):
            yield gate.judge_challenger(fresh, alarmed, cfg, seed).promote


@cache
def defaults():  # noqa: ANN201
    """The configuration of `churn retrain`."""
    from churn.config.root import compose_config

    return compose_config()


def fresh_rows(world: World, models, settle, seed: int):  # noqa: ANN001, ANN201
    """The fresh rows that `churn retrain` would compare on, with both models' answers."""
    from churn.bundle import decision
    from churn.bundle.registry import CHALLENGER, CHAMPION
    from churn.retrain.gate import FreshRows
    from churn.retrain.labelled_rows import LabelledRows
    from churn.retrain.training_set import split_fresh

    rows = settle(world)
    customer, times = world.customer[rows], START + (world.day[rows] * DAY).astype("timedelta64[s]")
    left = (world.leaves[customer] <= np.minimum(world.day[rows] + HORIZON, UNTIL)).astype(np.int8)
    table = pd.DataFrame(answers(world, models, seed)).iloc[rows].reset_index(drop=True)
    keys = np.array([f"{seed} {code}" for code in customer], object)
    labelled = LabelledRows(table, left, keys, times, world.treated[customer].astype(np.int8))
    now, costs = START + np.timedelta64(UNTIL, "D"), defaults().decision
    _, fresh = split_fresh(labelled, START - np.timedelta64(1, "s"), now, defaults().retrain, seed)
    even, value = decision.break_even(costs.customer_value, costs), np.array(costs.customer_value)
    probability = {name: fresh.frame[name].to_numpy() for name in (CHAMPION, CHALLENGER)}
    called = {name: values >= even for name, values in probability.items()}
    brings = decision.call_gain(fresh.churned, value, costs)
    return FreshRows(fresh.churned, probability, called, brings, fresh.customers)


def answers(world: World, models, seed: int) -> dict[str, np.ndarray]:  # noqa: ANN001
    """The probabilities of both models for each request; the errors are those of the customer."""
    from churn.bundle.registry import CHALLENGER, CHAMPION

    random, customers = np.random.default_rng([seed, 1]), len(world.leaves)
    common = random.normal(0, COMMON, customers)
    return {
        name: expit(
            logit(world.probability) + (shift + common + random.normal(0, own, customers))[world.customer]
        )
        for name, (shift, own) in zip((CHAMPION, CHALLENGER), models, strict=True)
    }


def share(name: str, way: str, count: int, worlds: int, better: bool) -> dict:
    """An entry with the exact 95 % interval."""
    interval = binomtest(count, worlds).proportion_ci()
    low, value, high = (100 * each for each in (interval.low, count / worlds, interval.high))
    return {
        "name": name, "value": value, "low": low, "high": high, "unit": "%",
        "peer": None if way == "churn" else way, "better": "higher" if better else "lower",
        "worlds": worlds,
    }  # fmt: skip


if __name__ == "__main__":
    main()
