"""Reading what was predicted: the log of `churn serve`, or Vertex AI's request-response table, all the same.

Either way a chunk is an Arrow table with one row per answered customer and the columns

- `request_id` (string), `row` (int32, position in the request), `time` (UTC timestamp of the answer),
- `bundle` (string: the bundle's digest; of Vertex AI's table the deployed model's id),
- `customer_key` (string, "" where none was sent),
- `inputs.<name>` for each input of the bundle: numbers float64, null if missing, categories string,
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

from churn.data.dataset import CUSTOMER_KEY, MISSING_BELOW

LINES = ".jsonl"
BLOCK_BYTES = 8_000_000  # of lines read at a time
CHUNK_ROWS = 50_000
READ_BYTES = 1 << 18  # of a Parquet column at a time, where it would otherwise be the column of a row group
OPAQUE = ("request_id", "bundle", "customer_key")  # texts that seldom repeat


def read_log(
    path: Path, since: datetime | None = None, until: datetime | None = None, coded: bool = False
) -> Iterator[pa.Table]:
    """Chunks of the log in the folder (or Parquet file) `path`, oldest file first; since <= time < until.

    Times without a zone are UTC. Lines that are not yet compacted are read, too, and none twice, even
    while the server goes on writing. A Parquet file with a column `request_payload` is taken for an export of
    Vertex AI's table. Chunks of different bundles may have different columns. coded: categories may come as
    dictionaries, which is faster.
    """
    for file in _log_files(path):
        for table in file_chunks(file, coded):
            kept = filter_period(table, since, until)
            if kept.num_rows:
                yield kept


def _log_files(path: Path) -> list[Path]:
    """The files to read, one for each name: a Parquet file counts before lines of the same name."""
    if not path.is_dir():
        return [path]
    by_name = {
        file.stem: file for file in path.glob(f"[!.]*{LINES}")
    }  # before the Parquet files, see `tables`
    by_name |= {file.stem: file for file in path.glob("[!.]*.parquet")}
    return [by_name[name] for name in sorted(by_name)]


def file_chunks(file: Path, coded: bool = False) -> Iterator[pa.Table]:
    """The chunks of one file."""
    if file.suffix == LINES:
        try:
            _, chunks = read_lines_file(file)
        except FileNotFoundError:  # compacted since the folder was listed
            compacted = file.with_suffix(".parquet")
            chunks = file_chunks(compacted, coded) if compacted.exists() else iter(())  # it had no lines
        yield from chunks
        return
    schema = pq.read_schema(file)
    vertex = "request_payload" in schema.names
    texts = [one.name for one in schema if pa.types.is_string(one.type) or pa.types.is_large_string(one.type)]
    dictionaries = [name for name in texts if name not in OPAQUE] if coded and not vertex else []
    with pq.ParquetFile(file, read_dictionary=dictionaries, buffer_size=READ_BYTES) as parquet:
        for batch in parquet.iter_batches(CHUNK_ROWS):
            table = pa.Table.from_batches([batch]).replace_schema_metadata()
            yield from_vertex(table) if vertex else table


def filter_period(table: pa.Table, since: datetime | None, until: datetime | None) -> pa.Table:
    """The rows of a period, oldest bound included."""
    for limit, compare in ((since, pc.greater_equal), (until, pc.less)):
        if limit is not None:
            moment = limit if limit.tzinfo else limit.replace(tzinfo=UTC)
            table = table.filter(compare(table["time"], pa.scalar(moment, table["time"].type)))
    return table


def read_lines_file(file: Path) -> tuple[dict[str, Any], Iterator[pa.Table]]:
    """The header of a file of lines, and its chunks."""
    lines = file.open("rb")
    header = json.loads(lines.readline())
    return header, _chunks_of_lines(lines, header)


def _chunks_of_lines(lines: BinaryIO, header: dict[str, Any]) -> Iterator[pa.Table]:
    """Tables of the whole lines that follow; closes the file.

    The beginning of a line that a killed server did not finish is left out: its answer was never sent.
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
                yield _one_row_each(pyarrow.json.read_json(pa.BufferReader(whole), reading, options), header)


def _line_schema(header: dict[str, Any]) -> pa.Schema:
    """What a line holds, by the header of its file."""
    outputs = {name: _type_of(kind) for name, kind in header["outputs"].items()}
    return pa.schema(
        {
            "request_id": pa.string(),
            "time": pa.timestamp("us", "UTC"),
            "numbers": pa.list_(pa.list_(pa.float64())),  # a list for each row, in the order of the header
            "texts": pa.list_(pa.list_(pa.string())),
            "predictions": pa.list_(pa.struct(list(outputs.items()))),
        }
    )


def _type_of(kind: str) -> pa.DataType:
    """The Arrow type of an output: "number", "integer", "text", or "list of" one of them."""
    if kind.startswith("list of "):
        return pa.list_(_type_of(kind.removeprefix("list of ")))
    return {"number": pa.float64(), "integer": pa.int64(), "text": pa.string()}[kind]


def _one_row_each(requests: pa.Table, header: dict[str, Any]) -> pa.Table:
    """One row per answered customer instead of one per request."""
    rows = requests["texts"].combine_chunks()
    request = pc.list_parent_indices(rows)
    first = np.searchsorted(request.to_numpy(), np.arange(len(requests)))  # its first row
    columns = {
        "request_id": requests["request_id"].take(request),
        "row": pa.array((np.arange(len(request)) - first[request.to_numpy()]).astype(np.int32)),
        "time": requests["time"].take(request),
        "bundle": pa.repeat(pa.scalar(header["bundle"]), len(request)),
    }
    inputs = _transposed(requests["numbers"].combine_chunks(), header["numbers"])
    inputs |= _transposed(rows, header["texts"])
    outputs = requests["predictions"].combine_chunks().flatten()
    return _assemble(columns, inputs, outputs)


def _transposed(rows: pa.ListArray, names: list[str]) -> dict[str, pa.Array]:
    """Columns by name, of lists of rows that are lists of values in the order of the names."""
    values, width = rows.flatten().flatten(), len(names)
    return {name: values.take(pa.array(np.arange(i, len(values), width))) for i, name in enumerate(names)}


def _assemble(first: dict[str, Any], inputs: dict[str, pa.Array], outputs: pa.StructArray) -> pa.Table:
    """The columns of a chunk, in the order of this module's description."""
    columns = first | {CUSTOMER_KEY: inputs[CUSTOMER_KEY]}
    for name, values in inputs.items():
        if name != CUSTOMER_KEY:
            columns[f"inputs.{name}"] = _without_missing(values)
    for name, values in _by_name(outputs).items():
        if name != CUSTOMER_KEY:
            columns[f"outputs.{name}"] = values
    return pa.table(columns)


def _by_name(rows: pa.StructArray) -> dict[str, pa.Array]:
    """The fields of objects."""
    return dict(zip(rows.type.names, rows.flatten(), strict=True))


def _without_missing(values: pa.Array) -> pa.Array:
    """Numbers with null in place of what was sent as missing; strings as they are."""
    if not pa.types.is_floating(values.type):
        return values
    return pc.if_else(pc.less_equal(values, MISSING_BELOW), pa.scalar(None, values.type), values)


def from_vertex(table: pa.Table) -> pa.Table:
    """A chunk of Vertex AI's request-response table in the shape of ours.

    Its columns: endpoint, deployed_model_id, logging_time, request_id, and the payloads, which are JSON
    text: a list with one text per row, or one text with "instances" and "predictions".
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
        _by_name(_to_structs([row for rows in requests for row in rows])),
        _to_structs([row for rows in responses for row in rows]),
    )


def _payload_rows(cell: str | list[str], name: str) -> list[dict[str, Any]]:
    """The rows in a payload of Vertex AI's table."""
    parsed = [json.loads(text) for text in ([cell] if isinstance(cell, str) else cell)]
    if len(parsed) == 1 and isinstance(parsed[0].get(name), list):
        whole: list[dict[str, Any]] = parsed[0][name]
        return whole
    return parsed


def _to_structs(rows: list[dict[str, Any]]) -> pa.StructArray:
    """Rows as Arrow takes them; JSON does not tell 3 from 3.0, so every input number is a float."""
    return pa.array([{k: float(v) if type(v) is int else v for k, v in row.items()} for row in rows])
