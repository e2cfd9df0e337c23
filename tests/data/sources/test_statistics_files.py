"""Files that pyreadstat writes, read back with what SPSS, Stata and SAS mean by them."""

import ctypes

import numpy as np
import pandas as pd
import pyreadstat
import pytest
from pyreadstat import _readstat_writer

from churn.config.data import DataConfig
from churn.data.sources import files
from churn.errors import UserError


def read(path, **keys):
    return files.read_files(DataConfig(path=str(path), **keys))


TABLE = pd.DataFrame(
    {
        "id": [1001.0, 1002, 1003, 1004],
        "sex": [1, 2, 1, 9],
        "income": [1.5, 2, -5, 98],
        "segment": [1, 2, 3, 4],
        "note": ["a", " ", "007", "ü"],
        "day": pd.to_datetime(["2024-01-31", None, "1999-12-31", "2024-02-29"]),
    }
)
LABELS = {"sex": {1: "male", 2: "female"}, "segment": {1: "low", 2: "low", 3: "high"}}


@pytest.mark.parametrize("name", ["t.sav", "t.zsav"])
def test_labels_of_spss_are_levels_and_declared_codes_are_missing(tmp_path, name):
    missing = {"income": [98, {"lo": -9, "hi": -1}], "note": ["a"]}
    path = tmp_path / name
    compress = {"compress": True} if name == "t.zsav" else {}
    pyreadstat.write_sav(TABLE, path, variable_value_labels=LABELS, missing_ranges=missing, **compress)
    raw = read(path)
    assert raw.frame["sex"].tolist() == ["male", "female", "male", "9"]
    assert raw.frame["segment"].tolist() == ["low (1)", "low (2)", "high", "4"]
    np.testing.assert_array_equal(raw.frame["income"], [1.5, 2, np.nan, np.nan])
    assert raw.frame["note"].fillna("").tolist() == ["", "", "007", "ü"]
    assert raw.frame["day"].dt.strftime("%Y-%m-%d").tolist() == [
        "2024-01-31",
        np.nan,
        "1999-12-31",
        "2024-02-29",
    ]
    assert raw.unit == "row"
    assert "2 columns with value labels" in raw.notes[0]
    assert raw.notes[1].endswith("'income' 2, 'note' 1")


def test_numbers_beside_a_label_have_the_decimal_mark_of_the_table(tmp_path):
    """Else 29.125 is read as 29125 where points separate thousands."""
    frame = pd.DataFrame({"id": [1.0, 2, 3], "spend": [29.125, 3.5, -0.5]})
    pyreadstat.write_sav(frame, tmp_path / "t.sav", variable_value_labels={"spend": {-0.5: "no answer"}})
    assert read(tmp_path / "t.sav", decimal=",").frame["spend"].tolist() == ["29,125", "3,5", "no answer"]


def test_labels_of_texts_are_levels_too(tmp_path):
    frame = pd.DataFrame({"id": [1.0, 2, 3], "sex": ["M", "F", "x"]})
    pyreadstat.write_sav(
        frame, tmp_path / "t.sav", variable_value_labels={"sex": {"M": "male", "F": "female"}}
    )
    assert read(tmp_path / "t.sav").frame["sex"].tolist() == ["male", "female", "x"]


def test_months_and_quarters_of_spss_are_dates(tmp_path):
    frame = pd.DataFrame({"id": [1, 2], "month": pd.to_datetime(["2024-03-01", "2023-12-01"])})
    frame["quarter"] = frame["month"]
    pyreadstat.write_sav(frame, tmp_path / "t.sav", variable_format={"month": "MOYR8", "quarter": "QYR8"})
    found = read(tmp_path / "t.sav").frame
    for name in ("month", "quarter"):
        assert found[name].tolist() == frame["month"].tolist()


def test_the_units_of_stata_s_dates_and_its_letters_for_missing_are_understood(tmp_path):
    frame = pd.DataFrame(
        {
            "id": [1, 2, 3],
            "month": [770, 0, -1],
            "quarter": [256, 0, -1],
            "half": [128, 0, -1],
            "week": [3328, 1, 0],
            "day": [23406, 0, -1],
            "time": [1000.0, 0, -1000],
            "year": [2024, 1960, 1959],
            "plan": [1, 2, 3],
            "fee": [1.5, "a", "b"],
        }
    )
    formats = {
        "month": "%tm",
        "quarter": "%tq",
        "half": "%th",
        "week": "%tw",
        "day": "%td",
        "time": "%tc",
        "year": "%ty",
    }
    pyreadstat.write_dta(
        frame, tmp_path / "t.dta", variable_format=formats,
        variable_value_labels={"plan": {1: "one", 2: "one"}},
        missing_user_values={"fee": ["a", "b"]},
    )  # fmt: skip
    raw = read(tmp_path / "t.dta")
    shown = {name: raw.frame[name].astype(str).tolist() for name in formats}
    assert shown == {
        "month": ["2024-03-01", "1960-01-01", "1959-12-01"],
        "quarter": ["2024-01-01", "1960-01-01", "1959-10-01"],
        "half": ["2024-01-01", "1960-01-01", "1959-07-01"],
        "week": ["2024-01-01", "1960-01-08", "1960-01-01"],
        "day": ["2024-01-31", "1960-01-01", "1959-12-31"],
        "time": ["1960-01-01 00:00:01", "1960-01-01 00:00:00", "1959-12-31 23:59:59"],
        "year": ["2024.0", "1960.0", "1959.0"],
    }
    assert raw.frame["plan"].tolist() == ["one (1)", "one (2)", "3"]
    np.testing.assert_array_equal(raw.frame["fee"], [1.5, np.nan, np.nan])
    assert raw.notes[1].endswith("'fee' 2")


def test_sas_transport_files_keep_zero_dates_and_the_last_customer(tmp_path):
    frame = pd.DataFrame({"id": [1.0, 2, 3], "zero": [0.0, 1, 0], "text": ["a", "b", ""]})
    frame["month"] = pd.to_datetime(["2024-01-31", "1960-01-01", "1959-12-31"])
    for version in (5, 8):
        pyreadstat.write_xport(frame, tmp_path / "t.xpt", file_format_version=version)
        found = read(tmp_path / "t.xpt").frame
        assert found["id"].tolist() == [1, 2, 3]
        assert found["zero"].tolist() == [0, 1, 0]
        assert found["month"].tolist() == frame["month"].tolist()


@pytest.mark.parametrize(
    ("form", "program", "number", "date"),
    [
        ("MONYY7.", "SAS", 23390, "2024-01-15"),
        ("YYQ6.", "SAS", 23390, "2024-01-15"),
        ("YYMMDD10.", "SAS", 0, "1960-01-01"),
        ("E8601DT19.", "SAS", 86400, "1960-01-02"),
        ("DATETIME20.", "SAS", 86400, "1960-01-02"),
        ("COMMA12.2", "SAS", 5, None),
        ("TIME8.", "SAS", 5, None),
        ("MMSS5.", "SAS", 5, None),
        ("PERCENT8.1", "SAS", 5, None),
        ("EDATE10", "SPSS", 13923446400, "2024-01-01"),
        ("F8.2", "SPSS", 5, None),
        ("DTIME10", "SPSS", 5, None),
        ("%tdDD/NN/CCYY", "Stata", 1, "1960-01-02"),
        ("%9.2f", "Stata", 1, None),
    ],
)
def test_the_formats_of_dates_are_told_from_those_of_numbers(form, program, number, date):
    from churn.data.sources.statistics_files import _date_reader

    to_dates = _date_reader(form, program)
    assert (to_dates and str(to_dates(np.array([float(number)]))[0].astype("datetime64[D]"))) == date


def test_chunks_of_a_file_are_the_file(tmp_path):
    pyreadstat.write_sav(TABLE, tmp_path / "t.sav", variable_value_labels=LABELS)
    pieces = [piece.frame for piece in files.raw_tables(str(tmp_path / "t.sav"), DataConfig(), rows=3)]
    assert [len(piece) for piece in pieces] == [3, 1]
    pd.testing.assert_frame_equal(pd.concat(pieces, ignore_index=True), read(tmp_path / "t.sav").frame)


def test_a_damaged_file_is_refused(tmp_path):
    pyreadstat.write_sav(TABLE, tmp_path / "t.sav")
    (tmp_path / "t.sav").write_bytes((tmp_path / "t.sav").read_bytes()[:300])
    with pytest.raises(UserError, match="cannot be read as one of SPSS"):
        read(tmp_path / "t.sav")


def write_sas7bdat(path, columns, rows):
    """Write a file by ReadStat itself: pyreadstat 1.3.7 holds its writer of sas7bdat without a function.

    `columns`: the name of each, its bytes if it is text or else 0, and SAS's format.
    """
    library, pointer = ctypes.CDLL(_readstat_writer.__file__), ctypes.c_void_p
    library.readstat_writer_init.restype = library.readstat_add_variable.restype = pointer
    content = bytearray()

    @ctypes.CFUNCTYPE(ctypes.c_ssize_t, pointer, ctypes.c_size_t, pointer)
    def keep(data, size, _):
        content.extend(ctypes.string_at(data, size))
        return size

    writer = pointer(library.readstat_writer_init())
    assert library.readstat_set_data_writer(writer, keep) == 0
    variables = []
    for name, width, form in columns:
        kind, size = (0, width) if width else (5, 8)  # READSTAT_TYPE_STRING and _DOUBLE
        variable = pointer(library.readstat_add_variable(writer, name.encode(), kind, ctypes.c_size_t(size)))
        library.readstat_variable_set_format(variable, form.encode())
        variables.append(variable)
    assert library.readstat_begin_writing_sas7bdat(writer, None, ctypes.c_long(len(rows))) == 0
    for row in rows:
        assert library.readstat_begin_row(writer) == 0
        for variable, cell in zip(variables, row, strict=True):
            if isinstance(cell, str):
                failed = library.readstat_insert_string_value(writer, variable, cell.encode())
            elif cell is None:
                failed = library.readstat_insert_missing_value(writer, variable)
            else:
                failed = library.readstat_insert_double_value(writer, variable, ctypes.c_double(cell))
            assert failed == 0
        assert library.readstat_end_row(writer) == 0
    assert library.readstat_end_writing(writer) == 0
    library.readstat_writer_free(writer)
    path.write_bytes(content)


def test_a_table_of_sas_is_read_with_its_dates_and_in_chunks(tmp_path):
    columns = [("id", 0, "BEST12"), ("note", 12, "$"), ("day", 0, "DATE9"), ("time", 0, "DATETIME20"),
               ("month", 0, "MONYY7"), ("fee", 0, "DOLLAR8")]  # fmt: skip
    rows = [
        (1001.0, "a", 23000.0, 1.9e9, 23000.0, 9.5),
        (1002.0, "007", None, 0.0, -1.0, None),
        (1003.0, "\u00fc", 0.0, None, None, 0.1),
    ]
    path = tmp_path / "t.sas7bdat"
    write_sas7bdat(path, columns, rows)
    raw = read(path)
    assert raw.notes[0].endswith("SAS, 0 columns with value labels")
    assert raw.frame["id"].tolist() == [1001, 1002, 1003]
    assert raw.frame["note"].tolist() == ["a", "007", "\u00fc"]
    np.testing.assert_array_equal(raw.frame["fee"], [9.5, np.nan, 0.1])
    times = {
        "day": ["2022-12-21", None, "1960-01-01"],
        "time": ["2020-03-16 17:46:40", "1960-01-01", None],
        "month": ["2022-12-21", "1959-12-31", None],
    }
    for name, expected in times.items():
        np.testing.assert_array_equal(raw.frame[name], np.array(expected, "datetime64[s]"))
    chunks = list(files.file_chunks(str(path), DataConfig(), 2))
    assert [len(chunk.table) for chunk in chunks] == [0, 2, 1]
    assert chunks[-1].lines.tolist() == [3]


def test_a_damaged_table_of_sas_is_one_message(tmp_path):
    path = tmp_path / "t.sas7bdat"
    write_sas7bdat(path, [("id", 0, "BEST12")], [(1.0,)])
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(UserError, match="cannot be read as one of SAS"):
        read(path)
