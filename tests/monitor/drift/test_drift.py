"""Drift: quiet without a change, awake with one, and the same however the rows arrive."""

import numpy as np
import pandas as pd
import pytest

from churn.data.dataset import Schema
from churn.monitor.drift.compare import TOO_FEW_ROWS, DriftPolicy, compare_with_training
from churn.monitor.drift.profile import build_profile
from churn.monitor.drift.reference import Reference
from churn.monitor.drift.summary import Summary

SCHEMA = Schema("left", ("yes",), ("age", "spend"), ("plan", "city"))
CITIES = [f"city {i}" for i in range(60)]


def customers(rows, seed, shift=0.0, plan=0.3, lost=0.01):
    random = np.random.default_rng(seed)
    age = random.normal(50 + 12 * shift, 12, rows)
    spend = random.lognormal(3, 0.6, rows)
    spend[random.random(rows) < lost] = np.nan
    return pd.DataFrame(
        {
            "age": age,
            "spend": spend,
            "plan": np.where(random.random(rows) < plan, "premium", "basic").astype(object),
            "city": random.choice(CITIES, rows).astype(object),
        }
    )


def probability(frame):
    return 1 / (1 + np.exp((frame["age"].to_numpy() - 35) / 12))


@pytest.fixture(scope="module")
def told():
    return build_profile(
        customers(5_000, 0), SCHEMA, new := customers(2_000, 1), probability(new), lambda p: 100 * (p > 0.5)
    )


def summary(told, frame, seed=0):
    found = Summary(Reference(told), seed)
    found.add({name: frame[name].to_numpy() for name in frame}, probability(frame))
    return found


def compared(told, frame, permutations=0, **policy):
    return compare_with_training(
        Reference(told), summary(told, frame), DriftPolicy(permutations=permutations, **policy)
    )


def test_rows_like_those_of_training_raise_no_alarm(told):
    reports = [compared(told, customers(1_000, seed)) for seed in range(10, 30)]
    assert [report.status for report in reports].count("ok") >= 19


@pytest.mark.parametrize(
    ("changed", "feature"),
    [({"shift": 0.4}, "age"), ({"plan": 0.45}, "plan"), ({"lost": 0.08}, "spend")],
)
def test_a_change_is_found_where_it_is(told, changed, feature):
    report = compared(told, customers(2_000, 7, **changed))
    assert report.status in ("warning", "alarm")
    assert next(iter(report.features)) == feature
    assert [name for name, one in report.features.items() if one.status != "ok"] == [feature]


def test_a_new_level_is_found_and_named(told):
    frame = customers(2_000, 8)
    frame.loc[:39, "plan"] = "gold"
    found = summary(told, frame)
    assert (
        compare_with_training(Reference(told), found, DriftPolicy(permutations=0)).features["plan"].status
        != "ok"
    )
    assert found.unseen["plan"] == {"gold": 40}


def test_levels_that_were_merely_rare_are_no_news(told):
    random = np.random.default_rng(0)
    names = [f"street {i}" for i in range(3_000)]
    schema = Schema("left", ("yes",), (), ("street",))
    frame = pd.DataFrame({"street": random.choice(names, 2_000).astype(object)})
    known = build_profile(frame, schema, frame, np.full(2_000, 0.2))
    window = Summary(Reference(known))
    window.add({"street": random.choice(names, 2_000).astype(object)}, np.full(2_000, 0.2))
    report = compare_with_training(Reference(known), window, DriftPolicy(permutations=0))
    assert report.features["street"].unseen > 0.3
    assert report.status == "ok"


def test_a_tiny_but_certain_change_is_not_worth_a_word(told):
    known = build_profile(customers(50_000, 0), SCHEMA, new := customers(2_000, 1), probability(new))
    report = compared(known, customers(100_000, 5, shift=0.03))
    assert report.features["age"].p < 1e-4
    assert report.features["age"].status == "ok"


def test_only_the_comparison_of_all_features_sees_a_changed_correlation(told):
    def pair(rows, rho, seed):
        random = np.random.default_rng(seed)
        values = random.multivariate_normal([0, 0], [[1, rho], [rho, 1]], rows)
        return pd.DataFrame(
            {"age": values[:, 0], "spend": values[:, 1], "plan": ["basic"] * rows, "city": ["a"] * rows}
        ).astype({"plan": object, "city": object})

    known = build_profile(pair(4_000, 0.3, 0), SCHEMA, new := pair(1_000, 0.3, 1), probability(new))
    found = compared(known, pair(1_000, 0.7, 2), 1_000)
    assert all(one.status == "ok" for one in found.features.values())
    assert found.together.status != "ok"
    assert compared(known, pair(1_000, 0.3, 3), 1_000).together.status == "ok"


def test_the_change_that_moves_profit_most_comes_first(told):
    frame = customers(4_000, 9, shift=-0.5, lost=0.1)
    report = compared(told, frame)
    assert list(report.features)[:2] == ["age", "spend"]
    assert report.features["age"].profit > 3 * abs(report.features["spend"].profit)
    assert report.score.probability > 0.05
    assert report.score.profit > 1


def test_few_rows_are_no_evidence(told):
    assert compared(told, customers(199, 3, shift=3)).status == TOO_FEW_ROWS
    assert compared(told, customers(199, 3, shift=3), min_rows=100).status == "alarm"


def test_rows_in_pieces_add_up_to_the_same_counts(told):
    frame = customers(3_000, 4, lost=0.05)
    whole, first, second = (summary(told, part) for part in (frame, frame[:1_100], frame[1_100:]))
    both = first + second
    assert both.rows == whole.rows == 3_000
    for name, counts in whole.counts.items():
        assert (both.counts[name] == counts).all()
        assert counts.sum() == 3_000
    assert (both.score == whole.score).all()
    assert both.outside == whole.outside
    assert both.sample.shape == whole.sample.shape == (1_000, 4)


def test_a_summary_does_not_grow_with_the_rows(told):
    found = Summary(Reference(told))
    for seed in range(5):
        frame = customers(5_000, seed)
        frame["city"] = [f"{seed} {i}" for i in range(len(frame))]
        found.add({name: frame[name].to_numpy() for name in frame}, probability(frame))
    assert found.sample.shape == (1_000, 4)
    assert len(found.unseen["city"]) <= 50
    assert found.counts["city"][-1] == 25_000


def test_the_sample_that_travels_holds_no_row_of_a_customer(told):
    frame = customers(5_000, 0)
    reference = Reference(told)
    true = Summary(reference)
    true.add({name: frame[name].to_numpy() for name in frame})
    assert reference.sample.shape == (1_000, 4)
    assert reference.sample.max() < max(len(one.counts) for one in reference.features.values())
    same = {tuple(row) for row in true.sample}
    kept = np.mean([tuple(row) in same for row in reference.sample])
    assert kept < 0.9  # and of those that agree nobody can tell which were left as they were
