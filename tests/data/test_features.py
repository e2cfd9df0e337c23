"""Features from Arrow columns are the same as those from the frame of the same cells."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churn.data.coded import DictionaryColumn
from churn.data.dataset import Schema
from churn.data.features import are_usable_ids, id_column, to_arrow_features
from churn.data.infer.cells import has_lost_digits, to_ids
from churn.data.sources.columns import simplify_types, to_pandas
from churn.data.table import RawTable
from churn.data.validate import to_features
from churn.errors import UserError

CELLS = [
    "1",
    " 2 ",
    "-3.50",
    "1e3",
    ".5",
    "7.",
    "+4",
    "",
    " ",
    "NA",
    "nan",
    "inf",
    "-1e31",
    "1.0",
    "no",
    "007",
    None,
]
SCHEMA = Schema("left", ("yes",), ("amount",), ("plan",), missing=("NA",), missing_numbers=("no",))


def both(table: pa.Table, schema: Schema):
    """The features from Arrow columns and from a frame of the same table; None if the table is refused."""
    try:
        frame = to_features(RawTable(to_pandas(table), "t"), schema)
    except UserError:
        frame = None
    return to_arrow_features(table, schema), frame


def check(table: pa.Table, schema: Schema = SCHEMA) -> bool:
    features, frame = both(table, schema)
    assert (features is None) == (frame is None)
    if features is None:
        return False
    for name in schema.numeric:
        np.testing.assert_array_equal(features[name], frame[name].to_numpy(np.float32))
    for name in schema.categorical:
        assert isinstance(features[name], DictionaryColumn)
        assert features[name].texts.tolist() == frame[name].tolist()
    return True


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(CELLS), st.sampled_from(CELLS)), min_size=1, max_size=6), st.booleans()
)
def test_texts_are_the_same_in_arrow_columns_and_in_a_frame(rows, coded):
    amount, plan = (pa.array(cells, pa.string()) for cells in zip(*rows, strict=True))
    if coded:
        amount, plan = amount.dictionary_encode(), plan.dictionary_encode()
    check(pa.table({"amount": pa.chunked_array([amount, amount]), "plan": pa.chunked_array([plan, plan])}))


@pytest.mark.parametrize(
    "amount",
    [
        pa.array([1, None, 3]),
        pa.array([1.5, float("nan"), None]),
        pa.array([1, None, 2**40], pa.uint64()),
        pa.array([True, None, False]),
    ],
)
def test_typed_cells_are_the_same_in_arrow_columns_and_in_a_frame(amount):
    table = simplify_types(pa.table({"amount": amount, "plan": amount}))
    assert check(table) or pa.types.is_boolean(amount.type)


def test_decimal_commas_are_the_same_in_arrow_columns_and_in_a_frame():
    schema = Schema("left", ("yes",), ("amount",), (), decimal=",", thousands=".")
    assert check(pa.table({"amount": pa.array(["1.234,5", "7", ""])}), schema)


def test_a_category_has_the_same_levels_as_typed_numbers_and_as_texts_with_commas():
    """A part of a table, a chunk of a query or another format may hold either."""
    schema = Schema("left", ("yes",), (), ("plan",), decimal=",", thousands=".")
    for cells in (pa.array([1.5, 2.0, None]), pa.array(["1,5", "2", ""]), pa.array(["1.5", "2,0", None])):
        table = pa.table({"plan": cells})
        assert check(table, schema)
        assert to_arrow_features(table, schema)["plan"].texts.tolist() == ["1.5", "2", ""]


def test_a_table_without_one_of_the_features_gives_none():
    assert to_arrow_features(pa.table({"amount": [1.0]}), SCHEMA) is None


def test_codes_of_missing_numbers_are_missing():
    schema = Schema("left", ("yes",), ("amount",), (), missing=("-99",))
    for cells in (
        pa.array([-99, 5]),
        pa.array([-99.0, 5.0]),
        pa.array(["-99", "5"]),
        pa.array(["-99.0", "5"]),
    ):
        table = pa.table({"amount": cells})
        assert check(table, schema)
        assert pd.isna(to_arrow_features(table, schema)["amount"]).tolist() == [True, False]


@pytest.mark.parametrize(
    "ids",
    [
        pa.array(["a", "007", "1e+05"]),
        pa.array(["a", None]),
        pa.array(["a", " "]),
        pa.array(["8.94411E+18", "a"]).dictionary_encode(),
        pa.array([1, 2**62]),
        pa.array([1, None]),
        pa.array([1.0, 2.0**53]),
        pa.array([1.0, 2.0**54]),
        pa.array([1.0, float("nan")]),
        pa.array([], pa.float64()),
    ],
)
def test_ids_are_refused_in_arrow_columns_as_in_a_frame(ids):
    table = simplify_types(pa.table({"id": ids}))
    column = to_pandas(table)["id"]
    wrong = (to_ids(column) == "").to_numpy() | has_lost_digits(column)
    assert are_usable_ids(table["id"], id_column(table["id"])) == (not wrong.any())
