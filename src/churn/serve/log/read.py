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
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json
import pyarrow.parquet as pq

from churn.data.contract import CUSTOMER_KEY, MISSING_BELOW

LINES = ".jsonl"
BLOCK_BYTES = 8_000_000  # of lines read at a time
CHUNK_ROWS = 50_000
READ_BYTES = 1 << 18  # of a Parquet column at a time, instead of the whole column of a row group
OPAQUE = ("request_id", "bundle", "customer_key")  # texts that seldom repeat


def read_log(
    path: Path, since: datetime | None = None, until: datetime | None = None, coded: bool = False
) -> Iterator[pa.Table]:
    """Chunks of the log in the folder (or Parquet file) `path`, oldest file first; since <= time < until.

    Times without a zone are UTC. Lines that are not yet compacted are read, too, and no line twice, even
    while the server goes on writing. A Parquet file with a column `request_payload` counts as an export of
    Vertex AI's table. Chunks of different bundles may have different columns. coded: categories may be
    dictionary arrays, which is faster.

    >>> pa.concat_tables(read_log(Path("runs/log"), since=datetime(2026, 3, 1)))
    """
    for file in _log_files(path):
        for table in file_chunks(file, coded):
            rows = filter_period(table, since, until)
            if rows.num_rows:
                yield rows


def _log_files(path: Path) -> list[Path]:
    """The files to read; a Parquet file replaces lines of the same name."""
    if not path.is_dir():
        return [path]
    # Lines first: a file that is compacted between the two listings is then in the second one.
    by_name = {file.stem: file for file in path.glob(f"[!.]*{LINES}")}
    by_name |= {file.stem: file for file in path.glob("[!.]*.parquet")}
    return [by_name[name] for name in sorted(by_name)]


def file_chunks(file: Path, coded: bool = False) -> Iterator[pa.Table]:
    """The chunks of one file of the log, of lines or Parquet."""
    if file.suffix == LINES:
        try:
            _, chunks = read_lines_file(file)
        except FileNotFoundError:  # it was compacted after the folder was listed
            compacted = file.with_suffix(".parquet")
            chunks = file_chunks(compacted, coded) if compacted.exists() else iter(())  # or it had no lines
        yield from chunks
    else:
        yield from _parquet_chunks(file, coded)


def _parquet_chunks(file: Path, coded: bool) -> Iterator[pa.Table]:
    """The chunks of a compacted file, or of an export of Vertex AI's table."""
    schema = pq.read_schema(file)
    vertex = "request_payload" in schema.names
    texts = [
        field.name
        for field in schema
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
    ]
    dictionaries = [name for name in texts if name not in OPAQUE] if coded and not vertex else []
    with pq.ParquetFile(file, read_dictionary=dictionaries, buffer_size=READ_BYTES) as parquet:
        for batch in parquet.iter_batches(CHUNK_ROWS):
            table = pa.Table.from_batches([batch]).replace_schema_metadata()
            yield from_vertex(table) if vertex else table


def filter_period(table: pa.Table, since: datetime | None, until: datetime | None) -> pa.Table:
    """The rows with since <= time < until; None is no bound."""
    for limit, compare in ((since, pc.greater_equal), (until, pc.less)):
        if limit is not None:
            bound = limit if limit.tzinfo else limit.replace(tzinfo=UTC)
            table = table.filter(compare(table["time"], pa.scalar(bound, table["time"].type)))
    return table


def read_lines_file(file: Path) -> tuple[dict[str, Any], Iterator[pa.Table]]:
    """The header of a file of lines (see `churn.serve.log.lines`), and its chunks."""
    lines = file.open("rb")
    header = json.loads(lines.readline())
    return header, _chunks_of_lines(lines, header)


def _chunks_of_lines(lines: BinaryIO, header: dict[str, Any]) -> Iterator[pa.Table]:
    """The lines that follow as tables; closes the file.

    A line that a killed server did not finish is left out: its answer was never sent.
    """
    options = pyarrow.json.ParseOptions(
        explicit_schema=_line_schema(header), unexpected_field_behavior="ignore"
    )
    with lines:
        while block := lines.read(BLOCK_BYTES):
            block += lines.readline()
            whole = pa.py_buffer(block).slice(0, block.rfind(b"\n") + 1)
            if whole.size:
                reading = pyarrow.json.ReadOptions(use_threads=False, block_size=whole.size)
                requests = pyarrow.json.read_json(pa.BufferReader(whole), reading, options)
                yield _explode_requests(requests, header)


def _line_schema(header: dict[str, Any]) -> pa.Schema:
    outputs = {name: _arrow_type(kind) for name, kind in header["outputs"].items()}
    return pa.schema(
        {
            "request_id": pa.string(),
            "time": pa.timestamp("us", "UTC"),
            "numbers": pa.list_(pa.list_(pa.float64())),  # a list for each row, in the order of the header
            "texts": pa.list_(pa.list_(pa.string())),
            "predictions": pa.list_(pa.struct(list(outputs.items()))),
        }
    )


def _arrow_type(kind: str) -> pa.DataType:
    """The type of an output: "number", "integer", "text", or "list of" one of them."""
    if kind.startswith("list of "):
        return pa.list_(_arrow_type(kind.removeprefix("list of ")))
    return {"number": pa.float64(), "integer": pa.int64(), "text": pa.string()}[kind]


def _explode_requests(requests: pa.Table, header: dict[str, Any]) -> pa.Table:
    """From one row per request to one row per answered customer."""
    rows = requests["texts"].combine_chunks()
    request = pc.list_parent_indices(rows)
    first = np.searchsorted(request.to_numpy(), np.arange(len(requests)))  # row of each request
    columns = {
        "request_id": requests["request_id"].take(request),
        "row": pa.array((np.arange(len(request)) - first[request.to_numpy()]).astype(np.int32)),
        "time": requests["time"].take(request),
        "bundle": pa.repeat(pa.scalar(header["bundle"]), len(request)),
    }
    inputs = _to_columns(requests["numbers"].combine_chunks(), header["numbers"])
    inputs |= _to_columns(rows, header["texts"])
    outputs = requests["predictions"].combine_chunks().flatten()
    return _assemble(columns, inputs, outputs)


def _to_columns(rows: pa.ListArray, names: list[str]) -> dict[str, pa.Array]:
    """Columns by name, from rows whose values are in the order of the names."""
    values, width = rows.flatten().flatten(), len(names)
    return {name: values.take(pa.array(np.arange(i, len(values), width))) for i, name in enumerate(names)}


def _assemble(first: dict[str, Any], inputs: dict[str, pa.Array], outputs: pa.StructArray) -> pa.Table:
    """A chunk, its columns in the order that the docstring of this module gives."""
    columns = first | {CUSTOMER_KEY: inputs[CUSTOMER_KEY]}
    for name, values in inputs.items():
        if name != CUSTOMER_KEY:
            columns[f"inputs.{name}"] = _null_missing(values)
    for name, values in _struct_fields(outputs).items():
        if name != CUSTOMER_KEY:
            columns[f"outputs.{name}"] = values
    return pa.table(columns)


def _struct_fields(rows: pa.StructArray) -> dict[str, pa.Array]:
    return dict(zip(rows.type.names, rows.flatten(), strict=True))


def _null_missing(values: pa.Array) -> pa.Array:
    """Null in place of the number that means "missing"; other types as they are."""
    if not pa.types.is_floating(values.type):
        return values
    return pc.if_else(pc.less_equal(values, MISSING_BELOW), pa.scalar(None, values.type), values)


def from_vertex(table: pa.Table) -> pa.Table:
    """A chunk from rows of Vertex AI's request-response table.

    The table has the columns endpoint, deployed_model_id, logging_time, request_id, and the two payloads in
    JSON: a list with one text per row, or one text with "instances" or "predictions".
    """
    requests = [_payload_rows(cell, "instances") for cell in table["request_payload"].to_pylist()]
    responses = [_payload_rows(cell, "predictions") for cell in table["response_payload"].to_pylist()]
    request = np.repeat(np.arange(len(requests)), [len(rows) for rows in requests])
    return _assemble(
        {
            "request_id": table["request_id"].cast(pa.string()).take(request),
            "row": pa.array([i for rows in requests for i in range(len(rows))], pa.int32()),
            "time": table["logging_time"].cast(pa.timestamp("us", "UTC")).take(request),
            "bundle": table["deployed_model_id"].cast(pa.string()).take(request),
        },
        _struct_fields(_to_structs([row for rows in requests for row in rows])),
        _to_structs([row for rows in responses for row in rows]),
    )


def _payload_rows(cell: str | list[str], name: str) -> list[dict[str, Any]]:
    parsed = [json.loads(text) for text in ([cell] if isinstance(cell, str) else cell)]
    if len(parsed) == 1 and isinstance(parsed[0].get(name), list):
        rows: list[dict[str, Any]] = parsed[0][name]
        return rows
    return parsed


def _to_structs(rows: list[dict[str, Any]]) -> pa.StructArray:
    """Rows as an Arrow array. Every number is a float, because JSON does not distinguish 3 from 3.0."""
    return pa.array([{k: float(v) if type(v) is int else v for k, v in row.items()} for row in rows])
