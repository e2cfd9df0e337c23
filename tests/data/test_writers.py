"""Tables in every kind of file that the project writes, read back by other libraries."""

import json
from datetime import datetime

import openpyxl
import pandas as pd
import pyarrow as pa
import pytest

from churn.config.data import DataConfig
from churn.config.root import compose_config
from churn.data import writers
from churn.data.sources import files
from churn.data.writers import check_output, write_tables
from churn.errors import UserError
from churn.score.stage import score

TABLE = pa.table(
    {
        "id": ["007", '=HYPERLINK("http://x")', "+1", "-1", "@SUM(A1)", "https://example.org"],
        "churn_probability": [0.25, 0.5, None, float("nan"), 1.0, 0.0],
        "certainty": pa.array(["sure", "sure", None, "a", "b", "c"]).dictionary_encode(),
        "called": [True, False, None, True, True, False],
        "at": pa.array([datetime(2024, 1, 31, 12)] * 6, pa.timestamp("s")),
        "row": [1, 2, 3, 4, 5, 6],
    }
)


def test_a_sheet_has_numbers_as_numbers_and_never_a_formula(tmp_path):
    path = tmp_path / "monday.xlsx"
    assert write_tables(iter([TABLE.slice(0, 4), TABLE.slice(4)]), path) == 6
    book = openpyxl.load_workbook(path)
    sheet = book["scores"]
    assert sheet.freeze_panes == "A2"
    rows = list(sheet.iter_rows())
    assert [cell.value for cell in rows[0]] == TABLE.column_names
    assert all(cell.font.bold for cell in rows[0])
    assert [row[0].value for row in rows[1:]] == TABLE["id"].to_pylist()
    assert {row[0].data_type for row in rows[1:]} == {"s"}
    assert not any(cell.hyperlink for row in rows for cell in row)
    assert [row[1].value for row in rows[1:]] == [0.25, 0.5, None, None, 1, 0]
    assert [type(cell.value) for cell in rows[1]] == [str, float, str, bool, datetime, int]
    assert sheet.column_dimensions["A"].width > sheet.column_dimensions["F"].width >= 8


def test_a_long_whole_number_keeps_its_digits_in_a_sheet(tmp_path):
    ids = [89441100000000001, -(10**15), 999_999_999_999_999]
    write_tables(iter([pa.table({"id": ids})]), tmp_path / "t.xlsx")
    rows = openpyxl.load_workbook(tmp_path / "t.xlsx")["scores"].iter_rows(min_row=2, values_only=True)
    assert [row[0] for row in rows] == ["89441100000000001", "-1000000000000000", 999_999_999_999_999]


def test_a_date_before_the_first_of_workbooks_is_text_in_a_sheet(tmp_path):
    dates = [datetime(1753, 1, 1), datetime(1900, 1, 1), datetime(1901, 1, 1)]
    write_tables(iter([pa.table({"since": dates})]), tmp_path / "t.xlsx")
    rows = openpyxl.load_workbook(tmp_path / "t.xlsx")["scores"].iter_rows(min_row=2, values_only=True)
    assert [row[0] for row in rows] == [*map(str, dates[:2]), dates[2]]


def test_numbers_that_json_does_not_know_are_null(tmp_path):
    numbers = pa.table({"x": [float("nan"), float("inf"), float("-inf"), 1.5]})
    write_tables(iter([numbers]), tmp_path / "t.jsonl")
    assert (tmp_path / "t.jsonl").read_text().splitlines() == ['{"x": null}'] * 3 + ['{"x": 1.5}']


def test_a_sheet_that_was_written_is_read_back(tmp_path):
    write_tables(iter([TABLE]), tmp_path / "t.xlsx")
    frame = files.read_files(DataConfig(path=str(tmp_path / "t.xlsx"))).frame
    assert frame["id"].tolist() == TABLE["id"].to_pylist()
    assert frame["row"].tolist() == TABLE["row"].to_pylist()
    assert frame["called"].tolist() == [True, False, pd.NA, True, True, False]


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet", "feather", "jsonl"])
def test_every_kind_of_file_holds_the_same_cells(tmp_path, kind):
    path = tmp_path / f"t.{kind}"
    write_tables(iter([TABLE.slice(0, 4), TABLE.slice(4)]), path)
    read = {
        "csv": lambda: pd.read_csv(path, dtype={"id": str}),
        "tsv": lambda: pd.read_csv(path, dtype={"id": str}, sep="\t"),
        "parquet": lambda: pd.read_parquet(path),
        "feather": lambda: pd.read_feather(path),
        "jsonl": lambda: pd.DataFrame(map(json.loads, path.read_text().splitlines())),
    }[kind]
    frame = read()
    assert frame["id"].tolist() == TABLE["id"].to_pylist()
    assert frame["certainty"].fillna("").tolist() == ["sure", "sure", "", "a", "b", "c"]
    assert frame["churn_probability"].isna().tolist() == [False, False, True, True, False, False]
    assert frame["row"].tolist() == [1, 2, 3, 4, 5, 6]


def test_a_table_that_no_sheet_holds_is_refused_and_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(writers, "SHEET_ROWS", 6)
    with pytest.raises(UserError, match="has 6 rows, and these are more"):
        write_tables(iter([TABLE]), tmp_path / "t.xlsx")
    assert list(tmp_path.iterdir()) == []


def test_a_kind_of_file_that_is_not_written_is_refused_with_those_that_are():
    with pytest.raises(UserError, match=r"cannot write '\.sav' files[\s\S]*\.csv, \.tsv, \.parquet, \.xlsx"):
        check_output("scores.sav", "output=scores.csv")


def test_a_workbook_is_scored_into_a_workbook(exported_bundle, customers, tmp_path):
    few = customers.frame[:50].assign(customer=[f"{i:03d}" for i in range(50)])
    few.to_excel(tmp_path / "in.xlsx", index=False)
    few.to_csv(tmp_path / "in.csv", index=False)
    for kind in ("xlsx", "csv"):
        paths = f"input={tmp_path}/in.{kind}", f"output={tmp_path}/out.{kind}"
        score(compose_config(f"bundle={exported_bundle}", *paths))
    scored = pd.read_excel(tmp_path / "out.xlsx", dtype={"customer": str}, engine="openpyxl")
    assert scored["customer"].tolist() == few["customer"].tolist()
    pd.testing.assert_frame_equal(
        scored, pd.read_csv(tmp_path / "out.csv", dtype={"customer": str}), rtol=1e-6
    )
