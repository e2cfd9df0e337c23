"""Segments cover all rows, are measured right, and the worst come first."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from churn.evaluate.segments import OTHERS, divide, group_rows, measure_segments


def sample(rows=4_000):
    """Right probabilities, except that only half as many leave where the plan is "new"."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"tenure": random.integers(0, 72, rows).astype(float), "plan": random.choice(["old", "new"], rows)}
    )
    frame.loc[::10, "tenure"] = np.nan
    probability = expit(random.normal(-0.5, 1, rows))
    right = np.where(frame["plan"] == "new", 0.5, 1) * probability
    return frame, (random.random(rows) < right).astype(int), probability


def test_a_segment_whose_churn_rate_deviates_comes_first():
    segments = measure_segments(*sample())
    assert (segments[0].feature, segments[0].group, segments[0].deviates) == ("plan", "new", True)
    old = next(segment for segment in segments if segment.group == "old")
    assert not old.deviates
    assert old.churn_rate == pytest.approx(old.mean_probability, abs=0.03)


def test_every_row_is_in_one_segment_of_each_column():
    frame, churned, probability = sample()
    segments = measure_segments(frame, churned, probability)
    assert sum(segment.rows for segment in segments if segment.feature == "tenure") == len(frame)
    tenure = [segment.group for segment in segments if segment.feature == "tenure"]
    assert set(tenure) == {"0 … 18", "19 … 36", "37 … 54", "55 … 71", "missing"}


def test_a_column_without_any_number_has_no_segments():
    """As one that was no longer filled in when the test part of a split by time began."""
    frame, churned, probability = sample()
    segments = measure_segments(frame.assign(tenure=np.nan), churned, probability)
    assert {segment.feature for segment in segments} == {"plan"}


def test_segments_that_do_not_deviate_are_ordered_by_auc():
    auc = [segment.roc_auc.value for segment in measure_segments(*sample()) if not segment.deviates]
    assert auc == sorted(auc)


def test_right_probabilities_rarely_deviate():
    frame, _, probability = sample()
    random = np.random.default_rng(1)
    samples = [
        measure_segments(frame, (random.random(4_000) < probability).astype(int), probability)
        for _ in range(40)
    ]
    assert sum(any(segment.deviates for segment in segments) for segments in samples) <= 6


def test_right_probabilities_rarely_deviate_where_rows_of_a_customer_share_their_outcome():
    """As at weekly cut-offs of a horizon of four weeks."""
    random, customer = np.random.default_rng(0), np.repeat(np.arange(500), 4)
    deviating = []
    for _ in range(40):
        frame = pd.DataFrame({f"f{k}": random.choice(list("abcd"), 500)[customer] for k in range(4)})
        chance = random.choice([0.1, 0.3, 0.5], 500)
        churned = (random.random(500) < chance).astype(int)
        segments = measure_segments(frame, churned[customer], chance[customer], customer.astype(str))
        deviating.append(any(segment.deviates for segment in segments))
    assert sum(deviating) <= 6


def test_copies_of_a_customers_row_do_not_make_the_auc_of_a_segment_more_certain():
    random, rows = np.random.default_rng(0), np.repeat(np.arange(200), 12)
    frame, chance = pd.DataFrame({"f": random.choice(list("ab"), 200)}), random.random(200)
    churned = (random.random(200) < chance).astype(int)
    once = measure_segments(frame, churned, chance)
    copied = measure_segments(frame.iloc[rows], churned[rows], chance[rows], rows.astype(str))
    for one, other in zip(once, copied, strict=True):
        assert vars(other.roc_auc) == pytest.approx(vars(one.roc_auc))


def test_small_levels_are_one_segment_and_a_single_segment_is_none():
    churned = np.arange(400) % 2
    levels = pd.Series(np.where(np.arange(400) < 300, "common", [f"rare {i % 20}" for i in range(400)]))
    assert {name: len(rows) for name, rows in group_rows(levels, churned).items()} == {
        "common": 300,
        OTHERS: 100,
    }
    assert group_rows(pd.Series(["same"] * 400), churned) == {}


def test_a_group_is_ten_people_who_left_and_ten_who_stayed_however_many_rows_each_has():
    levels, churned = pd.Series(np.repeat(["old", "new", "ours"], 120)), np.arange(360) % 2
    customer = np.arange(360)
    customer[240:] = 240 + np.arange(120) // 6 % 9  # nine households, each with rows of both kinds
    assert list(group_rows(levels, churned)) == ["new", "old", "ours"]
    assert list(group_rows(levels, churned, customer)) == ["new", "old"]


def test_levels_named_like_groups_of_the_program_keep_their_rows():
    churned = np.arange(900) % 2
    levels = pd.Series(np.repeat(["others", "", "missing", "plan"], [300, 100, 150, 350]))
    levels[560:580], levels[580:600] = "rare", "seldom"
    churned[564:600] = 0
    groups = {name: set(levels[rows]) for name, rows in group_rows(levels, churned).items()}
    assert groups == {"missing": {""}, "missing (2)": {"missing"}, "others": {"others"}, "plan": {"plan"}}
    churned[560:600] = np.arange(40) % 4 == 0
    assert set(levels[group_rows(levels, churned)["others (2)"]]) == {"rare", "seldom"}


def test_numbers_that_differ_in_a_late_digit_are_segments_of_their_own():
    values = pd.Series(np.repeat([1_000_000.0, 1_000_001, 1_000_002], 100))
    groups = group_rows(values, np.arange(300) % 2)
    assert [set(values[rows]) for rows in groups.values()] == [{1_000_000}, {1_000_001}, {1_000_002}]


def test_numbers_of_few_values_have_a_segment_for_each():
    sizes = {name: len(rows) for name, rows in divide(pd.Series([0.0] * 60 + [1.0] * 40))}
    assert sizes == {"0": 60, "1": 40}
