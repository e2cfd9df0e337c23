"""Customers whose true churn probability is known, of four kinds that nothing was tuned on.

Each function gives the features of customers and their log-odds; `make_world` gives a data set.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit, logit

from churn.data.dataset import Dataset, Schema

Table = tuple[pd.DataFrame, np.ndarray]  # features of customers, and the log-odds that they leave


def make_world(name: str, rows: int, seed: int) -> Dataset:
    """Customers of a kind in `WORLDS`, with their labels drawn from the truth."""
    random = np.random.default_rng([len(name), seed])
    frame, log_odds = WORLDS[name](random, rows)
    truth = expit(log_odds)
    numeric = tuple(column for column in frame if pd.api.types.is_numeric_dtype(frame[column]))
    categorical = tuple(column for column in frame if column not in numeric)
    frame = frame[[*numeric, *categorical]].astype(dict.fromkeys(numeric, float))
    churned = (random.random(rows) < truth).astype(np.int8)
    schema = Schema("churned", ("1",), numeric, categorical)
    return Dataset(name, schema, frame, churned, true_probability=truth)


def rules(random: np.random.Generator, rows: int) -> Table:
    """Thresholds and their combinations, with steps between them."""
    frame = pd.DataFrame(
        {
            "months": np.floor(random.uniform(0, 72, rows)),
            "charge": random.normal(65, 25, rows).clip(15).round(2),
            "calls": random.poisson(1.5, rows),
            "usage": random.gamma(2, 20, rows).round(1),
            "contract": random.choice(["monthly", "year", "two years"], rows, p=[0.55, 0.25, 0.2]).astype(
                object
            ),
            "region": random.choice([f"region {i}" for i in range(8)], rows).astype(object),
        }
    )
    new, monthly = frame["months"] < 12, frame["contract"] == "monthly"
    truth = np.full(rows, 0.08)
    truth[frame["contract"] == "two years"] = 0.02
    truth[monthly & new] = 0.45
    truth[monthly & new & (frame["charge"] > 80)] = 0.75
    truth[(frame["calls"] >= 4) & (frame["months"] < 40)] = 0.6
    return frame, logit(truth)


def smooth(random: np.random.Generator, rows: int) -> Table:
    """A bump, curves and a product; gaps whose share depends on other columns."""
    frame = pd.DataFrame({f"x{i}": random.normal(size=rows).round(3) for i in range(6)})
    frame["age"] = random.uniform(18, 90, rows).round()
    frame["kind"] = random.choice(list("abcde"), rows, p=[0.4, 0.3, 0.15, 0.1, 0.05]).astype(object)
    bump = 1.6 * np.exp(-(((frame["age"] - 55) / 8) ** 2))
    gap = random.random(rows) < expit(frame["x1"] - 2)
    first = np.where(gap, 0.5, 0.8 * frame["x0"])
    curves = 0.6 * np.sin(2 * frame["x2"]) - 0.5 * frame["x1"] ** 2 + 0.5 * frame["x3"] * frame["x4"]
    effect = frame["kind"].map(dict(zip("abcde", random.normal(0, 0.5, 5), strict=True)))
    frame.loc[gap, "x0"] = np.nan
    return frame, with_churn_rate(bump + first + curves + effect, 0.25)


def weak(random: np.random.Generator, rows: int) -> Table:
    """Forty columns, most without meaning, among them categories of many levels."""
    frame = pd.DataFrame({f"n{i:02}": random.normal(size=rows).round(3) for i in range(25)})
    for i in range(15):
        levels = [f"level {j:02}" for j in range([2, 3, 30, 5, 80][i % 5])]
        shares = random.dirichlet(np.ones(len(levels)))
        frame[f"c{i:02}"] = random.choice(levels, rows, p=shares).astype(object)
    effects = {level: random.normal(0, 0.5) for level in sorted(set(frame["c02"]))}
    log_odds = 0.7 * frame["n00"] + 0.35 * frame["n01"] + 0.5 * (frame["n02"] > 1)
    return frame, with_churn_rate(log_odds + frame["c02"].map(effects), 0.22)


def rare_level(random: np.random.Generator, rows: int) -> Table:
    """A weak trend, and a level of 1.5 % of the customers, sorted in the middle, that raises churn to .40."""
    pay = ["auto", "card", "cheque", "invoice", "transfer", "voucher"]
    frame = pd.DataFrame(
        {
            "months": np.floor(random.uniform(0, 72, rows)),
            "charge": random.normal(65, 25, rows).clip(15).round(2),
            "pay": random.choice(pay, rows, p=[0.3, 0.25, 0.2, 0.015, 0.135, 0.1]).astype(object),
            "region": random.choice([f"region {i}" for i in range(8)], rows).astype(object),
        }
    )
    truth = expit(-1.6 - 0.03 * frame["months"] + 0.008 * (frame["charge"] - 65)).to_numpy(copy=True)
    truth[frame["pay"] == "invoice"] = 0.4
    return frame, logit(truth)


def with_churn_rate(log_odds: pd.Series, rate: float) -> np.ndarray:
    """The log-odds, shifted so that the mean probability is `rate`."""
    values = log_odds.to_numpy(float)
    return values + brentq(lambda shift: expit(values + shift).mean() - rate, -30, 30)


WORLDS: dict[str, Callable[[np.random.Generator, int], Table]] = {
    "rules": rules,
    "smooth": smooth,
    "weak": weak,
    "rare_level": rare_level,
}
