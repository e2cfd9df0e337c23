"""Which predictions count: closed windows only, the newest ones, each customer once a period."""

import numpy as np
import pytest

from churn.monitor.closed_windows import ClosedWindows
from churn.monitor.labels import DAY, UNKNOWN, Labels
from churn.monitor.performance import Outcomes, measure_performance, measure_treatment

START = np.datetime64("2026-01-01", "s")
HORIZON = 30


def at(days):
    """Times, `days` after the start."""
    return START + (np.asarray(days, float) * DAY).astype("timedelta64[s]")


def life(leaves, until, treated=None, horizon=HORIZON, asked=None):
    """Labels as they arrive in life until a day: those who left at once, the others after the horizon.

    leaves: [n] the day on which each customer leaves, inf for never. asked: [n] the day of the prediction.
    """
    keys = np.array([f"c{i}" for i in range(len(leaves))])
    known = leaves <= until
    stayed = np.minimum(asked + horizon, leaves) <= until if asked is not None else ~known
    when = np.where(known, leaves, until if asked is None else np.asarray(asked) + horizon)
    rows = known | stayed
    group = np.full(len(keys), UNKNOWN) if treated is None else treated
    return keys, Labels.of(keys[rows], at(when[rows]), known[rows].astype(int), group[rows])


def collected(labels, keys, days, probability):
    closed = ClosedWindows(labels, HORIZON)
    closed.add(keys, at(days), probability)
    return closed


def test_the_example_of_the_guide_counts_neither_customer_before_the_window_is_closed():
    labels = Labels.of(np.array(["A", "B"]), at([9, 10]), np.array([1, 0]), np.array([UNKNOWN] * 2))
    closed = collected(labels, np.array(["A", "B"]), [0, 0], np.array([0.5, 0.5]))
    assert len(closed.newest()) == 0
    assert (closed.open, closed.unlabelled) == (2, 0)


def world(rows, days, rate, seed):
    """Predictions over some days: when they are made, true probabilities, and when the customers leave."""
    random = np.random.default_rng(seed)
    asked, chance = np.sort(random.uniform(0, days, rows)), random.beta(20 * rate, 20 * (1 - rate), rows)
    leaves = np.where(random.random(rows) < chance, asked + random.uniform(0, HORIZON, rows), np.inf)
    return asked, chance, leaves


def test_without_drift_the_churn_rate_of_35_days_is_the_true_one():
    asked, chance, leaves = world(3_500, 35, 0.15, seed=0)
    keys, labels = life(leaves, 35, asked=asked)
    closed = collected(labels, keys, asked, chance)
    found = closed.newest()
    assert 400 < len(found) < 600
    assert found.churned.mean() == pytest.approx(0.15, abs=0.05)
    assert closed.open + len(found) + closed.unlabelled == 3_500
    outcomes = Outcomes()
    outcomes.add(found.value, found.churned)
    own = {"calibration_intercept": {"value": 0.0, "low": -0.1, "high": 0.1}}
    assert not measure_performance(outcomes, own)["worse"]


def test_the_effect_of_calling_waits_for_the_end_of_the_windows_and_is_then_the_true_one():
    asked, _, leaves = world(4_000, 10, 0.3, seed=1)
    random = np.random.default_rng(2)
    treated = random.integers(0, 2, 4_000)
    leaves[(treated == 1) & (random.random(4_000) < 0.5)] = np.inf
    for until, counted in ((12, 0), (45, 4_000)):
        keys, labels = life(leaves, until, treated, asked=asked)
        found = collected(labels, keys, asked, np.full(4_000, 0.3)).campaign()
        assert len(found) == counted
    outcomes = Outcomes()
    outcomes.add(found.value, found.churned, found.treated)
    effect = measure_treatment(outcomes)["effect"]
    assert effect["low"] < -0.15 < effect["high"] < 0


def daily(customers, days, hazard, seed):
    """Customers who are asked every day until they leave: code and day of each request, and when they leave.

    hazard: a function of the day, the chance to leave on it.
    """
    random = np.random.default_rng(seed)
    leaves = np.full(customers, np.inf)
    for day in range(days):
        gone = (random.random(customers) < hazard(day)) & np.isinf(leaves)
        leaves[gone] = day + random.random(gone.sum())
    asked = [(code, day) for day in range(days) for code in np.flatnonzero(leaves > day)]
    code, day = np.array(asked).T
    return code, day, leaves


@pytest.mark.parametrize("customers", [300, 3_000])
def test_customers_who_are_asked_every_day_count_once_a_period_and_their_rate_is_the_true_one(customers):
    code, day, leaves = daily(customers, 150, lambda day: 0.006, seed=3)
    keys, labels = life(leaves, 150)
    found = collected(labels, keys[code], day, np.full(len(day), 0.165)).newest()
    assert len(found) <= max(2 * 1_000, customers)
    assert found.churned.mean() == pytest.approx(1 - 0.994**HORIZON, abs=0.04)


def test_the_effect_of_calling_customers_who_are_asked_every_day_is_that_of_one_horizon():
    treated = np.arange(2_000) % 2
    hazard = np.where(treated == 1, 0.003, 0.006)
    code, day, leaves = daily(2_000, 150, lambda day: hazard, seed=6)
    keys, labels = life(leaves, 150, treated)
    found = collected(labels, keys[code], day, np.full(len(day), 0.165)).campaign()
    assert len(np.unique(found.customer)) == len(found)
    outcomes = Outcomes()
    outcomes.add(found.value, found.churned, found.treated)
    effect, truth = measure_treatment(outcomes)["effect"], 0.994**HORIZON - 0.997**HORIZON
    assert effect["low"] < truth < effect["high"]
    assert effect["value"] == pytest.approx(truth, abs=0.04)


def test_a_tripled_hazard_is_seen_in_the_newest_closed_windows_after_a_horizon():
    code, day, leaves = daily(5_000, 150, lambda day: 0.006 if day < 110 else 0.018, seed=4)
    keys, labels = life(leaves, 150)
    found = collected(labels, keys[code], day, np.zeros(len(day))).newest()
    age = 150 - (found.time - START.astype(int)) / DAY
    assert age.max() <= HORIZON + 8
    assert found.churned.mean() > 0.36


@pytest.mark.parametrize(("customers", "days"), [(400, 120), (3_000, 60)])
def test_compaction_keeps_the_rows_that_count(customers, days):
    """Of many customers, the newest quarter of a period is enough."""
    code, day, leaves = daily(customers, days, lambda day: 0.006, seed=5)
    keys, labels = life(leaves, days)
    whole, parts = collected(labels, keys[code], day, day.astype(float)), ClosedWindows(labels, HORIZON)
    for rows in np.array_split(np.arange(len(day)), 40):
        parts.add(keys[code[rows]], at(day[rows]), day[rows].astype(float))
        parts.compact()
    assert len(parts.settled) < len(whole.settled) / 3
    expected, found = whole.newest(), parts.newest()
    by_row = [np.lexsort((rows.time, rows.customer)) for rows in (expected, found)]
    assert (expected.time[by_row[0]] == found.time[by_row[1]]).all()
    assert (expected.customer[by_row[0]] == found.customer[by_row[1]]).all()
