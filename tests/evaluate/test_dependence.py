"""Partial dependence is right for models whose terms are known."""

import numpy as np
import pandas as pd
import pytest

from churn.evaluate.dependence import has_shown_values, partial_dependence


def frame(rows=1_000):
    random = np.random.default_rng(0)
    number = random.normal(size=rows)
    number[::7] = np.nan
    return pd.DataFrame(
        {
            "x": number,
            "z": random.random(rows),
            "plan": random.choice(["a", "b", ""], rows, p=[0.6, 0.3, 0.1]),
        }
    )


def additive(rows):
    return (
        0.2 * rows["x"].fillna(0).to_numpy() + 0.3 * (rows["plan"] == "b").to_numpy() + rows["z"].to_numpy()
    )


def test_the_curve_of_an_additive_model_is_its_term():
    dependence = partial_dependence(additive, frame(), "x")
    assert np.diff(dependence.probability) == pytest.approx(0.2 * np.diff(dependence.values))
    assert dependence.values[[0, -1]].tolist() == [frame()["x"].min(), frame()["x"].max()]
    assert len(dependence.observed) == frame()["x"].notna().sum()


def test_the_curve_is_the_mean_over_many_customers():
    rows = frame(5_000)
    curve = partial_dependence(lambda rows: (rows["x"] * rows["z"]).to_numpy(), rows, "x")
    slopes = np.diff(curve.probability) / np.diff(curve.values)
    assert slopes == pytest.approx(np.full(len(slopes), rows["z"].mean()), abs=0.05)


def test_the_most_frequent_levels_come_first_with_their_share():
    dependence = partial_dependence(additive, frame(), "plan")
    assert dependence.values.tolist() == ["a", "b", ""]
    assert dependence.observed == pytest.approx([0.6, 0.3, 0.1], abs=0.05)
    assert dependence.probability[1] - dependence.probability[0] == pytest.approx(0.3)
    assert dependence.probability[2] == pytest.approx(dependence.probability[0])


def test_levels_that_few_customers_share_are_not_shown():
    rows = frame().assign(plan=[*["a"] * 990, *["Jane Doe"] * 4, *["b"] * 6])
    assert partial_dependence(additive, rows, "plan").values.tolist() == ["a", "b"]
    assert has_shown_values(rows["plan"])
    assert not has_shown_values(rows["plan"].iloc[990:994])
    four = np.r_[np.arange(994), [1, 2, 3, 4, 1, 2]]
    assert partial_dependence(additive, rows, "plan", four).values.tolist() == ["a"]
