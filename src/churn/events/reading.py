"""Text tables, and tables in which times or numbers are text, as typed Parquet files; every cell checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pandas.api import types

from churn.config.data import BigQueryConfig, DataConfig
from churn.config.events import EventsConfig, TableConfig
from churn.data.infer.cells import MISSING_WORDS, AmbiguousDatesError, as_written, to_ids, to_numbers, to_text
from churn.data.sources import files, warehouse
from churn.data.sources.chunk import Chunk
from churn.data.sources.columns import is_text, to_pandas
from churn.data.table import NoRowsError
from churn.errors import UserError, count, did_you_mean
from churn.events.definition import BIGQUERY, columns_of
from churn.events.number_marks import note_shapes, settings_for, surely_read
from churn.events.times import parse_times, shown_orders

ROWS = 200_000  # read at a time
SHOWN = 10  # cells named in a message
TIMES = {"time", "arrival", "begin", "end", "since", "dates"}  # keys of columns of times
NUMBERS = {"values", "numeric"}


@dataclass
class Reading:
    """What was found while a table was read."""

    bad_rows: int = 0
    bad_cells: list[str] = field(default_factory=list)  # the first of them, for a message
    zoned: dict[str, int] = field(default_factory=dict)  # times with a zone, by column
    unzoned: dict[str, int] = field(default_factory=dict)  # and without
    example: dict[tuple[str, bool], str] = field(default_factory=dict)  # the first of each, with its place
    bad_numbers: dict[str, list[str]] = field(default_factory=dict)  # the first of them, by column
    # By column, numbers that were read and surely have a decimal mark, less cells that are no numbers.
    read_marks: dict[str, int] = field(default_factory=dict)
    day_first: dict[str, bool] = field(default_factory=dict)  # whether days come before months, by column
    shapes: dict[str, dict[str, str]] = field(default_factory=dict)  # `churn.events.number_marks`, by column


def table_place(cfg: EventsConfig, spec: TableConfig) -> str:
    """Where a table is: its path, below the folder of the definition."""
    path = str(spec.path)
    return path if "://" in path or cfg.folder is None else str(Path(cfg.folder) / path)


def read_chunks(place: str, spec: TableConfig, billed: BigQueryConfig) -> Iterator[Chunk]:
    """The columns of a table that are needed, a chunk at a time; raises `UserError` if one is not there.

    A table without rows has one chunk without any: months without an event are no error.
    """
    cfg = DataConfig(
        bigquery=billed,
        delimiter=spec.delimiter,
        encoding=spec.encoding,
        decimal=spec.decimal,
        thousands=spec.thousands,
    )
    read = warehouse.bigquery_chunks if place.startswith(BIGQUERY) else files.file_chunks
    with suppress(NoRowsError):
        for chunk in read(place, cfg, ROWS):
            check_columns(chunk.table.column_names, spec, place)
            yield chunk._replace(table=chunk.table.select(list(columns_of(spec))))


def check_columns(present: list[str], spec: TableConfig, place: str) -> None:
    """Refuse a table without the columns that the definition names."""
    for name, key in columns_of(spec).items():
        if name not in present:
            raise UserError(
                f"there is no column '{name}'{did_you_mean(name, present)}",
                place,
                f"the key '{key}' names it; there are: {', '.join(present[:20])}",
            )


def write_typed(
    chunks: Callable[[], Iterable[Chunk]], spec: TableConfig, file: Path, place: str, keys: str, allowed: int
) -> Reading:
    """Write a table as a Parquet file of texts, numbers and times; those with a zone are UTC, unsaid.

    Rows with a cell that cannot be read are left out, up to `allowed` of them. Raises `UserError` if there
    are more, or if a column mixes times with and without a zone. `keys`: those of the table, for messages.
    """
    try:
        found = _write_chunks(chunks(), spec, file, {})
    except AmbiguousDatesError:  # which later chunks may resolve
        found = _write_chunks(chunks(), spec, file, _date_orders(chunks(), spec))
    _refuse_mixed_zones(found, place)
    _refuse_bad_rows(found, spec, place, keys, allowed)
    return found


def _write_chunks(
    chunks: Iterable[Chunk], spec: TableConfig, file: Path, day_first: dict[str, bool]
) -> Reading:
    """Write what can be read, and note what cannot; `day_first` as far as it is known."""
    found, writer = Reading(day_first=day_first), None
    try:
        for chunk in chunks:
            table = _typed(chunk, spec, found)
            writer = writer or pq.ParquetWriter(file, table.schema)
            writer.write_table(table)
    finally:
        if writer:
            writer.close()
    return found


def _date_orders(chunks: Iterable[Chunk], spec: TableConfig) -> dict[str, bool]:
    """Whether days come before months, for the columns of times whose dates show one order, and not both."""
    times = [name for name, key in columns_of(spec).items() if key in TIMES]
    shown: dict[str, set[bool]] = {name: set() for name in times}
    for chunk in chunks:
        for name in times:
            if is_text(chunk.table.schema.field(name).type):
                shown[name] |= shown_orders(as_written(to_pandas(chunk.table.select([name]))[name]))
    return {name: orders.pop() for name, orders in shown.items() if len(orders) == 1}


def _refuse_bad_rows(found: Reading, spec: TableConfig, place: str, keys: str, allowed: int) -> None:
    """Refuse a table with more unreadable rows than may be left out."""
    if found.bad_rows > allowed:
        cells = "\n    ".join(found.bad_cells)
        do = settings_for(found.bad_numbers, found.read_marks, spec, keys) or (
            "correct them; times are written like 2026-11-24 or 2026-11-24T12:00:00Z"
        )
        do += f"; or leave the rows out: events.max_bad_rows={found.bad_rows}"
        raise UserError(f"{count(found.bad_rows, 'row')} cannot be read:\n    {cells}", place, do)


def _typed(chunk: Chunk, spec: TableConfig, found: Reading) -> pa.Table:
    """The readable rows of a chunk."""
    frame = to_pandas(chunk.table)
    columns, bad = {}, np.zeros(len(frame), bool)
    for name, key in columns_of(spec).items():
        columns[name], wrong = _typed_column(frame[name], key, spec, chunk, found)
        _note_cells(frame[name], np.flatnonzero(wrong), key, chunk, found)
        bad |= wrong
    for broken in chunk.broken[: SHOWN - len(found.bad_cells)]:
        found.bad_cells.append(f"{chunk.file}, line {broken.line}: {broken.reason}")
    found.bad_rows += int(bad.sum()) + len(chunk.broken)
    return pa.table(columns).filter(pa.array(~bad))


def _typed_column(
    column: pd.Series, key: str, spec: TableConfig, chunk: Chunk, found: Reading
) -> tuple[pa.Array, np.ndarray]:
    """A column in the type that its key needs, and which cells cannot be read."""
    if key in TIMES:
        return _times(column, chunk, found)
    if key in NUMBERS:
        return _numbers(column, spec, found)
    read = {"customer": to_ids, "categories": to_text}.get(key, as_written)
    texts = read(column)
    return pa.array(texts, pa.string()), np.zeros(len(column), bool)


def _note_cells(column: pd.Series, rows: np.ndarray, key: str, chunk: Chunk, found: Reading) -> None:
    """Keep the first cells that cannot be read, for a message."""
    what = "not a time" if key in TIMES else "not a number"
    for row in rows[: SHOWN - len(found.bad_cells)]:
        place, cell = f"{chunk.file}, line {chunk.lines[row]}, column '{column.name}'", _cell(column, row)
        found.bad_cells.append(f"{place}: '{cell[:60]}' is {what}")
        if key in NUMBERS:
            found.bad_numbers.setdefault(str(column.name), []).append(cell)


def _cell(column: pd.Series, row: int) -> str:
    """A cell as it is written."""
    return str(as_written(column.iloc[[row]]).iloc[0])


def _numbers(column: pd.Series, spec: TableConfig, found: Reading) -> tuple[pa.Array, np.ndarray]:
    """Numbers, missing where a cell is blank or a usual word for it, and which cells are neither."""
    texts = pd.Series(column.dropna().unique() if column.dtype == "str" else [], dtype="str")
    words = {text for text in texts if text.lower() in MISSING_WORDS}
    rules = DataConfig(decimal=spec.decimal, thousands=spec.thousands)
    value, no_number, too_large = to_numbers(column, rules, words)
    wrong, name = no_number | too_large, str(column.name)
    if len(texts):
        note_shapes(texts[~texts.isin(column[wrong])], words, found.shapes.setdefault(name, {}))
        marks = surely_read(column[~wrong], spec.decimal) - int(wrong.sum())
        found.read_marks[name] = found.read_marks.get(name, 0) + marks
    return pa.array(value, pa.float64(), from_pandas=True), wrong


def _times(column: pd.Series, chunk: Chunk, found: Reading) -> tuple[pa.Array, np.ndarray]:
    """Times without a zone (UTC of those that have one), and which cells are none; blank ones are missing."""
    if types.is_datetime64_any_dtype(column.dtype):
        zoned = np.full(len(column), getattr(column.dt, "tz", None) is not None)
        time = pd.to_datetime(column, utc=True).dt.tz_localize(None)
        blank = column.isna().to_numpy()
    else:
        text = as_written(column)
        time, zoned, blank = *parse_times(text, found.day_first), (text == "").to_numpy()
    missing = time.isna().to_numpy()
    _note_zones(column, zoned, ~missing, chunk, found)
    return pa.array(time, pa.timestamp("us"), from_pandas=True), missing & ~blank


def _note_zones(
    column: pd.Series, zoned: np.ndarray, known: np.ndarray, chunk: Chunk, found: Reading
) -> None:
    """Count the times [n] with a zone and those without, and keep the first of each."""
    name = str(column.name)
    for has_zone, counts in ((True, found.zoned), (False, found.unzoned)):
        rows = np.flatnonzero(known & (zoned == has_zone))
        counts[name] = counts.get(name, 0) + len(rows)
        if len(rows) and (name, has_zone) not in found.example:
            found.example[name, has_zone] = f"line {chunk.lines[rows[0]]}: '{column.iloc[rows[0]]}'"


def _refuse_mixed_zones(found: Reading, place: str) -> None:
    """Refuse a column in which some times have a zone and others have none."""
    for name in found.zoned:
        if found.zoned[name] and found.unzoned[name]:
            raise UserError(
                f"column '{name}' mixes {found.zoned[name]:,} times with a zone "
                f"({found.example[name, True]}) and {found.unzoned[name]:,} without "
                f"({found.example[name, False]}): nobody can tell which came first",
                place,
                "write all of them with a zone, or all without (events.timezone says which that is)",
            )
