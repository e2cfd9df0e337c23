import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import compose_config

from churn.data.dataset import Dataset, Schema
from churn.data.experiment import Experiment
from churn.data.findings.leakage import columns_that_reveal_target, find_leakage
from churn.data.findings.quality import SAMPLE

RNG = np.random.default_rng(0)


def dataset(churned: np.ndarray, ids: np.ndarray | None = None, **columns) -> Dataset:
    frame = pd.DataFrame(columns)
    numeric = tuple(name for name in frame if frame[name].dtype == np.float64)
    schema = Schema("left", ("1",), numeric, tuple(name for name in frame if name not in numeric))
    return Dataset("t", schema, frame, churned.astype(np.int8), ids)


def titles(data: Dataset) -> list[str]:
    return [finding.title for finding in find_leakage(data)]


@pytest.mark.parametrize("label", [0, 1])
def test_a_sample_of_one_class_shows_nothing(label):
    assert titles(dataset(np.full(200, label), x=RNG.normal(size=200))) == []


def test_a_sample_without_a_row_shows_nothing():
    assert not list(columns_that_reveal_target(pd.DataFrame({"x": [0.0]})[:0], np.zeros(0, bool), None))


def test_a_column_is_examined_on_rows_that_it_was_not_fitted_on():
    churned = RNG.random(2000) < 0.3
    levels = np.array([f"level {i}" for i in range(900)], dtype=object)
    data = dataset(
        churned, many=pd.Series(RNG.choice(levels, 2000), dtype="str"), noise=RNG.normal(size=2000)
    )
    assert titles(data) == []


@pytest.mark.parametrize("kind", ["number", "far from monotone", "level", "missing"])
def test_a_column_that_gives_the_target_away_is_found_in_any_form(kind):
    churned = RNG.random(2000) < 0.3
    column = {
        "number": churned + RNG.normal(0, 0.1, 2000),
        "far from monotone": np.where(churned, RNG.normal(0, 1, 2000), RNG.choice([-9.0, 9.0], 2000)),
        "level": pd.Series(np.where(churned, RNG.choice(["moved", "price"], 2000), ""), dtype="str"),
        "missing": np.where(churned, RNG.normal(0, 1, 2000), np.nan),
    }[kind]
    assert titles(dataset(churned, it=column)) == ["column 'it' alone nearly gives the target away"]


def test_a_value_that_most_churners_have_is_found():
    churned = RNG.random(5000) < 0.3
    left = np.where(churned & (RNG.random(5000) < 0.5), 0.0, RNG.integers(1, 25, 5000))
    finding, *_ = find_leakage(dataset(churned, remaining=left))
    assert finding.title == "some values of column 'remaining' nearly give the target away"
    assert finding.evidence.startswith("where it is 0, 100.0% of ")


@pytest.mark.parametrize(
    ("revealing", "said"),
    [([1, 4, 16], "1, 4, 16"), ([1, 4, 5, 8, 12, 16], "1, 4, 5 or 3 other values"), ([1, 2, 3], "1 to 3"),
     ([4, np.nan], "4, missing"), ([np.nan], "missing")],
)  # fmt: skip
def test_numbers_that_reveal_are_a_range_only_if_no_others_lie_between_them(revealing, said):
    months = np.repeat([*np.arange(1.0, 25.0), np.nan], 40)
    churned = np.isin(months, revealing) | (np.isnan(months) & np.isnan(revealing).any())
    commonest = np.argsort(~churned, kind="stable")  # of values with equal counts the first is shown first
    churned |= np.arange(len(months)) % 8 == 0
    finding, *_ = find_leakage(dataset(churned[commonest], months=months[commonest]))
    assert finding.evidence.startswith(f"where it is {said}, 100.0% of {40 * len(revealing)} customers left")


def test_a_value_of_few_customers_is_not_shown_however_many_rows_they_have():
    churned = np.arange(600) < 240
    note = pd.Series(np.where(np.arange(600) < 120, "Jane Roe moved", np.arange(600) % 7), dtype="str")
    months = np.where(np.arange(600) < 120, np.arange(600) % 5, np.arange(600))
    shown, hidden = (titles(dataset(churned, ids, note=note)) for ids in (None, months))
    revealed = "some values of column 'note' nearly give the target away"
    assert revealed in shown
    assert revealed not in hidden


def test_inputs_like_an_id_are_reported():
    churned = RNG.random(300) < 0.3
    data = dataset(
        churned, number=np.arange(300.0), id=RNG.normal(size=300).round(1), price=RNG.normal(size=300)
    )
    assert titles(data) == [
        "column 'number' is like an id, and yet an input",
        "column 'id' is like an id, and yet an input",
    ]


def test_customers_with_several_rows_and_equal_rows_with_different_labels_are_counted():
    churned = np.resize([0, 1], 60)
    ids = np.array([f"c{i // 2}" for i in range(60)], dtype=object)
    several, equal = find_leakage(dataset(churned, ids, x=np.arange(60.0) // 2 + 0.5))
    assert several.title == "30 customers have several rows"
    assert equal.title == "30 rows agree with another row in every input"
    assert equal.evidence.startswith("in 30 groups")


def test_a_split_that_tears_customers_apart_is_a_finding_and_one_that_does_not_is_none():
    ids = np.array([f"c{i // 5}" for i in range(500)], dtype=object)
    data = dataset(np.resize([0, 1], 500), ids, x=np.arange(500.0))
    torn = Experiment.split(data, compose_config("split.method=article"))
    (finding,) = torn.data.findings
    assert finding.title == "95 of 100 test rows are not new to the model"
    assert Experiment.split(data, compose_config()).data.findings == ()
    assert any("the default split keeps" in found.advice for found in find_leakage(data))


@pytest.mark.parametrize("dated", [False, True])
def test_the_split_that_a_torn_table_is_advised_keeps_its_customers_together(dated):
    ids = np.array([f"c{i % 100}" for i in range(500)], dtype=object)
    data = dataset(np.resize([0, 1], 500), ids, x=np.arange(500.0))
    times = (np.datetime64("2024-01-01") + np.arange(500)).astype("datetime64[s]")
    data = replace(data, times=times if dated else None)
    (finding,) = Experiment.split(data, compose_config("split.method=article")).data.findings
    advised = Experiment.split(data, compose_config(finding.advice.split()[-1]))
    test = advised.splits.test
    assert not np.isin(ids[test], np.delete(ids, test)).any()


def test_rows_of_a_customer_at_several_times_are_no_finding_and_those_of_one_time_are():
    """A table of snapshots: its split is by time, which keeps no rows together."""
    ids = np.array([f"c{i // 4}" for i in range(60)], dtype=object)
    times = np.datetime64("2024-01-01") + np.arange(60) % 4
    data = replace(dataset(np.resize([0, 1], 60), ids, x=np.arange(60.0) + 0.5), times=times)
    assert find_leakage(data) == ()
    (several,) = find_leakage(replace(data, times=np.datetime64("2024-01-01") + np.arange(60) % 4 // 2))
    assert several.title == "15 customers have several rows of one time"
    assert several.advice == "if each should have one row, change the export"


def test_a_large_table_is_sampled_and_a_usual_table_takes_less_than_a_second():
    def wide(rows: int) -> Dataset:
        words = pd.Series(RNG.choice(["a", "b", "c"], rows), dtype="str")
        columns = {f"n{i}": RNG.normal(size=rows) for i in range(10)} | {f"c{i}": words for i in range(10)}
        return dataset(RNG.random(rows) < 0.3, **columns)

    begin = time.process_time()
    assert find_leakage(wide(10_000)) == ()
    assert time.process_time() - begin < 1
    churned = np.zeros(2 * SAMPLE)
    churned[::3] = 1
    assert len(find_leakage(dataset(churned, it=churned + RNG.normal(0, 0.1, len(churned))))) == 1
