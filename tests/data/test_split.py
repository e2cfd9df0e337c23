"""No row, customer or copy is in two parts, and the parts have the same churn rate."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import train_test_split

from churn.config.data import SplitConfig, SplitMethod
from churn.data.dataset import Dataset, Schema
from churn.data.split import linked_groups, split_dataset
from churn.data.stream.hash_split import HashSplit
from churn.errors import UserError

SCHEMA = Schema("left", ("1",), ("x",), ())


def table(x, churned, ids=None, times=None, id=None):
    frame = pd.DataFrame({"x": np.asarray(x, float)})
    return Dataset("t", replace(SCHEMA, id=id), frame, np.asarray(churned, np.int8), ids, times)


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    return rng.normal(size=1000), rng.random(1000) < 0.2


def parts_of(splits):
    return [splits.train, splits.validation, splits.calibration, splits.test]


def test_every_row_is_in_one_part_and_parts_have_their_share_and_the_same_churn_rate(rows):
    x, churned = rows
    parts = parts_of(split_dataset(table(x, churned), SplitConfig(), 0, seed=1))
    assert sorted(np.concatenate(parts)) == list(range(1000))
    assert [len(part) for part in parts] == pytest.approx([600, 100, 100, 200], abs=3)
    assert [churned[part].mean() for part in parts] == pytest.approx([churned.mean()] * 4, abs=0.01)


def test_the_same_seed_gives_these_rows_on_any_machine(rows):
    splits = split_dataset(table(*rows), SplitConfig(), 0, seed=1)
    assert splits.test[:5].tolist() == [2, 4, 5, 14, 19]
    assert split_dataset(table(*rows), SplitConfig(), 0, seed=2).test.tolist() != splits.test.tolist()


def test_a_row_of_one_customer_never_crosses_splits(rows):
    x, churned = rows
    ids = np.arange(1000) // 3
    splits = split_dataset(table(x, churned, ids.astype(str)), SplitConfig(), 0, seed=1)
    customers = [set(ids[part]) for part in parts_of(splits)]
    assert sum(map(len, customers)) == len(set.union(*customers))


def test_copies_of_a_row_stay_together_with_all_rows_of_their_customers(rows):
    x, churned = rows
    x = np.round(x, 3)
    ids = np.arange(1000) // 2
    splits = split_dataset(table(x, churned, ids.astype(str)), SplitConfig(), 0, seed=1)
    part = np.empty(1000, int)
    for k, members in enumerate(parts_of(splits)):
        part[members] = k
    for same in (x, ids):
        assert pd.Series(part).groupby(same).nunique().max() == 1


def test_a_common_kind_of_customer_is_no_copy_and_is_in_every_part():
    few, many = np.repeat(np.arange(100), 10), np.repeat([500, 501], 500)
    groups = linked_groups(table(np.append(few, many), np.arange(2_000) % 5 == 0))
    assert len(set(groups[:1_000])) == 100, "ten copies stay together"
    assert len(set(groups[1_000:])) == 1_000


def test_equal_rows_that_would_chain_all_customers_to_one_another_link_none():
    row = np.arange(1_000)
    chained = table((row + 1) // 2, row % 5 == 0, ids=(row // 2).astype(str))
    assert len(set(linked_groups(chained))) == 500


def test_with_times_parts_follow_one_another_with_a_gap_of_the_horizon_before_the_test_part(rows):
    x, churned = rows
    times = np.datetime64("2025-01-01", "s") + np.random.default_rng(3).integers(
        0, 365, 1000
    ) * np.timedelta64(1, "D")
    parts = parts_of(split_dataset(table(x, churned, times=times), SplitConfig(), 30, seed=1))
    for earlier, later in pairwise(parts):
        assert times[earlier].max() <= times[later].min()
    known = np.concatenate(parts[:3])
    begins = times[parts[3]].min()
    assert times[known].max() + np.timedelta64(30, "D") <= begins
    assert len(known) == (times + np.timedelta64(30, "D") <= begins).sum()  # no other row is lost


@pytest.mark.parametrize(("months", "horizon"), [(12, 60), (12, 90), (24, 180)])
def test_the_gap_takes_rows_from_no_single_part(months, horizon):
    times = np.repeat(np.datetime64("2021-01", "M") + np.arange(months), 100).astype("datetime64[s]")
    data = table(np.arange(len(times)), np.arange(len(times)) % 5 == 0, times=times)
    sizes = split_dataset(data, SplitConfig(), horizon, seed=1).sizes()
    rest = sum(sizes.values()) - sizes["test"]
    for part, share in (("train", 6 / 8), ("validation", 1 / 8), ("calibration", 1 / 8)):
        assert sizes[part] / rest == pytest.approx(share, abs=100 / rest)  # a month more or less


def test_rows_that_differ_in_the_seventh_digit_of_a_number_stay_together(rows):
    x, _ = rows
    frame = pd.DataFrame({"a": np.append(x, x * (1 + 1e-7)), "b": np.append(x, x) * 0})
    groups = linked_groups(
        Dataset("t", Schema("left", ("yes",), ("a", "b"), ()), frame, np.zeros(2 * len(x)))
    )
    assert (groups[: len(x)] == groups[len(x) :]).mean() > 0.98  # the others lie at a border
    assert len(set(groups)) > 0.98 * len(x)


def test_a_horizon_that_leaves_a_part_empty_is_refused(rows):
    x, churned = rows
    times = np.datetime64("2025-01-01", "s") + np.arange(1000) * np.timedelta64(1, "h")
    with pytest.raises(UserError, match=r"800 rows lie in the gap .*: data\.horizon, unless the file"):
        split_dataset(table(x, churned, times=times), SplitConfig(), 40, seed=1)
    with pytest.raises(UserError, match=r"larger share \(split\.\*\)$"):
        split_dataset(table(x, x < -9), SplitConfig(), 30, seed=1)


@pytest.mark.parametrize(("dates", "horizon"), [(2, 30), (3, 0)])
def test_too_few_dates_for_a_split_by_time_name_the_split_that_works(rows, dates, horizon):
    x, churned = rows
    times = (np.datetime64("2025-01", "M") + np.arange(1000) % dates).astype("datetime64[s]")
    data = table(x, churned, times=times)
    with pytest.raises(UserError, match=f"split.method=customer .* {dates} different dates"):
        split_dataset(data, SplitConfig(), horizon, seed=1)
    split_dataset(data, SplitConfig(SplitMethod.customer), horizon, seed=1)


@pytest.mark.parametrize(
    ("dates", "horizon", "shares", "said"),
    [
        (1_000, 0, {"validation": 0.0005}, r"larger share \(split.validation\)$"),
        (8, 0, {"validation": 0.0005}, r"larger share \(split.validation\)$"),
        (8, 400, {}, r"share \(split.\*\); 750 rows lie in the gap"),
        (8, 400, {"calibration": 0.0}, r"share \(split.\*\); 750 rows lie in the gap"),
    ],
)
def test_dates_that_are_enough_are_not_blamed_for_a_part_that_is_empty(rows, dates, horizon, shares, said):
    x, churned = rows
    times = (np.datetime64("2020-01", "M") + np.arange(1000) * dates // 1000).astype("datetime64[s]")
    with pytest.raises(UserError, match=said):
        split_dataset(table(x, churned, times=times), SplitConfig(**shares), horizon, seed=1)


def test_without_a_share_for_calibration_the_months_before_the_test_part_are_for_validation(rows):
    x, churned = rows
    times = (np.datetime64("2025-01", "M") + np.arange(1000) // 100).astype("datetime64[s]")
    splits = split_dataset(table(x, churned, times=times), SplitConfig(calibration=0.0), 0, seed=1)
    assert splits.sizes() == {"train": 700, "validation": 100, "calibration": 0, "test": 200}


def test_a_table_without_leavers_is_not_split_another_way(rows):
    x, _ = rows
    times = (np.datetime64("2025-01", "M") + np.arange(1000) // 200).astype("datetime64[s]")
    with pytest.raises(UserError, match=r"0 of them churned.*") as refused:
        split_dataset(table(x, x < -9, times=times), SplitConfig(), 0, seed=1)
    assert "split.method" not in str(refused.value)


@pytest.mark.parametrize("values", [2, 3])
def test_an_id_of_few_values_is_blamed_for_a_part_that_is_empty(rows, values):
    x, churned = rows
    with pytest.raises(UserError, match=f"another column in data.id: 'code' has {values} values"):
        split_dataset(table(x, churned, np.arange(1000) % values, id="code"), SplitConfig(), 0, seed=1)
    with pytest.raises(UserError) as refused:  # each row is a customer
        split_dataset(table(x[:5], churned[:5], np.arange(5), id="code"), SplitConfig(), 0, seed=1)
    assert "data.id" not in str(refused.value)


@pytest.mark.parametrize("stayed", [False, True])
def test_where_few_left_or_few_stayed_the_message_says_how_many_are_enough(rows, stayed):
    x, kind = rows[0], "staying" if stayed else "churned"
    few = (np.arange(1000) < 3) != stayed
    with pytest.raises(UserError, match=f": the shares in split need about 10 {kind} rows, the table has 3$"):
        split_dataset(table(x, few), SplitConfig(), 0, seed=1)
    enough = (np.arange(1000) < 10) != stayed
    for seed in range(20):
        split_dataset(table(x, enough), SplitConfig(), 0, seed=seed)


def test_rows_without_dates_are_not_split_by_time(rows):
    data, by_time = table(*rows), SplitConfig(SplitMethod.time)
    with pytest.raises(UserError, match=r"data\.time=COLUMN"):
        split_dataset(data, by_time, 0, seed=1)
    with pytest.raises(UserError, match="not split by time"):
        HashSplit(SCHEMA, by_time, 8, 1).splits_of(data)


def test_the_tutorials_split_is_that_of_scikit_learn_and_keras(rows):
    x, churned = rows
    splits = split_dataset(table(x, churned), SplitConfig(SplitMethod.article), 0, seed=42)
    rest, test = train_test_split(np.arange(1000), test_size=0.2, random_state=42)
    assert np.array_equal(splits.test, test)
    assert np.array_equal(splits.train, rest[:640])
    assert np.array_equal(splits.validation, rest[640:])
    assert len(splits.calibration) == 0


@pytest.mark.parametrize("shares", [{"test": 0.9}, {"test": 0.4, "validation": 0.5}])
def test_shares_that_leave_nothing_to_train_on_are_refused(rows, shares):
    with pytest.raises(UserError, match="split"):
        split_dataset(table(*rows), SplitConfig(**shares), 0, seed=1)


def test_a_part_with_one_class_only_is_refused():
    churned = np.zeros(1000, bool)
    churned[:2] = True
    with pytest.raises(UserError, match="it needs both kinds"):
        split_dataset(table(np.arange(1000), churned), SplitConfig(), 0, seed=1)
