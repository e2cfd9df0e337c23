"""Arrow, Feather, ORC and Avro files, each made by its own library."""

from datetime import UTC, date, datetime, time
from decimal import Decimal

import fastavro
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import feather, ipc, orc

from churn.config.data import DataConfig
from churn.data.infer.cells import to_ids
from churn.data.sources import files
from churn.errors import UserError

TABLE = pa.table(
    {
        "id": pa.array([2**60 + 1, None, 3]),
        "text": ["007", None, "x"],
        "flag": [True, None, False],
        "fee": [1.5, None, 2.0],
        "day": pa.array([date(2024, 1, 31), None, date(1999, 12, 31)]),
    }
)


def read(path, **keys):
    return files.read_files(DataConfig(path=str(path), **keys))


def write_stream(table, path):
    with pa.OSFile(str(path), "wb") as file, ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table, max_chunksize=2)


def check(frame):
    assert to_ids(frame["id"]).tolist() == [str(2**60 + 1), "", "3"]
    assert frame["text"].fillna("").tolist() == ["007", "", "x"]
    assert frame["flag"].tolist() == [True, pd.NA, False]
    np.testing.assert_array_equal(frame["fee"], [1.5, np.nan, 2])
    assert frame["day"].astype(str).tolist() == ["2024-01-31", np.nan, "1999-12-31"]


@pytest.mark.parametrize("write", [feather.write_feather, write_stream, orc.write_table])
def test_arrow_and_orc_files_keep_types_and_digits(tmp_path, write):
    write(TABLE, str(tmp_path / "t.data"))
    raw = read(tmp_path / "t.data")
    check(raw.frame)
    assert (raw.unit, raw.lines.tolist()) == ("row", [1, 2, 3])
    assert [
        len(piece.frame) for piece in files.raw_tables(str(tmp_path / "t.data"), DataConfig(), rows=2)
    ] == [2, 1]


def write_avro(path, fields, records):
    with path.open("wb") as file:
        fastavro.writer(file, {"type": "record", "name": "customer", "fields": fields}, records)


def test_avro_files_keep_types_and_digits(tmp_path):
    kinds = {
        "id": "long",
        "text": "string",
        "flag": "boolean",
        "fee": "double",
        "day": {"type": "int", "logicalType": "date"},
    }
    fields = [{"name": name, "type": ["null", kind]} for name, kind in kinds.items()]
    write_avro(tmp_path / "t.avro", fields, TABLE.to_pylist())
    check(read(tmp_path / "t.avro").frame)


def test_decimals_times_and_enumerations_of_avro_are_read(tmp_path):
    decimal = {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 0}
    fields = [
        {"name": "id", "type": decimal},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "called", "type": {"type": "int", "logicalType": "time-millis"}},
        {"name": "plan", "type": {"type": "enum", "name": "plan", "symbols": ["A", "B"]}},
        {"name": "calls", "type": {"type": "array", "items": "int"}},
    ]
    record = {
        "id": Decimal(8944111111111111111),
        "at": datetime(2024, 1, 31, 12, tzinfo=UTC),
        "called": time(10, 30),
        "plan": "B",
        "calls": [1],
    }
    write_avro(tmp_path / "t.avro", fields, [record])
    with pytest.raises(UserError, match="'calls' is list"):
        read(tmp_path / "t.avro")
    frame = read(tmp_path / "t.avro", drop=["calls"]).frame
    known = ["8944111111111111111", "10:30:00", "B"]
    assert frame.iloc[0][["id", "called", "plan"]].tolist() == known
    assert frame["at"][0] == pd.Timestamp("2024-01-31 12:00", tz="UTC")


@pytest.mark.parametrize("precision", [38, 76, 77])
def test_decimals_of_avro_may_have_any_number_of_digits(tmp_path, precision):
    """BigQuery's BIGNUMERIC has 77."""
    fields = [
        {
            "name": "fee",
            "type": {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": 2},
        }
    ]
    write_avro(tmp_path / "t.avro", fields, [{"fee": Decimal(fee)} for fee in ("9.90", "100.00")])
    assert read(tmp_path / "t.avro").frame["fee"].astype(float).tolist() == [9.9, 100]


def test_numbers_of_an_avro_union_with_texts_are_written_with_the_tables_decimal_mark(tmp_path):
    field = {"name": "fee", "type": ["null", "double", "string", "long"]}
    write_avro(tmp_path / "t.avro", [field], [{"fee": fee} for fee in (100.125, "1.234,5", 3.0, None, 7)])
    fees = read(tmp_path / "t.avro", decimal=",", thousands=".").frame["fee"]
    assert fees.fillna("").tolist() == ["100,125", "1.234,5", "3", "", "7"]


def test_a_column_of_intervals_is_refused_unless_dropped(tmp_path):
    waited = pa.array([(1, 15, 0), None], pa.month_day_nano_interval())
    feather.write_feather(pa.table({"id": [1, 2], "waited": waited}), tmp_path / "t.feather")
    with pytest.raises(UserError, match="'waited' is month_day_nano_interval"):
        read(tmp_path / "t.feather")
    assert read(tmp_path / "t.feather", drop=["waited"]).frame["id"].tolist() == [1, 2]


@pytest.mark.parametrize("magic", [b"ARROW1\0\0", b"ORC\x0a", b"Obj\x01"])
def test_a_damaged_file_is_refused(tmp_path, magic):
    (tmp_path / "t.data").write_bytes(magic + b"and no more")
    with pytest.raises(UserError, match="damaged"):
        read(tmp_path / "t.data")
