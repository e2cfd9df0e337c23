from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from churn.config.data import DataConfig
from churn.data.dataset import Schema
from churn.data.load import load_dataset
from churn.data.table import RawTable
from churn.data.validate import to_features, validate_table
from churn.errors import UserError

SCHEMA = Schema("left", ("yes",), ("x",), ("plan",), id="who", time="day")
FRAME = pd.DataFrame(
    {
        "who": ["a", "b", "c", "d"],
        "day": ["2025-01-01", "2025-01-02", "2025-01-03", "2025-01-04"],
        "x": ["1", "", "3.5", "4"],
        "plan": ["one", "", "two", "one"],
        "left": ["yes", "no", "no", "yes"],
    }
)


def raw(frame: pd.DataFrame = FRAME, **fields) -> RawTable:
    return RawTable(frame.reset_index(drop=True), "t.csv", **fields)


def test_protected_columns_stay_with_their_rows_whether_or_not_the_model_sees_them():
    frame = FRAME.assign(gender=["f", "", "m", "f"], age=["20", "31", "", "70"], card=["0", "1", "1", "0"])
    frame = pd.concat([frame, frame.tail(1)])  # a copy, which is dropped
    cfg = DataConfig(protected=["gender", "plan", "card"], drop=["gender", "card"])
    data = validate_table(raw(frame), SCHEMA, cfg)
    assert list(data.frame) == ["x", "plan"]
    assert data.protected.to_dict("list") == {
        "gender": ["f", "", "m", "f"], "plan": ["one", "", "two", "one"], "card": ["0", "1", "1", "0"],
    }  # fmt: skip
    assert validate_table(raw(frame), SCHEMA, DataConfig()).protected is None


def test_a_protected_column_of_many_numbers_holds_numbers():
    many = pd.DataFrame({name: list(FRAME[name]) * 4 for name in FRAME})
    many = many.assign(who=[f"w{i}" for i in range(16)], age=[str(20 + i) for i in range(15)] + [""])
    (ages,) = validate_table(raw(many), SCHEMA, DataConfig(protected=["age"])).protected.to_numpy(float).T
    np.testing.assert_array_equal(ages, [*range(20, 35), np.nan])


def test_a_data_set_has_the_promised_types():
    data = validate_table(raw(true_probability=np.arange(4) / 4), SCHEMA, DataConfig())
    assert list(data.frame) == ["x", "plan"]
    assert (data.frame["x"].dtype, data.frame["plan"].dtype) == (np.float64, "str")
    np.testing.assert_array_equal(data.frame["x"], [1, np.nan, 3.5, 4])
    assert data.frame["plan"].tolist() == ["one", "", "two", "one"]
    assert data.churned.tolist() == [1, 0, 0, 1]
    assert data.churned.dtype == np.int8
    assert data.ids.tolist() == ["a", "b", "c", "d"]
    assert data.times.dtype == "datetime64[s]"
    assert data.bad_rows is None
    assert data.facts == {"rows_read": 4, "copies_dropped": 0, "bad_rows": 0}


def test_rows_that_are_set_aside_are_removed_from_every_array():
    frame = FRAME.assign(x=["1", "oops", "3", "4"], day=["2025-01-01", "soon", "2025-01-03", "2025-01-04"])
    data = validate_table(raw(frame, true_probability=np.arange(4) / 4), SCHEMA, DataConfig(max_bad_rows=1))
    assert data.frame.index.tolist() == [0, 1, 2]
    assert data.ids.tolist() == ["a", "c", "d"]
    assert data.churned.tolist() == [1, 0, 1]
    assert data.times[1] == np.datetime64("2025-01-03")
    assert data.true_probability.tolist() == [0, 0.5, 0.75]
    assert data.bad_rows["column"].tolist() == ["x", "day"]
    assert data.bad_rows["line"].tolist() == [2, 2]


def test_of_a_sample_no_row_is_set_aside():
    frame = FRAME.assign(x=["1", "oops", "3", "4"])
    with pytest.raises(UserError, match="train in memory"):
        validate_table(raw(frame, is_sample=True), SCHEMA, DataConfig(max_bad_rows=5))


def test_blank_ids_and_targets_and_wrong_dates_are_problems():
    frame = FRAME.assign(who=["", "b", "c", "d"], day=["2025-01-01", "", "2025-01-03", "x"])
    frame.loc[2, "left"] = None
    with pytest.raises(UserError) as error:
        validate_table(raw(frame), SCHEMA, DataConfig())
    message = str(error.value)
    assert "t.csv: 4 of 4 rows cannot be used" in message
    assert message.endswith("do: correct them")  # nothing would be left of rows that are set aside
    assert "column 'who': a blank id; rows: 1\n    row 1: ''" in message
    assert "column 'day': not a date; rows: 2\n    row 2: ''\n    row 4: 'x'" in message
    assert "column 'left': a blank target ('yes' 2, 'no' 1, blank 1); rows: 1" in message


@pytest.mark.parametrize(
    ("column", "cells", "says"),
    [
        (
            "x",
            ["inf", "", "3", "-1e31"],
            "infinite, or 1e30 and more; rows: 2\n    row 1: 'inf'\n    row 4: '-1e31'",
        ),
        ("who", [8.94411e18, 8.94412e18, 8.94413e18, 8.94414e18], "an id that lost digits .*; rows: 4"),
    ],
)
def test_numbers_like_missing_ones_and_ids_that_lost_digits_are_problems(column, cells, says):
    with pytest.raises(UserError, match=says):
        validate_table(raw(FRAME.assign(**{column: cells})), SCHEMA, DataConfig())


def test_twenty_bad_cells_of_a_kind_are_listed_and_the_others_counted():
    many = pd.concat([FRAME] * 30).assign(x="?!")
    with pytest.raises(UserError, match=r"row 20: '\?!'\n    and 100 more"):
        validate_table(raw(many), SCHEMA, DataConfig())


def test_rows_of_one_class_are_refused():
    with pytest.raises(UserError, match="of 2 rows that can be used, 2 left"):
        validate_table(raw(FRAME[FRAME["left"] == "yes"]), SCHEMA, DataConfig())


def test_the_fingerprint_depends_only_on_content_and_roles():
    def fingerprint(frame: pd.DataFrame, schema: Schema = SCHEMA) -> str:
        return validate_table(raw(frame), schema, DataConfig()).fingerprint

    same = fingerprint(FRAME)
    assert fingerprint(FRAME.astype(object)) == same
    assert fingerprint(FRAME.assign(x=[1.0, None, 3.5, 4.0])) == same
    assert fingerprint(FRAME[FRAME.columns[::-1]]) == same
    assert fingerprint(FRAME.assign(x=["1", "", "3.5", "5"])) != same
    assert fingerprint(FRAME.assign(who=["a", "b", "c", "e"])) != same
    assert fingerprint(FRAME.assign(left=["yes", "no", "yes", "yes"])) != same
    assert fingerprint(FRAME[::-1]) != same
    assert fingerprint(FRAME, replace(SCHEMA, time=None)) != same
    assert len(same) == 64


def test_csv_and_parquet_give_the_same_data_set(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "client_id": np.arange(100),
            "calls": rng.integers(0, 30, 100),
            "vip": rng.random(100) < 0.5,
            "senior": rng.integers(0, 2, 100),
            "bill": rng.normal(50, 9, 100).round(2),
            "plan": rng.choice(["a", "b"], 100),
            "churn": rng.random(100) < 0.5,
        }
    )
    frame.loc[::7, ["bill", "plan"]] = None
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    text, typed = (
        load_dataset(DataConfig(path=str(tmp_path / f"t.{kind}")), 0) for kind in ("csv", "parquet")
    )
    pd.testing.assert_frame_equal(text.frame, typed.frame)
    assert text.fingerprint == typed.fingerprint


def test_features_need_neither_target_nor_id():
    frame = to_features(raw(FRAME[["plan", "x"]]), SCHEMA)
    pd.testing.assert_frame_equal(frame, validate_table(raw(), SCHEMA, DataConfig()).frame)


@pytest.mark.parametrize(
    ("decimal", "thousands", "cell", "do"),
    [
        (",", ".", "19.7", "this model reads numbers like 1.234,56, here is 19.7: write them alike"),
        (".", None, "19,7", "this model reads numbers like 1234.56, here is 19,7: write them alike"),
        (".", None, "ask Ann", "correct them; leave a cell blank whose text means 'missing'"),
    ],
)
def test_numbers_unlike_those_of_training_are_named_with_how_the_model_reads_them(
    decimal, thousands, cell, do
):
    schema = replace(SCHEMA, decimal=decimal, thousands=thousands)
    with pytest.raises(UserError) as error:
        to_features(raw(FRAME.assign(x=cell)), schema)
    assert error.value.do == do


def test_rows_that_do_not_fit_the_header_are_refused_in_a_prediction():
    broken = pd.DataFrame([["t.csv", 3, "", "a,b", "the row has 2 cells, the header 5"]])
    broken.columns = ["file", "line", "column", "value", "reason"]
    with pytest.raises(UserError, match="1 of 5 rows cannot be used"):
        to_features(raw(broken=broken), SCHEMA)
