"""Reads logged predictions: the log of `churn serve` and Vertex AI's request-response table in the same form.

A chunk is an Arrow table with one row per answered customer and the columns

- `request_id` (string), `row` (int32, position in the request), `time` (UTC timestamp of the answer),
- `bundle` (string: the bundle's digest; in Vertex AI's table the id of the deployed model),
- `customer_key` (string, "" if the client sent none),
- `inputs.<name>` for each input of the bundle: numbers as float64, null if missing; categories as string,
- `outputs.<name>` for each of its outputs: `outputs.churn_probability`, `outputs.churn`, ...
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from churn.data.contract import CUSTOMER_KEY
from churn.errors import UserError, count
from churn.serve.log.broken import UNREADABLE, BrokenParts
from churn.serve.log.chunk import assemble, struct_fields
from churn.serve.log.lines_file import LinesFile

LINES = ".jsonl"
CHUNK_ROWS = 50_000
READ_BYTES = 1 << 18  # of a Parquet column at a time, instead of the whole column of a row group
COLUMNS = {"request_id", "row", "time", "bundle", CUSTOMER_KEY}
OPAQUE = ("request_id", "bundle", "customer_key")  # texts that seldom repeat


def read_log(
    path: Path, since: datetime | None = None, until: datetime | None = None, coded: bool = False
) -> Iterator[pa.Table]:
    """Chunks of the log in the folder (or Parquet file) `path`, oldest file first; since <= time < until.

    Times without a zone are UTC. Lines that are not yet compacted are read, too, and no line twice, even
    while the server goes on writing. A Parquet file with a column `request_payload` counts as an export of
    Vertex AI's table. Chunks of different bundles may have different columns. coded: categories may be
    dictionary arrays, which is faster. What cannot be read is named, counted and left out; raises `UserError`
    if `path` is such a file itself.

    >>> pa.concat_tables(read_log(Path("runs/log"), since=datetime(2026, 3, 1)))
    """
    broken = BrokenParts()
    for file in _log_files(path):
        with broken.guard(file):
            for table in file_chunks(file, coded, broken):
                rows = filter_period(table, since, until)
                if rows.num_rows:
                    yield rows
    if broken.files and not path.is_dir():
        raise UserError("this is no part of a log", str(path), "name another: monitor.log=PATH")


def _log_files(path: Path) -> list[Path]:
    """The files to read; a Parquet file replaces lines of the same name."""
    if not path.is_dir():
        return [path]
    # Lines first: a file that is compacted between the two listings is then in the second one.
    by_name = {file.stem: file for file in path.glob(f"[!.]*{LINES}")}
    by_name |= {file.stem: file for file in path.glob("[!.]*.parquet")}
    return [by_name[name] for name in sorted(by_name)]


def file_chunks(file: Path, coded: bool = False, broken: BrokenParts | None = None) -> Iterator[pa.Table]:
    """The chunks of one file of the log, of lines or Parquet; raises what `BrokenParts.guard` takes."""
    if file.exists() and not file.is_file():
        raise ValueError("it is not a file")
    if file.suffix == LINES:
        try:
            lines = LinesFile(file)
        except FileNotFoundError:  # it was compacted after the folder was listed
            compacted = file.with_suffix(".parquet")
            if compacted.exists():  # else it had no lines
                yield from _parquet_chunks(compacted, coded)
            return
        yield from lines.chunks()
        (broken or BrokenParts()).report_lines(file, [number for number, _ in lines.broken])
    else:
        yield from _parquet_chunks(file, coded)


def _parquet_chunks(file: Path, coded: bool) -> Iterator[pa.Table]:
    """The chunks of a compacted file, or of an export of Vertex AI's table."""
    schema = pq.read_schema(file)
    vertex = "request_payload" in schema.names
    if not vertex:
        _check_columns(schema)
    texts = [
        field.name
        for field in schema
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
    ]
    dictionaries = [name for name in texts if name not in OPAQUE] if coded and not vertex else []
    with pq.ParquetFile(file, read_dictionary=dictionaries, buffer_size=READ_BYTES) as parquet:
        batches = parquet.iter_batches(CHUNK_ROWS)
        tables = (pa.Table.from_batches([batch]).replace_schema_metadata() for batch in batches)
        yield from from_vertex(tables, str(file)) if vertex else tables


def _check_columns(schema: pa.Schema) -> None:
    """Raise ValueError for a table that is no part of a log."""
    if missing := COLUMNS - set(schema.names):
        raise ValueError(f"it is no part of a log: there is no column {', '.join(sorted(missing))}")
    if not pa.types.is_timestamp(schema.field("time").type):
        raise ValueError("it is no part of a log: the column time holds no times")


def filter_period(table: pa.Table, since: datetime | None, until: datetime | None) -> pa.Table:
    """The rows with since <= time < until; None is no bound."""
    for limit, compare in ((since, pc.greater_equal), (until, pc.less)):
        if limit is not None:
            bound = limit if limit.tzinfo else limit.replace(tzinfo=UTC)
            table = table.filter(compare(table["time"], pa.scalar(bound, table["time"].type)))
    return table


def from_vertex(tables: Iterable[pa.Table], origin: str) -> Iterator[pa.Table]:
    """Chunks from parts of Vertex AI's request-response table; says how many requests cannot be read.

    The table has the columns endpoint, deployed_model_id, logging_time, request_id, and the two payloads in
    JSON: a list with one text per row, or one text with "instances" or "predictions".
    """
    unreadable = 0
    for table in tables:
        cells = zip(*(table[f"{name}_payload"].to_pylist() for name in ("request", "response")), strict=True)
        answered = [_answered_rows(request, response) for request, response in cells]
        unreadable += answered.count(None)
        if any(answered):
            yield _vertex_chunk(table, [rows or [] for rows in answered])
    if unreadable:
        what = f"{count(unreadable, 'request')} without an answer that can be read"
        print(f"churn: {origin}: {what}: left out", file=sys.stderr)


def _vertex_chunk(table: pa.Table, answered: list[list[tuple[dict[str, Any], dict[str, Any]]]]) -> pa.Table:
    """A chunk with the instances and the answers [n] of the requests of a table."""
    request = np.repeat(np.arange(len(answered)), [len(rows) for rows in answered])
    instances, answers = zip(*(pair for rows in answered for pair in rows), strict=True)
    return assemble(
        {
            "request_id": table["request_id"].cast(pa.string()).take(request),
            "row": pa.array([i for rows in answered for i in range(len(rows))], pa.int32()),
            "time": table["logging_time"].cast(pa.timestamp("us", "UTC")).take(request),
            "bundle": table["deployed_model_id"].cast(pa.string()).take(request),
        },
        struct_fields(_to_structs(instances)),
        _to_structs(answers),
    )


def _answered_rows(request: Any, response: Any) -> list[tuple[dict[str, Any], dict[str, Any]]] | None:
    """Each instance of a request with its answer; None if they cannot be read, or do not fit."""
    try:
        pairs = list(
            zip(_payload_rows(request, "instances"), _payload_rows(response, "predictions"), strict=True)
        )
    except UNREADABLE:
        return None
    rows = all(isinstance(one, dict) for pair in pairs for one in pair)
    return pairs if rows and not any("error" in answer for _, answer in pairs) else None


def _payload_rows(cell: str | list[str], name: str) -> list[dict[str, Any]]:
    parsed = [json.loads(text) for text in ([cell] if isinstance(cell, str) else cell)]
    if len(parsed) == 1 and isinstance(parsed[0].get(name), list):
        rows: list[dict[str, Any]] = parsed[0][name]
        return rows
    return parsed


def _to_structs(rows: Iterable[dict[str, Any]]) -> pa.StructArray:
    """Rows as an Arrow array. Every number is a float, because JSON does not distinguish 3 from 3.0."""
    return pa.array([{k: float(v) if type(v) is int else v for k, v in row.items()} for row in rows])
