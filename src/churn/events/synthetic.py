"""Made-up subscriptions, payments and usage, of customers whose hazard is known.

On the first of each month every customer gets the probability of leaving within the next 28 days. It is a
function of what the tables say about the time before: uses in the last 30 days, failed payments in the last
90, the plan, how long somebody has been a customer. Nobody who reads the tables at that moment can know more:
at cut-offs on the first of a month with a horizon of 28 days, it is the best possible prediction. Who leaves,
leaves on one of the 28 days, gets a part of the fee back on that day, and does nothing from then on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from churn.config.events import SyntheticEventsConfig
from churn.errors import UserError
from churn.files import atomic_write

HORIZON = 28  # days in which those leave who do
GROWTH = 0.02  # new customers in a month, as a share of those on the first day
PLANS = (("basic", 9.0), ("plus", 15.0), ("family", 25.0))
METHODS = ("card", "bank transfer", "wallet")
ZONE = "Europe/Berlin"
FILES = ("subscriptions.csv", "plans.csv", "payments.csv", "usage.parquet", "truth.parquet")
SECONDS = 86_400


@dataclass
class _World:
    """The customers so far, one a position, and everything they did."""

    begin: np.ndarray  # [n] day
    end: np.ndarray  # [n] day, -1 while the contract goes on
    plan: np.ndarray  # [n] of PLANS
    rate: np.ndarray  # [n] uses a day
    fails: np.ndarray  # [n] probability that a payment fails
    method: np.ndarray  # [n] of METHODS, usually
    discount: np.ndarray  # [n] share of the fee
    device: np.ndarray  # [n] share of uses on the phone
    uses: list[pd.DataFrame]
    payments: list[pd.DataFrame]
    plans: list[pd.DataFrame]
    truth: list[pd.DataFrame]


def write_tables(cfg: SyntheticEventsConfig, folder: Path, seed: int) -> dict[str, int]:
    """Write the tables, and `truth.parquet` with the probabilities; gives the rows of each.

    Raises `UserError` for a start that is not the first of a month.
    """
    made = make_tables(cfg, seed)
    for name, frame in made.items():
        with atomic_write(folder / name) as aside:
            if name.endswith(".csv"):
                frame.to_csv(aside, index=False)
            else:
                frame.to_parquet(aside, index=False)
    return {name: len(frame) for name, frame in made.items()}


def make_tables(cfg: SyntheticEventsConfig, seed: int) -> dict[str, pd.DataFrame]:
    """The tables by the names of their files."""
    months = _month_days(cfg)
    rng = np.random.default_rng(seed)
    world = _first_day(cfg, months[0], rng)
    for first, following in pairwise(months):
        _live_a_month(world, first, following, cfg, rng)
    return _to_frames(world)


def _month_days(cfg: SyntheticEventsConfig) -> list[int]:
    """The first day of each month, and of the one after the last, since 1970."""
    try:
        start = date.fromisoformat(cfg.start)
    except ValueError:
        raise UserError(
            f"'{cfg.start}' is no date", "events.synthetic.start", "write it like 2023-01-01"
        ) from None
    if start.day != 1:
        raise UserError("the first day is not the first of a month", f"events.synthetic.start={cfg.start}")
    months = pd.date_range(start, periods=cfg.months + 1, freq="MS")
    return [int(day) for day in months.to_numpy().astype("datetime64[D]").astype(int)]


def _first_day(cfg: SyntheticEventsConfig, day: int, rng: np.random.Generator) -> _World:
    """Customers of all ages."""
    whole, share = np.empty(0, int), np.empty(0)
    world = _World(whole, whole, whole, share, share, whole, share, share, [], [], [], [])
    _add_customers(world, day - rng.geometric(1 / 400, cfg.customers), rng)
    return world


def _add_customers(world: _World, begin: np.ndarray, rng: np.random.Generator) -> None:
    """New customers who begin on these days."""
    n, first = len(begin), len(world.begin)
    world.begin = np.append(world.begin, begin)
    world.end = np.append(world.end, np.full(n, -1))
    plan = rng.choice(len(PLANS), n, p=[0.5, 0.3, 0.2])
    world.plan = np.append(world.plan, plan)
    world.rate = np.append(world.rate, rng.gamma(1.2, 0.25, n))
    world.fails = np.append(world.fails, rng.beta(0.6, 6, n))
    world.method = np.append(world.method, rng.choice(len(METHODS), n, p=[0.5, 0.35, 0.15]))
    world.discount = np.append(world.discount, rng.choice([0.0, 0.1, 0.2], n, p=[0.7, 0.2, 0.1]))
    world.device = np.append(world.device, rng.beta(2, 2, n))
    world.plans.append(pd.DataFrame({"who": np.arange(first, first + n), "day": begin, "plan": plan}))


def _live_a_month(
    world: _World, first: int, following: int, cfg: SyntheticEventsConfig, rng: np.random.Generator
) -> None:
    """Who leaves in a month, and what everybody does in it."""
    here = np.flatnonzero((world.end < 0) & (world.begin < first))
    probability = expit(_log_odds(world, here, first) + logit(cfg.churn_rate))
    world.truth.append(pd.DataFrame({"who": here, "day": first, "probability": probability}))
    leave = rng.random(len(here)) < probability
    world.end[here[leave]] = first + rng.integers(0, HORIZON, int(leave.sum()))
    _add_customers(world, rng.integers(first, following, rng.poisson(GROWTH * cfg.customers)), rng)
    _use(world, first, following, rng)
    _pay(world, first, following, rng)
    _change_plans(world, first, following, rng)
    world.rate = world.rate * np.exp(rng.normal(-0.03, 0.25, len(world.rate)))  # habits change


def _log_odds(world: _World, here: np.ndarray, day: int) -> np.ndarray:
    """[n] what each customer's past says, around 0."""
    uses, failed = np.zeros(len(world.begin)), np.zeros(len(world.begin))
    for month in world.uses[-2:]:
        recent = month["day"].to_numpy() >= day - 30
        np.add.at(uses, month["who"].to_numpy()[recent], 1)
    for month in world.payments[-4:]:
        recent = (month["day"].to_numpy() >= day - 90) & (month["status"].to_numpy() == "failed")
        np.add.at(failed, month["who"].to_numpy()[recent], 1)
    tenure = day - world.begin[here]
    return (
        1.1
        - 0.55 * np.sqrt(uses[here])
        + 0.9 * np.minimum(failed[here], 3)
        + np.array([0.3, 0.0, -0.6])[world.plan[here]]
        - 0.5 * np.log1p(tenure / 180)
    )


def _alive(world: _World, who: np.ndarray, day: np.ndarray) -> np.ndarray:
    """[n] whether a customer is one on a day."""
    return (day >= world.begin[who]) & ((world.end[who] < 0) | (day < world.end[who]))


def _use(world: _World, first: int, following: int, rng: np.random.Generator) -> None:
    """Uses of a month, at any second of a day."""
    days = following - first
    current = np.flatnonzero((world.end < 0) | (world.end >= first))
    counts = rng.poisson(world.rate[current] * days)
    who = np.repeat(current, counts)
    day = rng.integers(first, following, len(who))
    kept = _alive(world, who, day)
    who, day = who[kept], day[kept]
    minutes = rng.gamma(2.0, 6.0, len(who)).round(1)
    phone = rng.random(len(who)) < world.device[who]
    second = rng.integers(0, SECONDS, len(who))
    world.uses.append(
        pd.DataFrame(
            {
                "who": who,
                "day": day,
                "second": second,
                "minutes": minutes,
                "device": np.where(phone, "phone", "web"),
            }
        )
    )


def _pay(world: _World, first: int, following: int, rng: np.random.Generator) -> None:
    """The payment of each customer's month, on the day of the month on which the contract began."""
    current = np.flatnonzero((world.end < 0) | (world.end >= first))
    day = first + world.begin[current] % HORIZON
    kept = _alive(world, current, day) & (day < following)
    who, day = current[kept], day[kept]
    failed = rng.random(len(who)) < world.fails[who]
    fee = _fees(world, who, world.plan[who])
    paid = pd.DataFrame({"who": who, "day": day, "amount": fee, "status": np.where(failed, "failed", "ok")})
    refund = rng.random(len(who)) < 0.004
    back = pd.DataFrame({"who": who[refund], "day": day[refund], "amount": -fee[refund], "status": "ok"})
    made = pd.concat([paid, back, _last_refunds(world, first, following, rng)], ignore_index=True)
    made["second"] = rng.integers(8 * 3600, 20 * 3600, len(made))
    other = rng.integers(0, len(METHODS), len(made))
    usual = world.method[made["who"].to_numpy()]
    made["method"] = np.array(METHODS, object)[np.where(rng.random(len(made)) < 0.1, other, usual)]
    made["booked"] = made["day"] + (made["status"] == "ok") * rng.integers(0, 3, len(made))
    world.payments.append(made)


def _last_refunds(world: _World, first: int, following: int, rng: np.random.Generator) -> pd.DataFrame:
    """What those who leave in a month get back on that day."""
    who = np.flatnonzero((world.end >= first) & (world.end < following))
    back = (_fees(world, who, world.plan[who]) * rng.random(len(who))).round(2)
    return pd.DataFrame({"who": who, "day": world.end[who], "amount": -back, "status": "ok"})


def _fees(world: _World, who: np.ndarray, plan: np.ndarray) -> np.ndarray:
    """[n] what a month of a plan costs these customers."""
    return (np.array([fee for _, fee in PLANS])[plan] * (1 - world.discount[who])).round(2)


def _change_plans(world: _World, first: int, following: int, rng: np.random.Generator) -> None:
    """One customer in a hundred takes another plan."""
    who = np.flatnonzero((world.end < 0) & (rng.random(len(world.end)) < 0.01))
    day = rng.integers(first, following, len(who))
    kept = day >= world.begin[who]
    who, day = who[kept], day[kept]
    plan = rng.integers(0, len(PLANS), len(who))
    world.plan[who] = plan
    world.plans.append(pd.DataFrame({"who": who, "day": day, "plan": plan}))


def _to_frames(world: _World) -> dict[str, pd.DataFrame]:
    """The tables as a company would have them."""
    names = np.array([f"C{i:07d}" for i in range(len(world.begin))], object)
    uses, payments = pd.concat(world.uses), pd.concat(world.payments)
    plans, truth = pd.concat(world.plans), pd.concat(world.truth)
    end = np.where(world.end < 0, np.nan, world.end)
    local = pd.Series(_moments(uses["day"], uses["second"])).dt.tz_localize(
        ZoneInfo(ZONE), ambiguous=True, nonexistent="shift_forward"
    )
    return {
        "subscriptions.csv": pd.DataFrame(
            {"customer": names, "begin": _dates(world.begin), "end": _dates(end)}
        ),
        "plans.csv": pd.DataFrame({
            "customer": names[plans["who"]], "since": _dates(plans["day"].to_numpy()),
            "plan": np.array([name for name, _ in PLANS], object)[plans["plan"]],
            "fee": _fees(world, plans["who"].to_numpy(), plans["plan"].to_numpy()),
        }),
        "payments.csv": pd.DataFrame({
            "customer": names[payments["who"]], "paid_at": _moments(payments["day"], payments["second"]),
            "booked_at": _dates(payments["booked"].to_numpy()), "amount": payments["amount"].to_numpy(),
            "method": payments["method"].to_numpy(), "status": payments["status"].to_numpy(),
        }).sort_values("paid_at", kind="stable"),
        "usage.parquet": pd.DataFrame({
            "customer": names[uses["who"]], "at": local.dt.tz_convert("UTC").to_numpy(dtype="datetime64[us]"),
            "minutes": uses["minutes"].to_numpy(), "device": uses["device"].to_numpy(),
        }).assign(at=lambda frame: frame["at"].dt.tz_localize("UTC")).sort_values("at", kind="stable"),
        "truth.parquet": pd.DataFrame({
            "customer": names[truth["who"]], "cutoff": _dates(truth["day"].to_numpy()),
            "probability": truth["probability"].to_numpy(),
        }),
    }  # fmt: skip


def _moments(day: pd.Series, second: pd.Series) -> np.ndarray:
    """Local times."""
    return (day.to_numpy().astype(np.int64) * SECONDS + second.to_numpy()).astype("datetime64[s]")


def _dates(day: np.ndarray) -> np.ndarray:
    """ISO dates of days, missing ones blank."""
    known = ~np.isnan(np.asarray(day, float))
    dates = np.full(len(day), "", object)
    dates[known] = np.asarray(day)[known].astype("datetime64[D]").astype(str)
    return dates
