"""Groups are measured as fairlearn does, at the decision in use, and equal selection has a price."""

import numpy as np
import pandas as pd
import pytest
from fairlearn import metrics

from churn.bundle.fairness_limits import broken_limit
from churn.config.loop import GateConfig
from churn.config.training import DecisionConfig, EvaluateConfig
from churn.evaluate.bootstrap import jeffreys_interval
from churn.evaluate.fairness import measure_fairness
from churn.evaluate.permutation import largest_difference, permuted_groups
from churn.evaluate.profit import Outcome

FEW = EvaluateConfig(bootstrap=200)


@pytest.fixture(scope="module")
def sample():
    """Women are given probabilities that are too high; the few of a third group are ten."""
    random = np.random.default_rng(0)
    probability = random.beta(1, 3, 3_000)
    churned = (random.random(3_000) < probability).astype(np.int8)
    groups = pd.DataFrame(
        {"gender": random.choice(["f", "m"], 3_000), "age": random.integers(18, 90, 3_000).astype(float)}
    )
    groups.loc[:9, "gender"] = "x"
    probability = np.where(groups["gender"] == "f", np.minimum(probability + 0.1, 1), probability)
    return groups, Outcome(groups[["age"]], churned, probability)


@pytest.fixture(scope="module")
def fairness(sample):
    groups, test = sample
    return measure_fairness(groups, test, 0.3, DecisionConfig(), FEW, 0)


def test_columns_and_pairs_are_measured_and_too_small_groups_named(fairness):
    assert [grouping.name for grouping in fairness.groupings] == ["gender", "age", "gender and age"]
    assert [group.name for group in fairness.groupings[0].groups] == ["f", "m"]
    assert [grouping.left_out for grouping in fairness.groupings] == [10, 0, 10]
    assert len(fairness.groupings[1].groups) == 4
    assert len(fairness.groupings[2].groups) == 8
    assert sum(group.rows for group in fairness.groupings[2].groups) == 2_990


def test_rates_and_differences_are_fairlearns(sample, fairness):
    groups, test = sample
    inside = (groups["gender"] != "x").to_numpy()
    left, called = test.churned[inside], test.probability[inside] >= 0.3
    names = groups["gender"][inside].to_numpy(object)
    for number, name in enumerate("fm"):
        rates, of = fairness.groupings[0].groups[number].rates, names == name
        assert rates["selection_rate"].value == called[of].mean()
        assert rates["true_positive_rate"].value == called[of & (left == 1)].mean()
        assert rates["false_positive_rate"].value == pytest.approx(called[of & (left == 0)].mean())
        gap = test.probability[inside][of].mean() - left[of].mean()
        assert rates["calibration"].value == pytest.approx(gap)
    differences = fairness.groupings[0].differences
    expected = metrics.equalized_odds_difference(left, called, sensitive_features=names)
    assert differences["equalized_odds"].value == expected
    assert differences["demographic_parity"].value > 0.1


def test_intervals_hold_what_is_measured_and_shrink_with_rows(sample, fairness):
    rates = [
        rate for grouping in fairness.groupings for group in grouping.groups for rate in group.rates.values()
    ]
    assert all(rate.low <= rate.value <= rate.high for rate in rates)
    gap = fairness.groupings[0].groups[0].rates["calibration"]
    assert 0.06 < gap.low < 0.1 < gap.high < 0.14
    pairs = fairness.groupings[2].groups[0].rates["calibration"]
    assert pairs.high - pairs.low > 1.5 * (gap.high - gap.low)


def test_groups_that_are_alike_differ_by_no_more_than_chance_gives_and_others_by_more():
    below, more = [], []
    for seed in range(60):
        random = np.random.default_rng(seed)
        probability = random.beta(2, 4, 600)
        churned = (random.random(600) < probability).astype(np.int8)
        groups = pd.DataFrame({"g": random.choice(list("abcdef"), 600)})
        higher = np.where(groups["g"] == "a", probability + 0.3, probability)
        for chance, found in ((probability, below), (higher, more)):
            test = Outcome(groups, churned, chance)
            settings = (0.4, DecisionConfig(), EvaluateConfig(bootstrap=100))
            (grouping,) = measure_fairness(groups, test, *settings, seed).groupings
            found.append([one.value < one.by_chance for one in grouping.differences.values()])
    assert (np.mean(below, axis=0) > 0.85).all()
    assert (np.mean(more, axis=0) < 0.1).all()


def test_copies_of_a_customers_rows_leave_what_chance_gives():
    random, rows = np.random.default_rng(0), np.repeat(np.arange(300), 10)
    group, hits = random.integers(3, size=300), random.random(300) < 0.3
    alone, copied = (
        [largest_difference(hits[index], drawn) for drawn in permuted_groups(group[index], index, 200, 0)]
        for index in (np.arange(300), rows)
    )
    assert copied == pytest.approx(alone)
    assert largest_difference(np.array([1, 1, 1, 0]), np.array([0, 0, 2, 2])) == 0.5  # group 1 has no row


def test_every_customer_gives_its_groups_to_just_one_other():
    for drawn in permuted_groups(np.repeat([0, 1], [30, 270]), np.arange(300), 20, 0):
        assert np.bincount(drawn).tolist() == [30, 270]


def test_customers_whose_groups_change_leave_what_a_random_regrouping_of_rows_gives():
    random, ids = np.random.default_rng(0), np.repeat(np.arange(300), 6).astype(str)
    probability = np.repeat(random.random(300), 6)
    churned = (random.random(1_800) < probability).astype(np.int8)
    groups, called = random.choice(list("abcd"), 1_800), probability >= 0.6
    test = Outcome(pd.DataFrame({"g": groups}), churned, probability, ids)
    settings = (0.6, DecisionConfig(), EvaluateConfig(bootstrap=100))
    (grouping,) = measure_fairness(pd.DataFrame({"g": groups}), test, *settings, 0).groupings
    number = np.unique(groups, return_inverse=True)[1]
    by_rows = [largest_difference(called, random.permutation(number)) for _ in range(500)]
    assert grouping.differences["demographic_parity"].by_chance == pytest.approx(
        np.quantile(by_rows, 0.95), rel=0.15
    )


def test_equalized_odds_are_the_larger_of_both_rates_differences():
    random = np.random.default_rng(0)
    groups = pd.DataFrame({"gender": random.choice(["f", "m"], 2_000)})
    churned = (random.random(2_000) < 0.4).astype(np.int8)
    found = (random.random(2_000) < np.where(groups["gender"] == "f", 0.9, 0.3)) & (churned == 1)
    test = Outcome(groups, churned, np.where(found, 0.8, 0.1))  # nobody who stays is called
    odds = measure_fairness(groups, test, 0.5, DecisionConfig(), FEW, 0).groupings[0].differences
    assert odds["equalized_odds"].value == pytest.approx(0.6, abs=0.05)
    assert 0 < odds["equalized_odds"].by_chance < 0.15


def test_equal_selection_calls_as_many_and_costs_profit_where_groups_differ():
    random = np.random.default_rng(1)
    groups = pd.DataFrame({"plan": np.repeat(["a", "b"], 1_000)})
    probability = np.repeat([0.6, 0.1], 1_000) + random.uniform(-0.05, 0.05, 2_000)
    churned = (random.random(2_000) < probability).astype(np.int8)
    test = Outcome(groups, churned, probability)
    (grouping,) = measure_fairness(groups, test, 0.3, DecisionConfig(), FEW, 0).groupings
    assert [group.rates["selection_rate"].value for group in grouping.groups] == [1, 0]
    assert grouping.differences["demographic_parity"].value == 1
    everybody = grouping.groups[0].rates["selection_rate"]
    assert 0.99 < everybody.low < everybody.high == 1, "1,000 of 1,000 do not prove that all are called"
    assert [group.equal_threshold for group in grouping.groups] == pytest.approx([0.6, 0.1], abs=0.01)
    assert grouping.lost.low > 5  # 500 calls with a chance of 0.6 give way to 500 with a chance of 0.1
    assert grouping.lost.value == pytest.approx(500 / 2_000 * 0.5 * (56 + 11), rel=0.2)


def test_a_rate_of_one_is_as_certain_as_its_customers_are_many_not_their_rows():
    rows = np.repeat(np.arange(80), 10)
    groups, churned = pd.DataFrame({"plan": np.repeat(["a", "b"], 40)[rows]}), (np.arange(80) % 2)[rows]
    test = Outcome(groups, churned, np.where(groups["plan"] == "a", 0.9, 0.1), rows)
    (grouping,) = measure_fairness(groups, test, 0.3, DecisionConfig(), FEW, 0).groupings
    assert grouping.groups[0].rates["selection_rate"].low == pytest.approx(jeffreys_interval(40, 40)[0])


def test_equal_selection_does_not_depend_on_the_order_of_rows_with_equal_probabilities():
    plan, churned = np.repeat(["a", "b"], 400), np.arange(800) % 4 == 0
    probability = np.where(plan == "a", 0.6, np.arange(800) % 2 * 0.1)
    lost = []
    for order in (np.arange(800), np.argsort(churned, kind="stable"), np.argsort(~churned, kind="stable")):
        test = Outcome(pd.DataFrame({"x": churned}), churned[order].astype(int), probability[order])
        columns = pd.DataFrame({"plan": plan[order]})
        (grouping,) = measure_fairness(columns, test, 0.3, DecisionConfig(), FEW, 0).groupings
        lost.append(grouping.lost.value)
    assert lost == pytest.approx([lost[0]] * 3)


def test_a_level_that_is_named_like_the_merged_ones_is_a_group_of_its_own():
    plan = np.repeat(["a", "others", "x", "y"], [400, 200, 40, 40])
    churned = np.arange(680) % 2
    churned[600:] = np.arange(80) % 6 == 0
    test = Outcome(pd.DataFrame({"x": churned}), churned, np.where(plan == "others", 0.9, 0.1))
    (grouping,) = measure_fairness(
        pd.DataFrame({"plan": plan}), test, 0.3, DecisionConfig(), FEW, 0
    ).groupings
    assert [(group.name, group.rows) for group in grouping.groups] == [
        ("a", 400),
        ("others", 200),
        ("others (2)", 80),
    ]
    assert grouping.differences["demographic_parity"].value == 1


def test_groups_of_pairs_are_not_mixed_where_their_names_agree():
    columns = pd.DataFrame({"a": ["", "missing", "x, y", "x"] * 50, "b": ["z", "z", "z", "y, z"] * 50})
    churned = np.repeat([0, 1], 100)
    test = Outcome(columns, churned, np.full(200, 0.5))
    groupings = measure_fairness(columns, test, 0.3, DecisionConfig(), FEW, 0).groupings
    assert [len(grouping.groups) for grouping in groupings] == [4, 2, 4]


def test_a_column_with_one_group_has_nothing_to_compare(sample):
    _, test = sample
    nothing = measure_fairness(pd.DataFrame({"a": [""] * 3_000}), test, 0.3, DecisionConfig(), FEW, 0)
    assert nothing.to_json() == {"threshold": 0.3, "groupings": [], "unknown": ["a"]}


def test_a_column_with_too_few_of_one_group_is_unknown_beside_one_that_is_measured(sample):
    groups, test = sample
    groups = groups[["gender"]].assign(race=np.where(np.arange(3_000) < 15, "b", "a"))
    fairness = measure_fairness(groups, test, 0.3, DecisionConfig(), FEW, 0)
    assert fairness.unknown == ["race"]
    reason = broken_limit({"fairness": fairness.to_json()}, GateConfig(demographic_parity=1.0))
    assert reason == "its fairness by race is unknown, and retrain.gate.demographic_parity is a limit"
