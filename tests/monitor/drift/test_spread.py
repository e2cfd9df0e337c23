"""The bars and means before and after are those of the values."""

import numpy as np
import pandas as pd
import pytest

from churn.data.dataset import Schema
from churn.monitor.drift.compare import compare_with_training
from churn.monitor.drift.profile import build_profile
from churn.monitor.drift.reference import Reference
from churn.monitor.drift.summary import Summary
from churn.monitor.wording import describe_means

SCHEMA = Schema("left", ("yes",), ("price", "lines"), ("plan",))


def customers(price, seed=0, n=4_000):
    rng = np.random.default_rng(seed)
    plans = rng.choice(["basic", "family", "pro"], n, p=[0.6, 0.3, 0.1])
    return pd.DataFrame(
        {"price": rng.normal(price, 10, n), "lines": rng.integers(0, 3, n) * 1.0, "plan": plans}
    )


@pytest.fixture(scope="module")
def drift():
    """The changes of customers whose price rises from 67 to 87, in two parts that are added up."""
    before, after = customers(67), customers(87, 1)
    profile = build_profile(before, SCHEMA, before, np.full(len(before), 0.3))
    window = Summary(Reference(profile))
    window.add(after[:1_000], np.full(1_000, 0.4))
    other = Summary(window.reference)
    other.add(after[1_000:].assign(lines=np.nan), np.full(3_000, 0.4))
    return {"before": before, "after": after, **vars(compare_with_training(window.reference, window + other))}


def test_the_means_are_those_of_the_values(drift):
    spread = drift["features"]["price"].spread
    assert spread.means == pytest.approx(
        (drift["before"].price.mean(), drift["after"].price.mean()), rel=1e-6
    )
    assert describe_means({"spread": vars(spread)}).startswith(f"{spread.means[0]:.1f} → 8")
    assert describe_means({"spread": vars(drift["score"].spread)}) == "30.2 → 39.9 %"  # by cells of the grid


def test_bars_of_a_number_are_equally_wide_and_hold_all_rows(drift):
    spread = drift["features"]["price"].spread
    wide = np.linspace(*spread.reach, len(spread.before) + 1)
    counted = np.histogram(drift["before"].price, [-np.inf, *wide[1:-1], np.inf])[0] / 4_000
    assert np.abs(counted - spread.before).max() < 0.02  # between quantiles the rows count as evenly spread
    assert sum(spread.after) == pytest.approx(1, abs=1e-3)
    assert np.argmax(spread.after) > np.argmax(spread.before)


def test_a_number_with_few_values_has_a_bar_for_each_and_missing_ones_have_none(drift):
    spread = drift["features"]["lines"].spread
    assert spread.labels == ["0", "1", "2"]
    first = drift["after"].lines[:1_000]
    assert spread.after == [pytest.approx((first == value).mean(), abs=1e-4) for value in (0, 1, 2)]
    assert spread.means[1] == pytest.approx(first.mean())


def test_levels_have_their_shares(drift):
    spread = drift["features"]["plan"].spread
    shares = drift["after"].plan.value_counts(normalize=True)
    assert dict(zip(spread.labels, spread.after, strict=True)) == pytest.approx(shares.to_dict(), abs=1e-4)
