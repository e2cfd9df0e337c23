"""Rows as customers could change them keep the bounds, the budget and the range of known rows."""

import numpy as np
import pandas as pd

from churn.data.influence import random_changes, single_changes

ROWS = 400
INFLUENCE = {"spend": [-20, 5], "calls": [-3, 3], "plan": ["b", "c"]}


def frame():
    random = np.random.default_rng(0)
    rows = {"spend": random.uniform(0, 100, ROWS), "calls": random.integers(0, 9, ROWS).astype(float)}
    return pd.DataFrame(rows | {"plan": random.choice(["a", "b"], ROWS), "age": random.uniform(20, 80, ROWS)})


def price(rows, changed):
    spend, calls = ((changed[name] - rows[name]).to_numpy() for name in ("spend", "calls"))
    return np.where(spend < 0, spend / -20, spend / 5) + abs(calls) / 3 + (rows["plan"] != changed["plan"])


def test_random_changes_keep_bounds_budget_range_and_whole_numbers():
    rows = frame()
    for budget in (0.5, 1.0, 3.0):
        changed = random_changes(rows, INFLUENCE, rows, budget, seed=0)
        paid = price(rows, changed)
        assert paid.max() <= budget + 1e-9
        assert (paid > 0).mean() > 0.6
        assert changed["age"].equals(rows["age"])
        assert changed["spend"].between(rows["spend"].min(), rows["spend"].max()).all()
        assert set(changed["calls"] % 1) == {0.0}
        moved = changed["plan"] != rows["plan"]
        assert set(changed["plan"][moved]) == (set() if budget < 1 else {"b", "c"})
    assert rows.equals(frame()), "the rows themselves stay"


def test_other_seeds_give_other_changes_and_missing_numbers_stay_missing():
    rows = frame()
    rows.loc[:9, "spend"] = np.nan
    first, again, other = (random_changes(rows, INFLUENCE, rows, 2.0, seed) for seed in (0, 0, 1))
    assert first.equals(again)
    assert not first.equals(other)
    assert first["spend"][:10].isna().all()


def test_every_single_change_has_its_price():
    rows = frame()
    for change in single_changes(rows, INFLUENCE, rows):
        made = np.isfinite(change.price)
        changed = rows.assign(**{change.column: np.where(made, change.values, rows[change.column])})
        assert np.allclose(price(rows, changed), np.where(made, change.price, 0))
