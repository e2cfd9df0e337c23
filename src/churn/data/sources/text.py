"""Text files as chunks: every cell as text, with the line of each row."""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from itertools import chain, islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from churn.config.data import DataConfig
from churn.data.sources.chunk import BrokenRow, Chunk
from churn.data.sources.compressed import open_bytes
from churn.data.sources.dialect import Dialect, parse_records, recognise_dialect
from churn.data.sources.encodings import open_text
from churn.data.sources.paths import SourceFile
from churn.errors import UserError


def text_chunks(source: SourceFile, cfg: DataConfig, rows: int) -> Iterator[Chunk]:
    """A text file in chunks of at most `rows` rows; the first has the columns and no rows.

    Raises `UserError` for a file that is no table, or whose quotes do not match.
    """
    dialect = recognise_dialect(source, cfg)
    names = [name or f"Unnamed: {i}" for i, name in enumerate(dialect.columns)]  # as pandas calls them
    no_rows = pa.table([pa.array([], pa.string())] * len(names), names)
    yield Chunk(source.name, no_rows, np.empty(0, int), dialect.note())
    line = dialect.first_row + 1
    with _open_lines(source, dialect) as content:
        deque(islice(content, dialect.first_row), maxlen=0)
        while block := list(islice(content, rows)):
            broken: list[BrokenRow] = []
            table, after = _parse_plain_lines(block, dialect), line + len(block)
            lines = np.arange(line, after)
            if table is None:
                table, lines, broken, after = _parse_records_one_by_one(block, content, line, dialect, source)
            if not (kept := ~_blank_rows(table)).all():
                table, lines = table.filter(pa.array(kept)), lines[kept]
            yield Chunk(source.name, table.rename_columns(names), lines, dialect.note(), tuple(broken))
            line = after


@contextmanager
def _open_lines(source: SourceFile, dialect: Dialect) -> Iterator[Iterator[bytes]]:
    """The lines of a file as UTF-8; those that are so already are not decoded."""
    if dialect.plain_lines:
        with open_bytes(source) as stream:
            yield iter(stream)
    else:
        with open_text(source, dialect.encoding) as text:
            yield (line.encode() for line in text)


def _parse_plain_lines(block: list[bytes], dialect: Dialect) -> pa.Table | None:
    """The cells of lines that are one row each, by Arrow's fast parser.

    None if a line is blank, a cell has several lines, or a row has too few or too many cells.
    """
    content = b"".join(block)
    blank_before_quote = rf'(?:^|{re.escape(dialect.delimiter)}) +"'.encode()
    if content.count(b'"') % 2 or (b'"' in content and re.search(blank_before_quote, content, re.MULTILINE)):
        return None
    names = [str(i) for i in range(len(dialect.columns))]
    try:
        table = pa.csv.read_csv(
            BytesIO(content),
            pa.csv.ReadOptions(column_names=names, block_size=len(content) + 1, use_threads=False),
            pa.csv.ParseOptions(delimiter=dialect.delimiter, newlines_in_values=True),
            pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
        )
    except pa.ArrowInvalid:
        return None
    if len(table) != len(block):
        return None
    return pa.table({name: pc.utf8_trim_whitespace(table[name]) for name in names})


def _parse_records_one_by_one(
    block: list[bytes], rest: Iterator[bytes], line: int, dialect: Dialect, source: SourceFile
) -> tuple[pa.Table, np.ndarray, list[BrokenRow], int]:
    """The rows that begin in `block`, by Python's parser; `line` is the number of the block's first line.

    Gives the cells, the line of each row, the rows that do not fit the header, and the number of the next
    line. If the last row goes on after the block, its lines are taken from `rest`.
    """
    rows, lines, broken, end = [], [], [], 0
    try:
        lines_of_text = (text.decode() for text in chain(block, rest))
        for start, end, cells in parse_records(lines_of_text, dialect.delimiter):
            if (row := _fit_to_header(cells, dialect.columns)) is not None:
                rows.append(row)
                lines.append(line + start)
            else:
                reason = f"the row has {len(cells)} cells, the header {len(dialect.columns)}"
                broken.append(BrokenRow(line + start, dialect.delimiter.join(cells), reason))
            if end >= len(block):
                break
    except csv.Error as error:
        raise UserError(
            f"the quotes of this row do not match ({error})",
            f"{source.name}, line {line + end}",
            'close each quoted cell, and double the quotes inside it ("")',
        ) from None
    columns = zip(*rows, strict=True) if rows else [()] * len(dialect.columns)
    table = pa.table(
        [pa.array(cells, pa.string()) for cells in columns], [str(i) for i in range(len(dialect.columns))]
    )
    return table, np.array(lines, dtype=int), broken, line + end


def _fit_to_header(record: Sequence[str], columns: tuple[str, ...]) -> list[str] | None:
    """The cells of a row, one for each column; None if there are too many or too few.

    Blank cells beyond the header do not count; cells of the last columns without a name may be absent.
    """
    cells = list(record)
    named = max((i for i, name in enumerate(columns, 1) if name), default=0)
    if not any(cells):
        cells = [""] * len(columns)
    if len(cells) < named or any(cells[len(columns) :]):
        return None
    return (cells + [""] * (len(columns) - len(cells)))[: len(columns)]


def _blank_rows(table: pa.Table) -> np.ndarray:
    """[n] whether all cells of a row are blank, as in the rows that spreadsheets write below a table."""
    blank = np.ones(len(table), dtype=bool)
    for column in table.itercolumns():
        if not blank.any():
            break
        blank &= pc.equal(column, "").to_numpy()
    return blank
