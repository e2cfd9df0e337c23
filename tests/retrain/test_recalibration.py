"""The shift of the log-odds by open windows: found when it is there, seldom when it is not."""

import numpy as np
import pytest
from scipy.special import expit, logit

from churn.config.loop import RetrainConfig
from churn.retrain.recalibration import OpenWindows, fit_shift, shifted

CFG = RetrainConfig()


def open_windows(rise, seed, rows=1_120, days=28, horizon=30):
    """Predictions of the last 28 days, 40 a day, in a world whose log-odds have risen."""
    random = np.random.default_rng(seed)
    probability, age = random.beta(2, 6, rows), random.uniform(0, days, rows)
    leaves = random.random(rows) < expit(logit(probability) + rise)
    left_at = horizon * random.beta(1, 2, rows)  # most leave early
    past = horizon * random.beta(1, 2, 500)
    return OpenWindows(probability, leaves & (left_at <= age), age, past)


@pytest.mark.parametrize("rise", [0.8, 2.0])
def test_a_rise_is_found_in_its_size_before_any_window_is_closed(rise):
    shifts = [fit_shift(open_windows(rise, seed)) for seed in range(20)]
    assert all(shift.needed(CFG) for shift in shifts)
    assert np.mean([shift.log_odds for shift in shifts]) == pytest.approx(rise, abs=0.1)


def test_without_a_change_there_is_hardly_ever_a_shift():
    found = [fit_shift(open_windows(0.0, seed)) for seed in range(400)]
    assert sum(shift.needed(CFG) for shift in found) <= 2
    p = np.array([shift.p for shift in found])
    assert 0.02 < np.mean(p < 0.05) < 0.09
    assert np.median(p[p < 1]) == pytest.approx(0.25, abs=0.1), (
        "only a rise is asked about, so a half is the most"
    )
    assert p[p < 1].max() <= 0.5


def test_how_soon_customers_leave_is_uncertain_when_few_have_left():
    """50 leavers, and 8,000 predictions that are all 14 days old, as a monthly batch has: nothing changed."""
    found = []
    for seed in range(200):
        random = np.random.default_rng(seed)
        probability, age = random.beta(2, 6, 8_000), np.full(8_000, 14.0)
        left_at = 30 * random.beta(1, 2, 8_000)
        left = (random.random(8_000) < probability) & (left_at <= age)
        found.append(fit_shift(OpenWindows(probability, left, age, 30 * random.beta(1, 2, 50))))
    assert not any(shift.needed(CFG) for shift in found)


@pytest.mark.parametrize("rise", [0.0, 1.5])
@pytest.mark.parametrize("day", [0, 3, 14, 27])
def test_customers_who_leave_at_the_end_of_a_month_are_no_rise(day, rise):
    """All leave on every 30th day; the look is so many days after such a day. A rise is found on it."""
    random, now = np.random.default_rng(day), 210.0 + day
    time, probability = random.uniform(0, now, 8_000), random.beta(2, 6, 8_000)
    leaves = random.random(8_000) < expit(logit(probability) + rise * (time > now - 28))
    age = 30 - time % 30  # of the prediction when its customer leaves
    old, new = leaves & (time <= now - 30), time > now - 28
    left = leaves[new] & (time[new] + age[new] <= now)
    seen = OpenWindows(probability[new], left, now - time[new], age[old], time[old])
    assert fit_shift(seen).needed(CFG) is (rise > 0 and day in (0, 3))


@pytest.mark.parametrize(("each_day", "horizon"), [(3, 30), (4, 30), (20, 60), (60, 60)])
def test_few_customers_who_leave_at_the_end_of_a_month_are_no_rise(each_day, horizon):
    """Where earlier looks expected few leavers, they saw as many as the look at the end of the month."""
    found = []
    for seed in range(20):
        random, now = np.random.default_rng(seed), 210.0
        time, probability = random.uniform(0, now, int(each_day * now)), 0.15
        leaves = random.random(len(time)) < probability
        age = 30 * random.integers(1, horizon // 30 + 1, len(time)) - time % 30
        old, new = leaves & (time <= now - horizon), time > now - 28
        left = leaves[new] & (time[new] + age[new] <= now)
        open_ = OpenWindows(np.full(new.sum(), probability), left, now - time[new], age[old], time[old])
        found.append(fit_shift(open_).needed(CFG))
    assert not any(found)


@pytest.mark.parametrize("monthly", [True, False])
def test_an_adopted_shift_is_as_large_as_the_rise(monthly):
    """Customers leave at the end of a month, where the look is, or on any day."""
    found = []
    for seed in range(12):
        random = np.random.default_rng(seed)
        time, probability = random.uniform(0, 210, 8_000), random.beta(2, 6, 8_000)
        leaves = random.random(8_000) < expit(logit(probability) + 0.8 * (time > 182))
        age = 30 - time % 30 if monthly else random.uniform(0, 30, 8_000)
        old, new = leaves & (time <= 180), time > 182
        left = leaves[new] & (time[new] + age[new] <= 210)
        found.append(fit_shift(OpenWindows(probability[new], left, 210 - time[new], age[old], time[old])))
    adopted = [shift.log_odds for shift in found if shift.needed(CFG)]
    assert len(adopted) >= 8
    assert np.mean(adopted) == pytest.approx(0.8, abs=0.08)
    expected = 0.25 * 8_000 * 28 / 210 * (1 if monthly else 28 / 2 / 30)
    assert np.mean([shift.expected for shift in found]) == pytest.approx(expected, rel=0.03)


def test_earlier_days_on_which_nobody_was_asked_show_nothing():
    begun, seen = np.repeat([0.0, 100.0], 30), np.full(50, 0.5)
    gap = OpenWindows(seen, np.ones(50, bool), np.full(50, 20.0), np.full(60, 50.0), begun)
    assert not fit_shift(gap).needed(CFG)


def test_a_fall_may_be_late_labels_and_gives_no_shift():
    assert not any(fit_shift(open_windows(-1.0, seed)).needed(CFG) for seed in range(20))


def test_few_leavers_give_no_shift():
    few = OpenWindows(np.full(15, 0.01), np.ones(15, bool), np.ones(15), np.full(50, 0.5))
    assert not fit_shift(few).needed(CFG)
    nobody = OpenWindows(np.zeros(0), np.zeros(0, bool), np.zeros(0), np.zeros(0))
    assert not fit_shift(nobody).needed(CFG)


def test_shifted_probabilities_have_shifted_log_odds():
    assert logit(shifted(np.array([0.2, 0.9]), 0.7)) == pytest.approx(logit([0.2, 0.9]) + 0.7)
