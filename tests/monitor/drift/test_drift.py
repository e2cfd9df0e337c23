"""Drift: no alarm without a change, an alarm with one, and the same result for rows in pieces."""

import json

import numpy as np
import pandas as pd
import pytest

from churn.data.dataset import Schema
from churn.monitor.drift.alarm import TOO_FEW_ROWS, DriftPolicy
from churn.monitor.drift.compare import compare_with_training
from churn.monitor.drift.profile import build_profile, by_customer, without_rare_levels
from churn.monitor.drift.reference import Reference
from churn.monitor.drift.summary import Summary
from churn.monitor.drift.two_sample import two_sample_test

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
def profile():
    return build_profile(
        customers(5_000, 0), SCHEMA, new := customers(2_000, 1), probability(new), lambda p: 100 * (p > 0.5)
    )


def summary(profile, frame, seed=0):
    rows = Summary(Reference(profile), seed)
    rows.add({name: frame[name].to_numpy() for name in frame}, probability(frame))
    return rows


def compared(profile, frame, permutations=0, **policy):
    return compare_with_training(
        Reference(profile), summary(profile, frame), DriftPolicy(permutations=permutations, **policy)
    )


def test_rows_like_the_training_rows_raise_no_alarm(profile):
    reports = [compared(profile, customers(1_000, seed)) for seed in range(10, 30)]
    assert [report.status for report in reports].count("ok") >= 19


def test_new_customers_are_no_drift_of_a_panel_that_has_many_rows_of_each():
    """500 customers with 12 rows each, all alike."""
    found = []
    for seed in range(12):
        once, new = customers(500, seed), customers(2_000, 100 + seed)
        panel = once.loc[once.index.repeat(12)].reset_index(drop=True)
        known = build_profile(panel, SCHEMA, new, probability(new), seed=seed)
        known = by_customer(known, panel, np.repeat(np.arange(500), 12), seed)
        assert known["customers"] == 500
        assert len(known["sample"]["age"]) == 500
        found.append(compared(known, new, permutations=200).status)
    assert found == ["ok"] * 12


def test_levels_of_few_rows_are_no_drift_of_a_panel():
    """500 customers with 30 rows each; half of the rows have one level, the others are spread over 600."""
    found = []
    for seed in range(6):
        random = np.random.default_rng(seed)
        panel, new = customers(15_000, seed), customers(3_000, 100 + seed)
        for frame in (panel, new):
            number = np.where(random.random(len(frame)) < 0.5, 0, random.integers(1, 601, len(frame)))
            frame["city"] = np.array([f"city {i}" for i in range(601)], object)[number]
        ids = np.repeat(np.arange(500), 30)
        known = by_customer(build_profile(panel, SCHEMA, new, probability(new), seed=seed), panel, ids, seed)
        found.append(compared(known, new).features["city"].status)
    assert found == ["ok"] * 6


def test_the_score_is_compared_with_as_many_customers_as_the_test_rows_have():
    """200 customers with 12 training rows each; the score is of test rows, one or six of each customer."""
    once, new = customers(1_000, 1), customers(1_000, 2, shift=-0.2)
    panel, ids = customers(200, 0), np.repeat(np.arange(200), 12)
    panel, found = panel.loc[panel.index.repeat(12)], []
    for test in (once, once.loc[once.index.repeat(6)]):
        known = build_profile(panel, SCHEMA, test, probability(test))
        by_row = compared(known, new).score
        known = by_customer(known, panel, ids, 0)
        assert compared(known, new).score == by_row, "a profile of before"
        found.append(compared(known | {"test_customers": 1_000}, new).score)
    assert found[0].status != "ok"
    assert found[1].p == pytest.approx(found[0].p)


@pytest.mark.parametrize(
    ("changed", "feature"),
    [({"shift": 0.4}, "age"), ({"plan": 0.45}, "plan"), ({"lost": 0.08}, "spend")],
)
def test_a_change_is_found_in_its_feature(profile, changed, feature):
    report = compared(profile, customers(2_000, 7, **changed))
    assert report.status in ("warning", "alarm")
    assert next(iter(report.features)) == feature
    assert [name for name, drift in report.features.items() if drift.status != "ok"] == [feature]


def mostly_one_value(rows, seed, complaints=0.04, flag=0.03, constant=5.0):
    random = np.random.default_rng(seed)
    counts = np.where(random.random(rows) < complaints, random.integers(1, 6, rows), 0)
    return pd.DataFrame(
        {
            "complaints": counts.astype(float),
            "flag": (random.random(rows) < flag).astype(float),
            "constant": np.full(rows, constant),
        }
    )


@pytest.mark.parametrize("changed", [{}, {"complaints": 0.2}, {"flag": 0.1}, {"constant": 7.0}])
def test_a_rise_is_found_where_nearly_all_training_rows_have_one_value(changed):
    train, new = mostly_one_value(5_000, 0), mostly_one_value(2_000, 1)
    profile = build_profile(train, Schema("left", ("yes",), tuple(train), ()), new, np.full(2_000, 0.2))
    window = Summary(Reference(profile), 0)
    rows = mostly_one_value(3_000, 2, **changed)
    window.add({name: rows[name].to_numpy() for name in rows}, np.full(3_000, 0.2))
    report = compare_with_training(Reference(profile), window, DriftPolicy(permutations=0))
    assert [name for name, drift in report.features.items() if drift.status != "ok"] == [*changed]


def test_a_new_level_is_found_and_named(profile):
    frame = customers(2_000, 8)
    frame.loc[:39, "plan"] = "gold"
    window = summary(profile, frame)
    report = compare_with_training(Reference(profile), window, DriftPolicy(permutations=0))
    assert report.features["plan"].status != "ok"
    assert window.unseen["plan"] == {"gold": 40}


def test_rare_levels_that_training_missed_by_chance_raise_no_alarm():
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


def streets(rows, seed, count=600):
    """Rows whose texts are as frequent as the words of a language; many occur once."""
    random = np.random.default_rng(seed)
    share = 1 / np.arange(1, count + 1)
    return random.choice([f"street {i}" for i in range(count)], rows, p=share / share.sum()).astype(object)


@pytest.fixture(scope="module")
def without_rare():
    """A profile that names no level of fewer than 8 rows."""
    frame = pd.DataFrame({"street": streets(3_000, 0)})
    schema = Schema("left", ("yes",), (), ("street",))
    profile = build_profile(frame, schema, frame, np.full(3_000, 0.2))
    return without_rare_levels(profile, 8, {"street": frame["street"].value_counts()}), frame


def test_levels_of_few_rows_are_nowhere_in_a_profile_but_counted(without_rare):
    profile, frame = without_rare
    rows = frame["street"].value_counts()
    written = json.dumps(profile)
    assert [level for level in rows.index if f'"{level}"' in written] == list(rows.index[rows >= 8])
    assert profile["rare"]["street"] == {"rows": rows[rows < 8].sum(), "least": 8, "next": (rows == 8).sum()}
    assert rows[rows < 8].sum() > 500
    assert {len(profile[what]["street"]) for what in ("probability", "profit")} == {(rows >= 8).sum() + 1}
    assert max(profile["sample"]["street"]) <= (rows >= 8).sum()


def test_a_level_of_few_customers_is_not_in_a_profile_however_many_rows_they_have():
    frame = pd.DataFrame({"street": np.repeat(["long", "short", "ours"], [96, 96, 24])})
    schema = Schema("left", ("yes",), (), ("street",))
    known = build_profile(frame, schema, frame, np.full(216, 0.2))
    profile = without_rare_levels(known, 8, {"street": pd.Series({"long": 9, "short": 8, "ours": 2})})
    assert profile["categorical"] == {"street": {"long": 96, "short": 96}}
    assert profile["rare"] == {"street": {"rows": 24, "least": 8, "next": 12}}  # 96 rows are 12 levels of 8


def test_rare_levels_without_a_name_raise_no_alarm_and_new_ones_do(without_rare):
    profile, _ = without_rare
    known = Reference(profile)

    def status(column):
        window = Summary(known)
        window.add({"street": column}, np.full(len(column), 0.2))
        return compare_with_training(known, window, DriftPolicy(permutations=0)).status

    assert [status(streets(rows, seed)) for rows in (500, 3_000, 20_000) for seed in range(1, 6)] == [
        "ok"
    ] * 15
    for changed in (streets(3_000, 1), streets(3_000, 2)):
        changed[:450] = "a new street"
        assert status(changed) != "ok"


def test_a_significant_but_tiny_change_raises_no_alarm():
    known = build_profile(customers(50_000, 0), SCHEMA, new := customers(2_000, 1), probability(new))
    report = compared(known, customers(100_000, 5, shift=0.03))
    assert report.features["age"].p < 1e-4
    assert report.features["age"].status == "ok"


def test_only_the_comparison_of_all_features_sees_a_changed_correlation():
    def pair(rows, rho, seed):
        random = np.random.default_rng(seed)
        values = random.multivariate_normal([0, 0], [[1, rho], [rho, 1]], rows)
        return pd.DataFrame(
            {"age": values[:, 0], "spend": values[:, 1], "plan": ["basic"] * rows, "city": ["a"] * rows}
        ).astype({"plan": object, "city": object})

    known = build_profile(pair(4_000, 0.3, 0), SCHEMA, new := pair(1_000, 0.3, 1), probability(new))
    report = compared(known, pair(1_000, 0.7, 2), 1_000)
    assert all(drift.status == "ok" for drift in report.features.values())
    assert report.together.status != "ok"
    assert compared(known, pair(1_000, 0.3, 3), 1_000).together.status == "ok"


def rare_flags(rows, seed):
    random = np.random.default_rng(seed)
    return pd.DataFrame({"a": random.random(rows) < 0.03, "b": random.random(rows) < 0.1}).astype(float)


def test_two_rare_flags_that_do_not_change_raise_no_alarm_together():
    """Nearly all rows are equal: which of them is a training row says nothing."""
    schema, found = Schema("left", ("yes",), ("a", "b"), ()), []
    for seed in range(8):
        new, rows = rare_flags(2_000, 5_000 + seed), rare_flags(2_000, 9_000 + seed)
        known, chance = rare_flags(4_000, seed), [np.where(each["a"] > 0, 0.1, 0.4) for each in (new, rows)]
        reference = Reference(build_profile(known, schema, new, chance[0], seed=seed))
        window = Summary(reference)
        window.add({name: rows[name].to_numpy() for name in rows}, chance[1])
        found.append(two_sample_test(reference, window, DriftPolicy()).status)
    assert found == ["ok"] * 8


def test_rare_cells_are_hidden_in_the_window_as_in_the_profile():
    def with_streets(rows, seed):
        names = np.random.default_rng(seed).choice([f"street {i}" for i in range(800)], rows)
        return customers(rows, seed).assign(city=names.astype(object))

    known = build_profile(with_streets(3_000, 0), SCHEMA, new := with_streets(2_000, 1), probability(new))
    window = summary(known, with_streets(2_000, 2))
    assert two_sample_test(Reference(known), window, DriftPolicy(permutations=200)).p > 0.01


def test_a_p_value_of_permutations_is_never_zero(profile):
    window = summary(profile, customers(1_000, 5, shift=3))
    found = two_sample_test(Reference(profile), window, DriftPolicy(permutations=100))
    assert found.p == 1 / 101
    assert found.auc > 0.9


def test_the_change_with_the_largest_effect_on_profit_comes_first(profile):
    frame = customers(4_000, 9, shift=-0.5, lost=0.1)
    report = compared(profile, frame)
    assert list(report.features)[:2] == ["age", "spend"]
    assert report.features["age"].profit > 3 * abs(report.features["spend"].profit)
    assert report.score.probability > 0.05
    assert report.score.profit > 1


def test_too_few_rows_give_no_verdict(profile):
    assert compared(profile, customers(199, 3, shift=3)).status == TOO_FEW_ROWS
    assert compared(profile, customers(199, 3, shift=3), min_rows=100).status == "alarm"


def test_rows_in_pieces_add_up_to_the_same_counts(profile):
    frame = customers(3_000, 4, lost=0.05)
    whole, first, second = (summary(profile, part) for part in (frame, frame[:1_100], frame[1_100:]))
    both = first + second
    assert both.rows == whole.rows == 3_000
    for name, counts in whole.counts.items():
        assert (both.counts[name] == counts).all()
        assert counts.sum() == 3_000
    assert (both.score == whole.score).all()
    assert both.outside == whole.outside
    assert both.sample.shape == whole.sample.shape == (1_000, 4)


def test_a_summary_does_not_grow_with_the_rows(profile):
    window = Summary(Reference(profile))
    for seed in range(5):
        frame = customers(5_000, seed)
        frame["city"] = [f"{seed} {i}" for i in range(len(frame))]
        window.add({name: frame[name].to_numpy() for name in frame}, probability(frame))
    assert window.sample.shape == (1_000, 4)
    assert len(window.unseen["city"]) <= 50
    assert window.counts["city"][-1] == 25_000


def test_the_sample_of_a_window_is_of_all_its_rows(profile):
    plan = list(Reference(profile).features).index("plan")
    parts = [customers(3_000, seed).assign(plan=name) for seed, name in enumerate(("premium", "basic"))]
    together = Summary(Reference(profile))
    for part in parts:
        together.add({name: part[name].to_numpy() for name in part})
    first, second = (summary(profile, part, seed) for seed, part in enumerate(parts))
    for window in (together, first + second):
        assert np.mean(window.sample[:, plan] == window.sample[0, plan]) == pytest.approx(0.5, abs=0.06)


def test_numbers_below_and_above_those_of_training_are_outside_and_missing_ones_are_not(profile):
    frame, window = customers(1_000, 3), Summary(Reference(profile))
    frame.loc[:2, "age"], frame.loc[3:9, "age"], frame.loc[10:, "age"] = -1e3, 1e3, np.nan
    window.add({name: frame[name].to_numpy() for name in frame})
    assert window.outside["age"] == 10


def test_the_sample_in_the_profile_hides_the_rows_of_customers(profile):
    frame = customers(5_000, 0)
    reference = Reference(profile)
    true = Summary(reference)
    true.add({name: frame[name].to_numpy() for name in frame})
    assert reference.sample.shape == (1_000, 4)
    assert reference.sample.max() < max(len(feature.counts) for feature in reference.features.values())
    same = {tuple(row) for row in true.sample}
    kept = np.mean([tuple(row) in same for row in reference.sample])
    assert kept < 0.9  # and nobody can know which of the equal rows are original
