"""One column from cells of many types, and from parts whose types differ."""

import json
import sqlite3
import uuid
from contextlib import closing
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from itertools import product

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter
from pyarrow import feather

from churn.config.data import DataConfig
from churn.config.root import compose_config
from churn.data.infer.cells import to_ids, to_numbers, to_text
from churn.data.sources import files
from churn.data.sources.columns import from_python, join_tables, simplify_types
from churn.data.stream.rows import open_stream

NOON, EAST = datetime(2024, 1, 31, 12), timezone(timedelta(hours=2))
PARTS = {  # cells of a column in one part of a table, by a name; each with the texts that they mean
    "int": (pa.array([1, 0, None]), ["1", "0", ""]),
    "large": (pa.array([2**53 + 1, 8944111111111111111, 3]), [str(2**53 + 1), "8944111111111111111", "3"]),
    "double": (pa.array([1.0, 0.5, None]), ["1", "0.5", ""]),
    "nan": (pa.array([float("nan"), 2.0, 1.0]), ["", "2", "1"]),
    "bool": (pa.array([True, False, None]), ["1", "0", ""]),
    "text": (pa.array(["007", "x", None]), ["007", "x", ""]),
    "few": (pa.array(["TRUE", "x", "x"]).dictionary_encode(), ["1", "x", "x"]),
    "blank": (pa.nulls(3), ["", "", ""]),
    "decimal": (pa.array([Decimal("8944111111111111111"), None, Decimal(0)], pa.decimal128(38, 0)),
                ["8944111111111111111", "", "0"]),
    "bigquery": (pa.array([Decimal(1001), Decimal("1.5"), Decimal(0)], pa.decimal128(38, 9)),
                 ["1001", "1.5", "0"]),
    "day": (pa.array([date(2024, 1, 31), None, date(2024, 2, 1)]), ["2024-01-31", "", "2024-02-01"]),
    "midnight": (pa.array([datetime(2024, 1, 31)] * 3, pa.timestamp("us")), ["2024-01-31"] * 3),
    "noon": (pa.array([NOON, datetime(2024, 1, 31), None], pa.timestamp("ms")),
             ["2024-01-31 12:00:00", "2024-01-31", ""]),
}  # fmt: skip


@pytest.mark.parametrize(("first", "second"), list(product(PARTS, PARTS)))
def test_parts_of_one_table_may_have_different_types(tmp_path, first, second):
    for number, name in enumerate((first, second)):
        table = pa.table({"id": [f"{number}-{i}" for i in range(3)], "x": PARTS[name][0]})
        pq.write_table(table, tmp_path / f"{number}.parquet")
    raw = files.read_files(DataConfig(path=str(tmp_path)))
    assert to_text(raw.frame["x"]).tolist() == PARTS[first][1] + PARTS[second][1]
    pieces = list(files.file_chunks(str(tmp_path), DataConfig(), rows=2))
    types = [piece.table.schema.field("x").type for piece in pieces]
    kinds = {kind.value_type if pa.types.is_dictionary(kind) else kind for kind in types}
    assert len(kinds) == 1
    assert raw.lines.tolist() == [1, 2, 3, 1, 2, 3]


GERMAN = {"decimal": ",", "thousands": "."}
NUMBERS = {  # cells of a column in one part of a table whose texts have German numbers, and what they are
    "int": (pa.array([1234, 0, None]), [1234, 0, np.nan]),
    "double": (pa.array([100.125, 7.0, 1e-7]), [100.125, 7, 1e-7]),
    "decimal": (pa.array([Decimal("100.125"), None, Decimal(12)], pa.decimal128(9, 3)),
                [100.125, np.nan, 12]),
    "text": (pa.array(["1.234,5", "2,50", ""]), [1234.5, 2.5, np.nan]),
    "blank": (pa.nulls(3), [np.nan] * 3),
}  # fmt: skip


@pytest.mark.parametrize(("first", "second"), list(product(NUMBERS, NUMBERS)))
def test_a_number_is_never_read_by_the_marks_of_texts_in_another_part(tmp_path, first, second):
    for number, name in enumerate((first, second)):
        table = pa.table({"id": ["a", "b", "c"], "x": NUMBERS[name][0]})
        pq.write_table(table, tmp_path / f"{number}.parquet")
    cfg = DataConfig(path=str(tmp_path), **GERMAN)
    numbers, not_a_number, _ = to_numbers(files.read_files(cfg).frame["x"], cfg)
    np.testing.assert_array_equal(numbers, NUMBERS[first][1] + NUMBERS[second][1])
    assert not not_a_number.any()


def as_workbook(folder, cells):
    with xlsxwriter.Workbook(folder / "table.xlsx") as book:
        sheet = book.add_worksheet()
        for row, values in enumerate([["id", "x"], *enumerate(cells)]):
            sheet.write_row(row, 0, values)
    return folder / "table.xlsx"


def as_database(folder, cells):
    with closing(sqlite3.connect(folder / "table.db")) as con, con:
        con.execute("CREATE TABLE t (id INTEGER, x)")
        con.executemany("INSERT INTO t VALUES (?, ?)", enumerate(cells))
    return folder / "table.db"


def as_json(folder, cells):
    rows = [{"id": i, "x": cell} for i, cell in enumerate(cells)]
    (folder / "table.json").write_text(json.dumps(rows))
    return folder / "table.json"


def as_json_lines(folder, cells):
    rows = [json.dumps({"id": i, "x": cell}) for i, cell in enumerate(cells)]
    (folder / "table.jsonl").write_text("\n".join(rows))
    return folder / "table.jsonl"


@pytest.mark.parametrize("write", [as_workbook, as_database, as_json, as_json_lines])
def test_a_number_beside_texts_is_not_read_by_their_marks(tmp_path, write):
    cells = ["1.234,5", 100.125, 7.0, None, 1234, "2,50", 1e-7, -0.5]
    cfg = DataConfig(path=str(write(tmp_path, cells)), **GERMAN)
    frame = files.read_files(cfg).frame
    numbers, not_a_number, _ = to_numbers(frame["x"], cfg)
    np.testing.assert_array_equal(numbers, [1234.5, 100.125, 7, np.nan, 1234, 2.5, 1e-7, -0.5])
    assert not not_a_number.any()
    assert to_ids(frame["x"]).tolist()[2] == "7"


def test_a_number_beside_a_truth_value_is_not_read_by_the_marks_of_texts(tmp_path):
    cfg = DataConfig(path=str(as_workbook(tmp_path, [29.125, True, 3.0, 60.5])), **GERMAN)
    numbers, _, _ = to_numbers(files.read_files(cfg).frame["x"], cfg)
    np.testing.assert_array_equal(numbers, [29.125, 1, 3, 60.5])


def test_a_number_of_json_is_the_same_beside_texts_of_another_column(tmp_path):
    lines = ['{"tariff": 1.50, "note": 7}', '{"tariff": 2.0, "note": "x"}']
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    assert files.read_files(DataConfig(path=str(tmp_path / "t.jsonl"))).frame["tariff"].tolist() == [
        "1.5",
        "2",
    ]


@pytest.mark.parametrize("write", [pq.write_table, feather.write_feather])
def test_parts_may_have_categories_with_codes_of_several_types(tmp_path, write):
    as_pandas_and_polars = [
        pa.dictionary(pa.int8(), pa.string()),
        pa.dictionary(pa.int16(), pa.string(), ordered=True),
        pa.dictionary(pa.uint32(), pa.large_string()),
        pa.large_string(),
        *[pa.dictionary(pa.uint32(), pa.string_view())] * (write is feather.write_feather),
    ]
    for number, kind in enumerate(as_pandas_and_polars):
        table = pa.table({"x": pa.array(["b", None, "a"]).cast(kind), "n": [1, 2, 3]})
        write(table, tmp_path / f"{number}.parquet")
    frame = files.read_files(DataConfig(path=str(tmp_path))).frame
    assert frame["x"].fillna("").tolist() == ["b", "", "a"] * len(as_pandas_and_polars)


def test_a_stream_reads_parts_of_different_types(tmp_path):
    rng = np.random.default_rng(0)
    for number, city in enumerate((["Riga"] * 300, [f"Town {i} of a long name" for i in range(300)])):
        months = rng.integers(0, 60, 300)
        frame = pd.DataFrame({"id": [f"{number}-{i}" for i in range(300)], "months": months})
        frame["city"] = pd.Categorical(city)
        frame["months"] = frame["months"].astype(float if number else int)
        frame["flag"] = frame["months"] > 30 if number else (frame["months"] > 30).astype(int)
        frame["left"] = rng.random(300) < 0.3
        frame.to_parquet(tmp_path / f"{number}.parquet", index=False)
    keys = ("data.target=left", "data.categorical=[city]", "train.stream_rows=10", "data.name=t")
    stream = open_stream(compose_config("data=parquet", f"data.path={tmp_path}", *keys))
    rows = stream.rows(stream.groups)
    assert len(rows.churned) > 300
    assert set(rows.features["flag"].texts) == {"0", "1"}
    assert rows.features["months"].max() == 59


@pytest.mark.parametrize(
    ("cells", "kind", "expected"),
    [
        ([1, None, 3], "int64", ["1", "", "3"]),
        ([1.0, "", 3.0], "int64", ["1", "", "3"]),
        ([1.0, None, 2.5], "double", ["1", "", "2.5"]),
        ([2**70, 1], "string", [str(2**70), "1"]),
        ([True, "", False], "bool", ["1", "", "0"]),
        (["007", 7.0, None], "string", ["007", "7", ""]),
        ([True, "n/a"], "string", ["1", "n/a"]),
        ([date(2024, 1, 31), "", NOON], "timestamp[us]", ["2024-01-31", "", "2024-01-31 12:00:00"]),
        ([NOON.replace(tzinfo=EAST), None], "timestamp[us]", ["2024-01-31 10:00:00", ""]),
        ([date(2024, 1, 31), "soon"], "string", ["2024-01-31", "soon"]),
        ([timedelta(hours=36), None], "double", ["1.5", ""]),
        ([Decimal("1.50"), None], "string", ["1.5", ""]),  # as Parquet's decimals
        ([b"ab", uuid.UUID(int=5)], "string", ["ab", "00000000-0000-0000-0000-000000000005"]),
        ([b"\xff\x01", memoryview(b"ab")], "string", ["ff01", "ab"]),
        (["", None], "string", ["", ""]),
    ],
)  # fmt: skip
def test_cells_of_python_become_the_simplest_column_that_holds_them(cells, kind, expected):
    column = from_python(cells)
    assert str(column.type) == kind
    frame = pa.table({"x": column}).to_pandas(types_mapper=files.columns.pandas_type)
    assert to_text(frame["x"]).tolist() == expected


def test_durations_uuids_and_decimals_of_arrow_lose_nothing():
    key = uuid.UUID(int=2**100 + 1)
    table = pa.table(
        {
            "waited": pa.array([timedelta(hours=36), None], pa.duration("ms")),
            "key": pa.array([key.bytes, None], pa.uuid()),
            "fee": pa.array([Decimal("9.90"), None], pa.decimal128(10, 2)),
            "count": pa.array([Decimal(7), None], pa.decimal128(18, 0)),
        }
    )
    simple = simplify_types(table)
    assert simple.to_pydict() == {
        "waited": [1.5, None],
        "key": [str(key), None],
        "fee": [9.9, None],
        "count": [7, None],
    }
    assert str(simple.schema.field("count").type) == "int64"


@pytest.mark.parametrize("rows", [1, 100])
def test_bytes_that_are_no_text_are_digits_whatever_the_chunks(tmp_path, rows):
    table = pa.table({"hash": [b"\xff\x01", b"ab", None] * 10, "x": range(30)})
    pq.write_table(table, tmp_path / "t.parquet")
    tables = files.raw_tables(str(tmp_path / "t.parquet"), DataConfig(), rows)
    cells = [cell for table in tables for cell in to_ids(table.frame["hash"])]
    assert cells == ["ff01", "ab", ""] * 10


def test_joined_parts_keep_dictionaries_only_if_all_have_them():
    coded, plain = (pa.table({"x": column}) for column in (PARTS["few"][0], PARTS["text"][0]))
    assert pa.types.is_dictionary(join_tables([coded, coded]).schema.field("x").type)
    assert join_tables([coded, plain])["x"].to_pylist() == ["TRUE", "x", "x", "007", "x", None]


def test_an_id_above_the_exact_numbers_stays_digit_for_digit_beside_decimals(tmp_path):
    pq.write_table(pa.table({"id": [8944111111111111111]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"id": [1001.0]}), tmp_path / "2.parquet")
    frame = files.read_files(DataConfig(path=str(tmp_path))).frame
    assert to_ids(frame["id"]).tolist() == ["8944111111111111111", "1001"]
    assert to_numbers(frame["id"], DataConfig())[0][1] == 1001
