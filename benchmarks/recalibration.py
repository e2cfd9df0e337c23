"""How often open outcome windows call for a recalibration: where nothing changes, and where churn rises.

recalibration.py [--simulations 100] [--json FILE]: customers are asked every day, for 150 days, by a model
whose probabilities are right. Those who leave do so on any day of the 30 after, or on the last day of a month
of 30 only. Then the decision of one day, each day of a month in turn: of no rise, and of rises of all
log-odds 30 days ago. Printed by number of past leavers: the share of the decisions that find a rise, and the
mean shift of these.
"""

import argparse
from pathlib import Path

import numpy as np
from compare import finish
from scipy.special import expit, logit
from scipy.stats import binomtest

from churn.config.root import compose_config
from churn.retrain.recalibration import OpenWindows, Shift, fit_shift

HORIZON, DAYS = 30, 150  # days
RISES = (0.0, 0.5, 0.8, 1.2)  # of the log-odds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=100)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    options = parser.parse_args()
    cfg, entries = compose_config().retrain, []
    for leave in ("on any day", "at the end of a month"):
        for each_day in (4, 10, 40):
            for rise in RISES:
                name = f"{leave}, {each_day} a day, a rise of {rise}"
                shifts, past = zip(
                    *(decide(leave, each_day, rise, seed) for seed in range(options.simulations)), strict=True
                )
                found = [shift.log_odds for shift in shifts if shift.needed(cfg)]
                share = binomtest(len(found), len(shifts)).proportion_ci(method="exact")
                mean = f", {np.mean(found):.2f} on average" if found else ""
                print(
                    f"{name} ({np.mean(past):.0f} past leavers): {len(found)} of {len(shifts)}{mean}",
                    flush=True,
                )
                entries.append(
                    {
                        "name": name,
                        "value": len(found) / len(shifts),
                        "low": share.low,
                        "high": share.high,
                        "unit": "share of decisions",
                    }
                )
    finish(entries, options.json)


def decide(leave: str, each_day: int, rise: float, seed: int) -> tuple[Shift, int]:
    """The shift that one day's decision sees, and the number of past leavers that it knows."""
    random = np.random.default_rng(seed)
    now = DAYS + seed % 30
    asked = random.uniform(0, now, each_day * now)
    probability = random.beta(1, 3, len(asked))
    truth = expit(logit(probability) + rise * (asked > now - HORIZON))
    age = random.uniform(0, HORIZON, len(asked))
    if leave == "at the end of a month":
        age = -asked % HORIZON
    leaves = random.random(len(asked)) < truth
    closed, is_open = asked <= now - HORIZON, asked > now - HORIZON
    past = closed & leaves
    left = leaves & (asked + age <= now)
    seen = OpenWindows(probability[is_open], left[is_open], now - asked[is_open], age[past], asked[past])
    return fit_shift(seen), int(past.sum())


if __name__ == "__main__":
    main()
