import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import compose_config

from churn.data.dataset import Dataset, Schema
from churn.data.findings.quality import find_quality_problems
from churn.data.load import load_dataset
from churn.data.stream.rows import open_stream

RNG = np.random.default_rng(0)
X = RNG.normal(50, 10, 300)
PLAN = pd.Series(RNG.choice(["a", "b", "c"], 300), dtype="str")


def titles(ids=None, **columns) -> list[str]:
    frame = pd.DataFrame(columns)
    numeric = tuple(name for name in frame if frame[name].dtype == np.float64)
    schema = Schema("left", ("1",), numeric, tuple(name for name in frame if name not in numeric))
    return [
        finding.title
        for finding in find_quality_problems(Dataset("t", schema, frame, np.resize([0, 1], 300), ids))
    ]


def test_columns_that_differ_are_not_reported():
    assert titles(x=X, y=X + RNG.normal(0, 1, 300), z=RNG.poisson(2, 300).astype(float), plan=PLAN) == []


@pytest.mark.parametrize("value", [1.0, np.nan, 1e29])
def test_a_constant_column_is_reported(value):
    assert titles(x=X, one=np.full(300, value)) == ["column 'one' is constant"]


def test_multiples_and_copies_are_reported_once_despite_gaps_and_extremes():
    gaps = np.where(np.arange(300) % 5, X, np.nan)
    assert titles(x=X, y=1e28 * X, z=-3 * X + 1) == [
        "column 'y' is a multiple of 'x'",
        "column 'z' is a multiple of 'x'",
    ]
    assert titles(x=gaps, y=gaps.copy()) == ["column 'y' is a copy of 'x'"]


def test_categories_that_say_the_same_in_other_words_are_reported():
    assert titles(plan=PLAN, tariff=PLAN.str.upper()) == ["column 'tariff' says the same as 'plan'"]


def test_levels_that_may_mean_missing_are_reported_with_what_to_type():
    assert titles(plan=PLAN.replace("c", "N/A")) == ["column 'plan' has a level 'N/A'"]


def test_zeros_far_from_all_other_values_are_reported_but_zeros_of_a_count_are_not():
    age, calls = RNG.integers(18, 80, 300).astype(float), RNG.poisson(8, 300).astype(float)
    age[:80] = calls[:80] = 0
    assert titles(age=age, calls=calls) == ["column 'age' has many zeros: do they mean 'missing'?"]


def test_a_column_of_many_rare_levels_is_named():
    names = pd.Series([f"person {i // 2}" for i in range(200)] + ["nobody"] * 100, dtype="str")
    assert titles(x=X, agent=names) == [
        "column 'agent' has many rare levels: does it hold names, or free text?"
    ]
    of_each_month = pd.Series(np.repeat([f"person {i}" for i in range(30)], 10), dtype="str")
    assert titles(ids=of_each_month.to_numpy(), x=X, agent=of_each_month)[0].startswith(
        "column 'agent' has many rare levels"
    )
    few = pd.Series(["a"] * 290 + [f"person {i}" for i in range(10)], dtype="str")
    assert titles(x=X, agent=few) == []


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("facts", "found"), [({"events": {}}, 0), ({"name": "t"}, 1)])
def test_zeros_of_a_snapshot_of_event_tables_are_measured(tmp_path, facts, found, streamed):
    spread = np.where(np.arange(300) < 80, 0.0, X)
    table = pa.table({"spread": spread, "x": X, "left": np.resize([0, 1], 300)})
    pq.write_table(table.replace_schema_metadata({"churn": json.dumps(facts)}), tmp_path / "t.parquet")
    cfg = compose_config(
        "data=parquet", f"data.path={tmp_path}/t.parquet", "data.target=left", "train.stream_rows=100"
    )
    data = open_stream(cfg).sample if streamed else load_dataset(cfg.data, cfg.seed)
    assert [finding.title for finding in data.findings if "zeros" in finding.title] == [
        "column 'spread' has many zeros: do they mean 'missing'?"
    ] * found
