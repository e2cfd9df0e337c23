"""Synthetic customers whose hazard is known, and everything they do, month by month.

On the first of each month every customer gets the probability of leaving within the next 28 days. It is a
function of what the tables say about the time before: uses in the last 30 days, failed payments in the last
90, the plan, how long somebody has been a customer. Nobody who reads the tables at that moment can know more:
at cut-offs on the first of a month with a horizon of 28 days, it is the best possible prediction. Who leaves,
leaves on one of the 28 days, gets a part of the fee back on that day, and does nothing from then on.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from churn.config.events import SyntheticEventsConfig

HORIZON = 28  # days in which those leave who do
GROWTH = 0.02  # new customers in a month, as a share of those on the first day
PLANS = (("basic", 9.0), ("plus", 15.0), ("family", 25.0))
METHODS = ("card", "bank transfer", "wallet")
SECONDS = 86_400


@dataclass
class World:
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


def simulate(cfg: SyntheticEventsConfig, months: list[int], seed: int) -> World:
    """The world after its last month; `months`: the first day of each, and of the one after."""
    rng = np.random.default_rng(seed)
    world = _first_day(cfg, months[0], rng)
    for first, following in pairwise(months):
        _live_a_month(world, first, following, cfg, rng)
    return world


def _first_day(cfg: SyntheticEventsConfig, day: int, rng: np.random.Generator) -> World:
    """Customers of all ages."""
    whole, share = np.empty(0, int), np.empty(0)
    world = World(whole, whole, whole, share, share, whole, share, share, [], [], [], [])
    _add_customers(world, day - rng.geometric(1 / 400, cfg.customers), rng)
    return world


def _add_customers(world: World, begin: np.ndarray, rng: np.random.Generator) -> None:
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
    world: World, first: int, following: int, cfg: SyntheticEventsConfig, rng: np.random.Generator
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


def _log_odds(world: World, here: np.ndarray, day: int) -> np.ndarray:
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


def _alive(world: World, who: np.ndarray, day: np.ndarray) -> np.ndarray:
    """[n] whether a customer is one on a day."""
    return (day >= world.begin[who]) & ((world.end[who] < 0) | (day < world.end[who]))


def _use(world: World, first: int, following: int, rng: np.random.Generator) -> None:
    """Uses of a month, at any second of a day."""
    current = np.flatnonzero((world.end < 0) | (world.end >= first))
    who = np.repeat(current, rng.poisson(world.rate[current] * (following - first)))
    day = rng.integers(first, following, len(who))
    kept = _alive(world, who, day)
    uses = pd.DataFrame({"who": who[kept], "day": day[kept]})
    uses["minutes"] = rng.gamma(2.0, 6.0, len(uses)).round(1)
    phone = rng.random(len(uses)) < world.device[uses["who"]]
    uses["second"] = rng.integers(0, SECONDS, len(uses))
    uses["device"] = np.where(phone, "phone", "web")
    world.uses.append(uses)


def _pay(world: World, first: int, following: int, rng: np.random.Generator) -> None:
    """The payment of each customer's month, on the day of the month on which the contract began."""
    current = np.flatnonzero((world.end < 0) | (world.end >= first))
    day = first + world.begin[current] % HORIZON
    kept = _alive(world, current, day) & (day < following)
    who, day = current[kept], day[kept]
    failed = rng.random(len(who)) < world.fails[who]
    fee = fees(world, who, world.plan[who])
    paid = pd.DataFrame({"who": who, "day": day, "amount": fee, "status": np.where(failed, "failed", "ok")})
    refund = rng.random(len(who)) < 0.004
    back = pd.DataFrame({"who": who[refund], "day": day[refund], "amount": -fee[refund], "status": "ok"})
    made = pd.concat([paid, back, _last_refunds(world, first, following, rng)], ignore_index=True)
    world.payments.append(_with_details(world, made, rng))


def _with_details(world: World, made: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Payments with the second of the day, the method and the day on which they were booked."""
    made["second"] = rng.integers(8 * 3600, 20 * 3600, len(made))
    other = rng.integers(0, len(METHODS), len(made))
    usual = world.method[made["who"].to_numpy()]
    made["method"] = np.array(METHODS, object)[np.where(rng.random(len(made)) < 0.1, other, usual)]
    made["booked"] = made["day"] + (made["status"] == "ok") * rng.integers(0, 3, len(made))
    return made


def _last_refunds(world: World, first: int, following: int, rng: np.random.Generator) -> pd.DataFrame:
    """What those who leave in a month get back on that day."""
    who = np.flatnonzero((world.end >= first) & (world.end < following))
    back = (fees(world, who, world.plan[who]) * rng.random(len(who))).round(2)
    return pd.DataFrame({"who": who, "day": world.end[who], "amount": -back, "status": "ok"})


def fees(world: World, who: np.ndarray, plan: np.ndarray) -> np.ndarray:
    """[n] what a month of a plan costs these customers."""
    return (np.array([fee for _, fee in PLANS])[plan] * (1 - world.discount[who])).round(2)


def _change_plans(world: World, first: int, following: int, rng: np.random.Generator) -> None:
    """One customer in a hundred takes another plan."""
    who = np.flatnonzero((world.end < 0) & (rng.random(len(world.end)) < 0.01))
    day = rng.integers(first, following, len(who))
    kept = day >= world.begin[who]
    who, day = who[kept], day[kept]
    plan = rng.integers(0, len(PLANS), len(who))
    world.plan[who] = plan
    world.plans.append(pd.DataFrame({"who": who, "day": day, "plan": plan}))
