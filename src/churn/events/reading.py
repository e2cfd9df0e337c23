"""Text tables, and tables in which times or numbers are text, as typed Parquet files; every cell checked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pandas.api import types

from churn.config.data import BigQueryConfig, DataConfig
from churn.config.events import EventsConfig, TableConfig
from churn.data.infer.cells import MISSING_WORDS, OTHER_DATE, to_numbers, to_text, to_times
from churn.data.sources import files, parquet, warehouse
from churn.data.sources.chunk import Chunk
from churn.errors import UserError, did_you_mean
from churn.events.definition import BIGQUERY, columns_of

ROWS = 200_000  # read at a time
SHOWN = 10  # cells named in a message
TIMES = {"time", "arrival", "begin", "end", "since", "dates"}  # keys of columns of times
NUMBERS = {"values", "numeric"}
ZONE = r"(?:Z|UTC|[+-][0-9]{2}:?[0-9]{2})$"
CLOCK = r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?"
UNIX = r"[0-9]{9,16}"  # seconds, milli- or microseconds since 1970


@dataclass
class Reading:
    """What was found while a table was read."""

    bad_rows: int = 0
    bad_cells: list[str] = field(default_factory=list)  # the first of them, for a message
    zoned: dict[str, int] = field(default_factory=dict)  # times with a zone, by column
    unzoned: dict[str, int] = field(default_factory=dict)  # and without
    example: dict[tuple[str, bool], str] = field(
        default_factory=dict
    )  # the first of each kind, with its place
    whole_days: dict[str, bool] = field(default_factory=dict)  # whether no time of a column has a time of day


def table_place(cfg: EventsConfig, spec: TableConfig) -> str:
    """Where a table is: its path, below the folder of the definition."""
    path = str(spec.path)
    return path if "://" in path or cfg.folder is None else str(Path(cfg.folder) / path)


def read_chunks(place: str, spec: TableConfig, billed: BigQueryConfig) -> Iterator[Chunk]:
    """The columns of a table that are needed, a chunk at a time; raises `UserError` if one is not there."""
    cfg = DataConfig(
        bigquery=billed,
        delimiter=spec.delimiter,
        encoding=spec.encoding,
        decimal=spec.decimal,
        thousands=spec.thousands,
    )
    read = warehouse.bigquery_chunks if place.startswith(BIGQUERY) else files.file_chunks
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


def write_typed(chunks: Iterable[Chunk], spec: TableConfig, file: Path, place: str, allowed: int) -> Reading:
    """Write a table as a Parquet file of texts, numbers and times; those with a zone are UTC, unsaid.

    Rows with a cell that cannot be read are left out, up to `allowed` of them. Raises `UserError` if there
    are more, or if a column mixes times with and without a zone.
    """
    found, writer = Reading(), None
    try:
        for chunk in chunks:
            table = _typed(chunk, spec, found)
            writer = writer or pq.ParquetWriter(file, table.schema)
            writer.write_table(table)
    finally:
        if writer:
            writer.close()
    _refuse_mixed_zones(found, place)
    if found.bad_rows > allowed:
        listed = "\n    ".join(found.bad_cells)
        raise UserError(
            f"{found.bad_rows:,} rows cannot be read:\n    {listed}",
            place,
            "correct them; times are written like 2026-11-24 or 2026-11-24T12:00:00Z; or leave the rows "
            f"out: events.max_bad_rows={found.bad_rows}",
        )
    return found


def _typed(chunk: Chunk, spec: TableConfig, found: Reading) -> pa.Table:
    """The readable rows of a chunk."""
    frame = parquet.to_pandas(chunk.table)
    columns, bad = {}, np.zeros(len(frame), bool)
    for name, key in columns_of(spec).items():
        if key in TIMES:
            columns[name], wrong = _times(frame[name], name, chunk, found)
        elif key in NUMBERS:
            columns[name], wrong = _numbers(frame[name], spec)
        else:
            columns[name], wrong = pa.array(to_text(frame[name]), pa.string()), np.zeros(len(frame), bool)
        for row in np.flatnonzero(wrong)[: SHOWN - len(found.bad_cells)]:
            what = "not a time" if key in TIMES else "not a number"
            cell = to_text(frame[name].iloc[[row]]).iloc[0][:60]
            found.bad_cells.append(
                f"{chunk.file}, line {chunk.lines[row]}, column '{name}': '{cell}' is {what}"
            )
        bad |= wrong
    for broken in chunk.broken[: SHOWN - len(found.bad_cells)]:
        found.bad_cells.append(f"{chunk.file}, line {broken.line}: {broken.reason}")
    found.bad_rows += int(bad.sum()) + len(chunk.broken)
    return pa.table(columns).filter(pa.array(~bad))


def _numbers(column: pd.Series, spec: TableConfig) -> tuple[pa.Array, np.ndarray]:
    """Numbers, missing where a cell is blank or a usual word for it, and which cells are neither."""
    words = (
        {word for word in column.dropna().unique() if str(word).lower() in MISSING_WORDS}
        if column.dtype == "str"
        else set()
    )
    value, no_number, too_large = to_numbers(column, words, spec.decimal, spec.thousands)
    return pa.array(value, pa.float64(), from_pandas=True), no_number | too_large


def _times(column: pd.Series, name: str, chunk: Chunk, found: Reading) -> tuple[pa.Array, np.ndarray]:
    """Times without a zone (UTC of those that have one), and which cells are none; blank ones are missing."""
    if types.is_datetime64_any_dtype(column.dtype):
        zoned = np.full(len(column), getattr(column.dt, "tz", None) is not None)
        time = pd.to_datetime(column, utc=True).dt.tz_localize(None)
        blank = column.isna().to_numpy()
    else:
        text = to_text(column)
        time, zoned, blank = *parse_times(text), (text == "").to_numpy()
    missing = time.isna().to_numpy()
    known = ~missing
    for has_zone, counts in ((True, found.zoned), (False, found.unzoned)):
        rows = np.flatnonzero(known & (zoned == has_zone))
        counts[name] = counts.get(name, 0) + len(rows)
        if len(rows) and (name, has_zone) not in found.example:
            found.example[name, has_zone] = f"line {chunk.lines[rows[0]]}: '{column.iloc[rows[0]]}'"
    at_midnight = bool((time[known] == time[known].dt.normalize()).all())
    found.whole_days[name] = found.whole_days.get(name, True) and at_midnight
    return pa.array(time, pa.timestamp("us"), from_pandas=True), missing & ~blank


def parse_times(text: pd.Series) -> tuple[pd.Series, np.ndarray]:
    """Times of texts (UTC of those with a zone; NaT where they are none), and [n] which have a zone.

    ISO 8601; days or months first, such as 24.11.2026 12:30; seconds, milli- or microseconds since 1970.
    """
    unix = text.str.fullmatch(UNIX).to_numpy(bool)
    zoned = (text.str.contains(rf"[T ].*{ZONE}") | unix).to_numpy(bool)
    plain = text.mask(unix, "")
    other = plain.str.match(OTHER_DATE).to_numpy(bool)
    time = pd.to_datetime(plain.mask(other, ""), format="ISO8601", utc=True, errors="coerce").dt.tz_localize(
        None
    )
    time = time.astype("datetime64[us]")
    if other.any():
        time[other] = _day_and_clock(plain[other])
    if unix.any():
        number = text[unix].astype("int64")
        digits = 10 ** (3 * ((number >= 10**11).astype(int) + (number >= 10**14).astype(int)))
        time[unix] = pd.to_datetime(number / digits, unit="s").astype("datetime64[us]")
    return time, zoned


def _day_and_clock(text: pd.Series) -> pd.Series:
    """Times of texts with a day in another order than ISO's, and a time of day or none."""
    parts = text.str.extract(rf"^({re.sub(r'[(]([?]:)?', '(?:', OTHER_DATE)})(?:[T ]+(.*))?$")
    dates = parts[0].fillna("")
    dates.name = text.name
    day, no_day = to_times(dates)
    clock = parts[1].fillna("0:00")
    wrong = ~clock.str.fullmatch(CLOCK).to_numpy(bool) | no_day
    seconds = pd.to_timedelta(
        clock.where(~wrong, "0:00").str.replace(r"^([^:]*:[^:]*)$", r"\1:00", regex=True)
    )
    time = pd.Series(day, text.index).astype("datetime64[us]") + seconds
    return time.mask(wrong)


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
