"""Sheets of workbooks (xlsx, xlsm, xls, xlsb, ods) as chunks.

A text cell stays text, however much it looks like a number; whole numbers have no ".0"; percents are shares.
"""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from typing import IO, Any
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn.config.data import DataConfig
from churn.data.sources.chunk import Chunk
from churn.data.sources.columns import cell_text, from_python, kinds_of
from churn.data.sources.header import Record, find_layout
from churn.data.sources.paths import SourceFile
from churn.data.spelling import NULL_MARKS
from churn.errors import UserError, count, did_you_mean, missing_extra, quoted, shell_setting

SAMPLE = 500  # rows from which the header is recognised
PIECE = 1 << 24  # bytes of XML in memory at a time
Cells = list[list[Any]]


def workbook_chunks(source: SourceFile, cfg: DataConfig, rows: int) -> Iterator[Chunk]:
    """A sheet in chunks of at most `rows` rows; the first has the columns and no rows.

    It is the sheet `cfg.sheet`, else the only visible one that is a table. Raises `UserError` that lists the
    sheets if that is not clear.
    """
    book = _open(source)
    sheet, note = _choose_sheet(book, source, cfg)
    cells = sheet.to_python()
    top, left = sheet.start or (0, 0)
    names, begin, end = _header(cells, f"{source.name}, sheet {quoted(sheet.name)}", top, cfg)
    rows_with_cells = [i for i in range(end, len(cells)) if any(cell != "" for cell in cells[i])]
    kept = [cells[i] for i in rows_with_cells]
    marked = Counter(_error_cells(source, sheet.name, names, (top + end, left)))
    table = pa.table([_column(kept, i, names[i], marked, cfg.decimal) for i in range(len(names))], names)
    numbers = np.array(rows_with_cells, int) + top + 1
    note += f", {count(begin, 'row')} before the header skipped" * (begin > 0)
    yield Chunk(source.name, table.slice(0, 0), numbers[:0], note, unit="row", typed=True, marked=+marked)
    for first in range(0, len(table), rows):
        piece = table.slice(first, rows)
        yield Chunk(source.name, piece, numbers[first : first + rows], note, unit="row", typed=True)


def _open(source: SourceFile) -> Any:
    try:
        import python_calamine
    except ImportError:
        raise missing_extra("python-calamine", "tables") from None
    try:
        with source.path.open("rb") as file:
            return python_calamine.CalamineWorkbook.from_filelike(file)
    except python_calamine.PasswordError:
        raise UserError("the workbook needs a password", source.name, "save it without one") from None
    except (python_calamine.CalamineError, OSError) as error:
        what = f"this is no workbook, or it is damaged: {error}"
        raise UserError(what, source.name, "open it in the spreadsheet program and save it again") from None


def _choose_sheet(book: Any, source: SourceFile, cfg: DataConfig) -> tuple[Any, str]:
    """The sheet to read, and a phrase for the terminal."""
    import python_calamine

    if cfg.sheet is not None and cfg.sheet in book.sheet_names and (sheet := _sheet(book, cfg.sheet)):
        return sheet, f"sheet {quoted(cfg.sheet)}"
    visible = [s.name for s in book.sheets_metadata if s.visible == python_calamine.SheetVisibleEnum.Visible]
    hidden = [name for name in book.sheet_names if name not in visible]
    sheets = {name: _sheet(book, name) for name in book.sheet_names}
    sizes = {name: (sheet.height, sheet.width) if sheet else (0, 0) for name, sheet in sheets.items()}
    listed = ", ".join(
        f"{quoted(name)} ({count(rows, 'row')}, {count(columns, 'column')}{', hidden' * (name in hidden)})"
        for name, (rows, columns) in sizes.items()
    )
    if cfg.sheet is not None:
        what = f"there is no sheet {quoted(cfg.sheet)}{did_you_mean(cfg.sheet, sizes)}"
        raise UserError(what, f"{source.name}: {listed}", "see data.sheet")
    filled = [name for name in visible if sizes[name][0] > 1]
    tables = [name for name in filled if sizes[name][1] > 1] or filled  # a list of ids has one column
    if len(tables) != 1:
        what = "several sheets may be the table" if tables else "no visible sheet is a table"
        example = next(iter(tables or sizes), "NAME")
        raise UserError(what, f"{source.name}: {listed}", f"name it: {shell_setting('data.sheet', example)}")
    others = count(len(visible) - 1, "other sheet") + f", {len(hidden)} hidden" * (len(hidden) > 0)
    return sheets[tables[0]], f"sheet {quoted(tables[0])}" + f" ({others})" * (len(sizes) > 1)


def _sheet(book: Any, name: str) -> Any:
    """The sheet of this name; None for one of another kind, such as a chart."""
    import python_calamine

    try:
        return book.get_sheet_by_name(name)
    except python_calamine.CalamineError:
        return None


def _header(cells: Cells, place: str, top: int, cfg: DataConfig) -> tuple[list[str], int, int]:
    """The names of the columns, the rows before the header, and those before the first row of the table."""
    skipped = cfg.skip_lines or 0
    sample = [[_text(cell) for cell in row] for row in cells[skipped : skipped + SAMPLE]]
    layout = find_layout(
        [Record(i, i + 1, row) for i, row in enumerate(sample, skipped)], cfg.skip_lines is not None
    )
    if layout is None:
        raise UserError("the sheet is empty", place, "see data.sheet")
    if not layout.named and cfg.skip_lines is None:
        shown = ", ".join(layout.columns[:5])
        raise UserError(
            f"the table has no header: its first row reads like data ({shown}, ...)",
            f"{place}, row {top + layout.header + 1}",
            "add a first row with the column names; if this row has them: data.skip_lines=0",
        )
    names = [column or f"Unnamed: {i}" for i, column in enumerate(layout.columns)]
    return names, layout.header, layout.end


def _text(cell: Any) -> str:
    return cell.strip() if isinstance(cell, str) else cell_text(cell)


def _column(rows: Cells, position: int, name: str, marked: Counter[str], decimal: str) -> pa.Array:
    """A column of a sheet; texts that are errors are missing and counted."""
    cells = [row[position] for row in rows]
    kinds = kinds_of(cells)
    if str not in kinds:
        return from_python(cells, decimal)
    if not set(cells).isdisjoint(NULL_MARKS):
        marked[name] += sum(cell in NULL_MARKS for cell in cells)
        cells = ["" if cell in NULL_MARKS else cell for cell in cells]
    if kinds == {str}:
        return pc.utf8_trim_whitespace(pa.array(cells, pa.string()))
    return from_python([cell.strip() if isinstance(cell, str) else cell for cell in cells], decimal)


def _error_cells(source: SourceFile, sheet: str, names: list[str], corner: tuple[int, int]) -> Iterator[str]:
    """The column of each cell of an xlsx file with an error such as #N/A, which its reader gives as blank.

    `corner`: the first row below the header, and the first column, from 0.
    """
    if not zipfile.is_zipfile(source.path):
        return
    with zipfile.ZipFile(source.path) as archive:
        path = _sheet_path(archive, sheet)
        if path not in archive.namelist():
            return
        with archive.open(path) as content:
            for letters, digits in _error_places(content):
                column, row = _column_number(letters) - corner[1], int(digits) - 1
                if row >= corner[0] and 0 <= column < len(names):
                    yield names[column]


def _error_places(content: IO[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """The column and row of each error in a sheet's XML, which is read piece by piece."""
    rest = b""
    while piece := content.read(PIECE):
        rest += piece
        whole = rest.rfind(b"<c ")
        if b't="e"' in rest:
            yield from re.findall(rb'<c r="([A-Z]+)([0-9]+)"[^>]* t="e"', rest[:whole])
        rest = rest[whole:]
    yield from re.findall(rb'<c r="([A-Z]+)([0-9]+)"[^>]* t="e"', rest)


def _sheet_path(archive: zipfile.ZipFile, sheet: str) -> str:
    """The member of an xlsx file with a sheet's cells; "" for other workbooks."""
    if "xl/workbook.xml" not in archive.namelist():
        return ""
    with archive.open("xl/workbook.xml") as book, archive.open("xl/_rels/workbook.xml.rels") as links:
        sheets = {element.get("name"): element for element in ElementTree.parse(book).iter()}
        targets = {
            element.get("Id"): element.get("Target", "") for element in ElementTree.parse(links).iter()
        }
    link = (
        next((v for k, v in sheets[sheet].attrib.items() if k.endswith("}id")), None)
        if sheet in sheets
        else None
    )
    target = targets.get(link, "")
    return target.lstrip("/") if target.startswith("/") else f"xl/{target}"


def _column_number(letters: bytes) -> int:
    """The number, from 0, of a column of a sheet: A is 0, AA is 26."""
    number = 0
    for letter in letters:
        number = number * 26 + letter - ord("A") + 1
    return number - 1
