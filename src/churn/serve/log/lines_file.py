"""Reads a file of lines: the header, then a line for each answered request; broken lines are set aside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from churn.serve.log.broken import UNREADABLE
from churn.serve.log.chunk import assemble

BLOCK_BYTES = 2_000_000  # of lines read at a time: Arrow needs some ten times as much memory


class LinesFile:
    """A file of lines (see `churn.serve.log.lines`): its header, its chunks, and its broken lines.

    Raises ValueError for a header that is none.
    """

    def __init__(self, file: Path) -> None:
        self.lines = file.open("rb")
        try:
            self.header = _read_header(self.lines.readline())
        except BaseException:
            self.lines.close()
            raise
        self.broken: list[tuple[int, bytes]] = []  # number and content, as far as `chunks` has come

    def chunks(self) -> Iterator[pa.Table]:
        """The lines after the header as tables; closes the file.

        A line that a killed server did not finish is left out: its answer was never sent.
        """
        number = 2
        with self.lines:
            while block := self.lines.read(BLOCK_BYTES):
                block += self.lines.readline()
                whole = block[: block.rfind(b"\n") + 1]
                if whole:
                    yield from self._tables_of(whole, number)
                number += whole.count(b"\n")

    def _tables_of(self, block: bytes, number: int) -> Iterator[pa.Table]:
        """The table of a block of lines; line by line if it has a broken one."""
        try:
            yield _table_of_lines(block, self.header)
            return
        except UNREADABLE:
            pass
        good = []
        for i, line in enumerate(block.splitlines(keepends=True), number):
            try:
                good.append(_table_of_lines(line, self.header))
            except UNREADABLE:
                self.broken.append((i, line))
        if good:
            yield pa.concat_tables(good)


def _read_header(line: bytes) -> dict[str, Any]:
    """The header of a file of lines; raises ValueError if this is none."""
    header = json.loads(line)
    if not isinstance(header, dict) or not {"bundle", "numbers", "texts", "outputs"} <= header.keys():
        raise ValueError("its first line is no header of a log")
    return header


def _table_of_lines(lines: bytes, header: dict[str, Any]) -> pa.Table:
    """One row per answered customer; raises one of `UNREADABLE` for a line that does not fit the header."""
    options = pyarrow.json.ParseOptions(
        explicit_schema=_line_schema(header), unexpected_field_behavior="ignore"
    )
    reading = pyarrow.json.ReadOptions(use_threads=False, block_size=len(lines))
    requests = pyarrow.json.read_json(pa.BufferReader(lines), reading, options)
    if requests.num_rows != lines.count(b"\n"):
        raise ValueError("a line is empty, or holds two requests")
    if any(column.null_count for column in requests.columns):
        raise ValueError("a line lacks a field")
    return _explode_requests(requests, header)


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
    for name in ("numbers", "predictions"):
        if not pc.list_value_length(requests[name]).equals(pc.list_value_length(requests["texts"])):
            raise ValueError(f"a line has another number of {name} than of texts")
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
    return assemble(columns, inputs, outputs)


def _to_columns(rows: pa.ListArray, names: list[str]) -> dict[str, pa.Array]:
    """Columns by name, from rows whose values are in the order of the names."""
    values, width = rows.flatten().flatten(), len(names)
    if not pc.all(pc.equal(pc.list_value_length(rows.flatten()), width)).as_py() and len(rows.flatten()):
        raise ValueError("a row has another number of values than the header")
    return {name: values.take(pa.array(np.arange(i, len(values), width))) for i, name in enumerate(names)}
