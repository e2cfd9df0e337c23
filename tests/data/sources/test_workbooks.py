"""Workbooks made by the libraries that write them: xlsx, xls, ods, and a small xlsb by hand."""

import struct
import zipfile
from datetime import date, datetime

import numpy as np
import pandas as pd
import pytest
import xlsxwriter

from churn.config.data import DataConfig
from churn.data.sources import files
from churn.errors import UserError


def read(path, **keys):
    return files.read_files(DataConfig(path=str(path), **keys))


HEADER = ["id", "code", "flag", "since", "share", "fee", "late"]
ROWS = [
    [1001, "007", True, date(2024, 1, 31), 0.15, 12.5, datetime(2024, 1, 31, 12, 30)],
    [1002, " 3 ", None, None, 0.5, "#N/A", None],
    [1003, "x", False, date(2024, 2, 1), 1, 14, None],
]


def write_xlsx(path, **sheets):
    """Sheets of rows; a name with an underscore in front is hidden."""
    book = xlsxwriter.Workbook(path)
    forms = {date: "yyyy-mm-dd", datetime: "yyyy-mm-dd hh:mm"}
    formats = {kind: book.add_format({"num_format": form}) for kind, form in forms.items()}
    for name, rows in sheets.items():
        sheet = book.add_worksheet(name.strip("_"))
        for i, row in enumerate(rows):
            for j, cell in enumerate(row):
                if type(cell) in formats:
                    sheet.write_datetime(i, j, cell, formats[type(cell)])
                elif isinstance(cell, str) and cell.startswith("#"):
                    sheet.write_formula(i, j, "=NA()", None, cell)
                elif isinstance(cell, str):
                    sheet.write_string(i, j, cell)
                else:
                    sheet.write(i, j, cell)
        if name.startswith("_"):
            sheet.hide()
    next(sheet for sheet in book.worksheets() if not sheet.hidden).activate()
    book.close()
    return path


def test_a_sheet_keeps_what_its_cells_are(tmp_path):
    raw = read(write_xlsx(tmp_path / "t.xlsx", Data=[HEADER, *ROWS]))
    assert raw.frame.dtypes.astype(str).to_dict() == {
        "id": "Int64", "code": "str", "flag": "boolean", "since": "datetime64[us]", "share": "float64",
        "fee": "float64", "late": "datetime64[us]",
    }  # fmt: skip
    assert raw.frame["id"].tolist() == [1001, 1002, 1003]
    assert raw.frame["code"].tolist() == ["007", "3", "x"]
    assert raw.frame["flag"].tolist() == [True, pd.NA, False]
    assert raw.frame["since"].tolist() == [pd.Timestamp("2024-01-31"), pd.NaT, pd.Timestamp("2024-02-01")]
    assert raw.frame["share"].tolist() == [0.15, 0.5, 1]
    np.testing.assert_array_equal(raw.frame["fee"], [12.5, np.nan, 14])
    assert raw.frame["late"][0] == pd.Timestamp("2024-01-31 12:30")
    assert (raw.unit, raw.lines.tolist()) == ("row", [2, 3, 4])
    assert raw.notes == (
        f"{tmp_path / 't.xlsx'}: sheet 'Data'",
        "cells that the file marks as errors or missing count as missing: 'fee' 1",
    )


def test_rows_above_the_header_are_skipped_and_blank_ones_left_out(tmp_path):
    rows = [["Report of June"], [], ["made by", "Ann"], HEADER, ROWS[0], [], ROWS[2]]
    raw = read(write_xlsx(tmp_path / "t.xlsx", Data=rows))
    assert raw.frame["id"].tolist() == [1001, 1003]
    assert raw.lines.tolist() == [5, 7]
    assert "3 rows before the header skipped" in raw.notes[0]


def test_names_that_repeat_are_told_apart_by_the_row_above(tmp_path):
    rows = [
        ["", "", "usage", "", "fees", ""],
        ["id", "plan", "min", "max", "min", "max"],
        ["a", "b", 1, 2, 3, 4],
    ]
    raw = read(write_xlsx(tmp_path / "t.xlsx", Data=rows))
    assert list(raw.frame) == ["id", "plan", "usage min", "usage max", "fees min", "fees max"]
    below = [["use", "use", "fee", "fee"], ["min", "max", "min", "max"], [1, 2, 3, 4], [5, 6, 7, 8]]
    assert list(read(write_xlsx(tmp_path / "u.xlsx", Data=below)).frame) == [
        "use min",
        "use max",
        "fee min",
        "fee max",
    ]


def test_a_table_beside_and_below_the_corner_has_the_rows_of_the_sheet(tmp_path):
    rows = [[], [], ["", "", "id", "x"], ["", "", 1, "#DIV/0!"], ["", "", 2, 5]]
    raw = read(write_xlsx(tmp_path / "t.xlsx", Data=rows))
    assert list(raw.frame) == ["id", "x"]
    assert raw.lines.tolist() == [4, 5]
    assert raw.notes[-1].endswith("'x' 1")


def test_the_only_visible_table_is_read_and_hidden_sheets_never_silently(tmp_path):
    table = [HEADER, *ROWS]
    raw = read(write_xlsx(tmp_path / "t.xlsx", _Old=table, Notes=[["hello"]], Data=table, _Lists=[["a"]]))
    assert "sheet 'Data' (1 other sheet, 2 hidden)" in raw.notes[0]
    with pytest.raises(UserError, match="no visible sheet is a table") as error:
        read(write_xlsx(tmp_path / "h.xlsx", _Old=table, Notes=[["hello"]]))
    assert "'Old' (4 rows, 7 columns, hidden), 'Notes' (1 row, 1 column)" in str(error.value)
    assert len(read(tmp_path / "h.xlsx", sheet="Old").frame) == 3


def test_several_sheets_with_tables_are_listed_and_one_is_named(tmp_path):
    path = write_xlsx(tmp_path / "t.xlsx", June=[HEADER, *ROWS], July=[HEADER, ROWS[0]])
    with pytest.raises(UserError, match="several sheets may be the table") as error:
        read(path)
    assert "'June' (4 rows, 7 columns), 'July' (2 rows, 7 columns)" in str(error.value)
    assert "'data.sheet=\"June\"'" in str(error.value)
    assert len(read(path, sheet="July").frame) == 1
    with pytest.raises(UserError, match="there is no sheet 'Juli'; did you mean 'July'"):
        read(path, sheet="Juli")


def test_chunks_of_a_sheet_are_the_sheet(tmp_path):
    path = write_xlsx(tmp_path / "t.xlsx", Data=[HEADER, *ROWS])
    pieces = [piece.frame for piece in files.raw_tables(str(path), DataConfig(), rows=2)]
    assert [len(piece) for piece in pieces] == [2, 1]
    pd.testing.assert_frame_equal(pd.concat(pieces, ignore_index=True), read(path).frame)


def test_an_old_workbook_is_read(tmp_path):
    import xlwt

    book = xlwt.Workbook()
    sheet = book.add_sheet("Data")
    day = xlwt.easyxf(num_format_str="YYYY-MM-DD")
    for i, row in enumerate([HEADER[:4], *[row[:4] for row in ROWS]]):
        for j, cell in enumerate(row):
            sheet.write(i, j, cell, *([day] if isinstance(cell, date) else []))
    book.save(str(tmp_path / "t.xls"))
    frame = read(tmp_path / "t.xls").frame
    assert frame["id"].tolist() == [1001, 1002, 1003]
    assert frame["code"].tolist() == ["007", "3", "x"]
    assert frame["flag"].tolist() == [True, pd.NA, False]
    assert frame["since"][0] == pd.Timestamp("2024-01-31")


def test_a_sheet_of_libreoffice_is_read(tmp_path):
    table = pd.DataFrame({"id": [1, 2], "code": ["007", "x"], "flag": [True, False], "fee": [1.5, None]})
    table["since"] = [date(2024, 1, 31), date(2024, 2, 1)]
    table.to_excel(tmp_path / "t.ods", engine="odf", index=False, sheet_name="Data")
    frame = read(tmp_path / "t.ods").frame
    assert frame["id"].tolist() == [1, 2]
    assert frame["code"].tolist() == ["007", "x"]
    assert frame["flag"].tolist() == [True, False]
    np.testing.assert_array_equal(frame["fee"], [1.5, np.nan])
    assert frame["since"][1] == pd.Timestamp("2024-02-01")


def binary_workbook(path, rows):
    """A minimal xlsb: no library writes this format (MS-XLSB, records of a number, a size and bytes)."""

    def record(kind, content=b""):
        number = bytes([kind]) if kind < 128 else bytes([kind & 127 | 128, kind >> 7])
        return number + bytes([len(content)]) + content

    def text(value):
        return struct.pack("<I", len(value)) + value.encode("utf-16-le")

    def cell(j, value):
        begin = struct.pack("<II", j, 0)
        if isinstance(value, bool):
            return record(4, begin + bytes([value]))
        if isinstance(value, str):
            return record(3, begin + b"\x2a") if value == "#N/A" else record(6, begin + text(value))
        return record(5, begin + struct.pack("<d", value))

    sheet = record(129) + record(148, struct.pack("<4I", 0, len(rows) - 1, 0, len(rows[0]) - 1)) + record(145)
    for i, row in enumerate(rows):
        sheet += record(0, struct.pack("<IIHBBI", i, 0, 300, 0, 0, 0) + struct.pack("<I", 0))
        sheet += b"".join(cell(j, value) for j, value in enumerate(row) if value is not None)
    sheet += record(146) + record(130)
    book = record(131) + record(143) + record(156, struct.pack("<II", 0, 1) + text("rId1") + text("Data"))
    book += record(144) + record(132)
    relation = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.bin", book)
        archive.writestr("xl/worksheets/sheet1.bin", sheet)
        archive.writestr(
            "xl/_rels/workbook.bin.rels",
            '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
            f'<Relationship Id="rId1" Type="{relation}/worksheet" Target="worksheets/sheet1.bin"/>'
            "</Relationships>",
        )
    return path


def test_a_binary_workbook_is_read(tmp_path):
    rows = [["id", "code", "flag", "fee"], [1, "007", True, 1.5], [2, "x", None, "#N/A"]]
    frame = read(binary_workbook(tmp_path / "t.xlsb", rows)).frame
    assert frame["id"].tolist() == [1, 2]
    assert frame["code"].tolist() == ["007", "x"]
    assert frame["flag"].tolist() == [True, pd.NA]
    np.testing.assert_array_equal(frame["fee"], [1.5, np.nan])


def test_what_is_no_workbook_is_refused(tmp_path):
    (tmp_path / "t.xls").write_bytes(b"\xd0\xcf\x11\xe0" + bytes(600))
    with pytest.raises(UserError, match="no workbook, or it is damaged"):
        read(tmp_path / "t.xls")


def test_a_sheet_without_a_header_is_refused_with_its_row(tmp_path):
    with pytest.raises(UserError, match=r"no header[\s\S]*sheet 'Data', row 1"):
        read(write_xlsx(tmp_path / "t.xlsx", Data=[[1, 2.5], [3, 4.5]]))


def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch):
    path = write_xlsx(tmp_path / "t.xlsx", Data=[HEADER, *ROWS])
    monkeypatch.setitem(__import__("sys").modules, "python_calamine", None)
    with pytest.raises(UserError, match=r"python-calamine is not installed[\s\S]*churn\[tables\]"):
        read(path)
