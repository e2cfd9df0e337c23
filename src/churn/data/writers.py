"""Write tables to a file that appears whole: text, Parquet, Arrow, JSON lines, or a workbook."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from functools import partial
from itertools import chain
from math import isfinite
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from churn.data.sources.columns import decode_dictionary
from churn.data.sources.paths import is_matched, list_files
from churn.errors import UserError, missing_extra
from churn.files import PERSONAL, atomic_write

SHEET_ROWS = 1_048_576  # of a workbook's sheet, the header included
DIGITS = 15  # that a number of a workbook keeps; a longer whole number, such as an id, is written as text
FIRST_YEAR = 1901  # a workbook has no dates before 1900, and programs differ in those of 1900
WIDTHS = (8, 60)  # characters of the narrowest and the widest column of a sheet


class _WorkbookWriter:
    """Writes tables to the sheet of an xlsx file, row after row.

    Numbers are numbers, and texts are texts: one that begins with = + - or @ is never a formula.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        try:
            import xlsxwriter
        except ImportError:
            raise missing_extra("XlsxWriter", "tables") from None
        self.book = xlsxwriter.Workbook(path, {"constant_memory": True, "nan_inf_to_errors": True})
        self.sheet = self.book.add_worksheet("scores")
        self.time_format = self.book.add_format({"num_format": "yyyy-mm-dd hh:mm"})
        bold = self.book.add_format({"bold": True})
        for i, name in enumerate(schema.names):
            self.sheet.write_string(0, i, name, bold)
        self.sheet.freeze_panes(1, 0)
        self.rows, self.widths = 1, [len(name) for name in schema.names]

    def write_table(self, table: pa.Table) -> None:
        """Write the rows of a table below those written before."""
        check_sheet(self.rows - 1 + len(table))
        for cells in zip(*(column.to_pylist() for column in table.itercolumns()), strict=True):
            for i, cell in enumerate(cells):
                self._write_cell(i, cell)
            self.rows += 1

    def _write_cell(self, column: int, cell: Any) -> None:
        if cell is None or cell != cell:  # a missing number
            return
        if isinstance(cell, bool):
            self.sheet.write_boolean(self.rows, column, cell)
        elif isinstance(cell, float) or (isinstance(cell, int) and abs(cell) < 10**DIGITS):
            self.sheet.write_number(self.rows, column, cell)
        elif isinstance(cell, datetime) and cell.year >= FIRST_YEAR:
            self.sheet.write_datetime(self.rows, column, cell.replace(tzinfo=None), self.time_format)
        else:
            self.sheet.write_string(self.rows, column, str(cell))
            self.widths[column] = max(self.widths[column], len(str(cell)))

    def close(self) -> None:
        """Set the widths, and complete the file."""
        narrow, wide = WIDTHS
        for i, width in enumerate(self.widths):
            self.sheet.set_column(i, i, min(max(width + 2, narrow), wide))
        self.book.close()


class _JsonLinesWriter:
    """Writes each row of tables as a line of JSON, in which infinite numbers, too, are null."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.file = path.open("w", encoding="utf-8")

    def write_table(self, table: pa.Table) -> None:
        """Write the rows of a table below those written before."""
        for row in table.to_pylist():
            cells = {name: None if _is_no_number(cell) else cell for name, cell in row.items()}
            self.file.write(json.dumps(cells, default=str, ensure_ascii=False) + "\n")

    def close(self) -> None:
        """Complete the file."""
        self.file.close()


def _is_no_number(cell: Any) -> bool:
    """Whether JSON has no such number: NaN, or an infinite one."""
    return isinstance(cell, float) and not isfinite(cell)


def _tab_separated_writer(path: Path, schema: pa.Schema) -> Any:
    return pyarrow.csv.CSVWriter(path, schema, write_options=pyarrow.csv.WriteOptions(delimiter="\t"))


# The values of other columns differ from row to row: a dictionary of them would only take time.
_parquet_writer = partial(pyarrow.parquet.ParquetWriter, use_dictionary=["certainty"])
WRITERS: dict[str, Callable[[Path, pa.Schema], Any]] = {
    ".csv": pyarrow.csv.CSVWriter,
    ".tsv": _tab_separated_writer,
    ".parquet": _parquet_writer,
    ".xlsx": _WorkbookWriter,
    ".jsonl": _JsonLinesWriter,
    ".feather": lambda path, schema: pa.ipc.new_file(str(path), schema),
}


def check_output(output: str | None, example: str) -> Path:
    """The file to write; raises `UserError` if there is none, or one of another kind."""
    if output is None:
        raise UserError("the file to write is not named", "output", example)
    suffix = Path(output).suffix
    if suffix not in WRITERS:
        raise UserError(f"cannot write '{suffix}' files", f"output={output}", f"one of: {', '.join(WRITERS)}")
    return Path(output)


def check_unread(output: str, path: str, key: str) -> None:
    """Raise `UserError` if the output is what `key` reads at `path`, by whatever name, or would join it."""
    do = f"name another file: output=other{Path(output).suffix}"
    if _same(path, output):
        raise UserError(f"the output would replace what is read: {key}", f"output={output}", do)
    joins = Path(output).suffix and is_matched(output, path)  # next month's glob would find it
    if joins or ("://" not in path + output and any(_same(file, output) for file in _files(path))):
        raise UserError(f"the output would be read as a part of {key}={path}", f"output={output}", do)


def _files(path: str) -> list[str]:
    """The files that a path stands for, and the folder that a new file in it would join."""
    try:
        return list_files(str(Path(path).expanduser()))
    except UserError:  # the reader says what is wrong, where it is about to read
        return []


def _same(path: str, output: str) -> bool:
    """Whether two names mean the same file or folder, through links and spellings."""
    if "://" in path or "://" in output:
        return path.rstrip("/") == output.rstrip("/")
    first, second = Path(path).expanduser(), Path(output).expanduser()
    if first.exists() and second.exists():
        return first.samefile(second)
    inside = first.is_dir() and second.suffix and second.parent.resolve() == first.resolve()
    return bool(inside) or first.resolve() == second.resolve()


def check_sheet(rows: int) -> None:
    """Raise `UserError` for more rows than a sheet of a workbook has below its header."""
    if rows >= SHEET_ROWS:
        what = f"a sheet of a workbook has {SHEET_ROWS:,} rows, and these are more"
        raise UserError(what, "output", "name a .csv or .parquet file")


def write_tables(tables: Iterator[pa.Table], output: Path) -> int:
    """Write the tables, one after the other, to a file that appears whole; gives the number of rows.

    Raises `UserError` if there is no table.
    """
    first = next(tables, None)
    if first is None:
        raise UserError("there are no customers to score", "input")
    rows = 0
    with atomic_write(output, PERSONAL) as temporary:
        writer = WRITERS[output.suffix](temporary, _plain(first).schema)
        with closing(writer):
            for table in chain([first], tables):
                writer.write_table(_plain(table))
                rows += len(table)
    return rows


def _plain(table: pa.Table) -> pa.Table:
    """The table without dictionaries, which some kinds of files cannot hold."""
    return pa.table([decode_dictionary(column) for column in table.itercolumns()], table.column_names)
