"""JSON files as chunks: lines, records, and the orientations of pandas.

Arrow's parser reads what it reads exactly. Numbers that it would round, texts that it would take for times,
and cells of several types are read as text, digit for digit, by Python's parser.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain, islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from churn.config.data import DataConfig
from churn.data.sources.chunk import Chunk
from churn.data.sources.columns import EXACT, decimal_text, refuse_nested, simplify_types
from churn.data.sources.compressed import open_bytes
from churn.data.sources.encodings import open_text, recognise_encoding
from churn.data.sources.paths import SourceFile
from churn.errors import UserError, count

LAYOUT = "write one object per line, or a list of objects"


def json_chunks(source: SourceFile, cfg: DataConfig, rows: int) -> Iterator[Chunk]:
    """A JSON file in chunks of at most `rows` rows; the first has the columns and no rows.

    Only a file of lines is read piece by piece. Raises `UserError` for what is no JSON, or no table.
    """
    with _utf8_lines(source) as lines:
        first = _first_lines(lines)
        if _are_objects(first):
            whole = chain(first, lines)
            yield from _line_chunks(source, cfg, rows, islice(whole, rows), whole)
            return
        table, note = _document_table(b"".join([*first, *lines]), source, cfg)
    table = _checked(table, source, cfg)
    yield Chunk(source.name, table.slice(0, 0), np.empty(0, int), note, unit="row")
    for begin in range(0, len(table), rows):
        piece = table.slice(begin, rows)
        yield Chunk(source.name, piece, np.arange(begin, begin + len(piece)) + 1, note, unit="row")


@contextmanager
def _utf8_lines(source: SourceFile) -> Iterator[Iterator[bytes]]:
    """The lines of a file as UTF-8, without a byte order mark."""
    encoding = recognise_encoding(source).name
    if encoding == "utf-8":
        with open_bytes(source) as stream:
            yield iter(stream)
    else:
        with open_text(source, encoding) as text:
            yield (line.encode() for line in text)


def _first_lines(lines: Iterator[bytes]) -> list[bytes]:
    """The lines up to the second one that is not blank, which are taken."""
    first, written = [], 0
    while written < 2 and (line := next(lines, b"")):
        first.append(line)
        written += bool(line.strip())
    return first


def _are_objects(first: list[bytes]) -> bool:
    """Whether a file that begins with these lines has one object per line."""
    written = [line.lstrip() for line in first if line.strip()]
    if len(first) < 2 or not written:
        return False
    return _is_object(written[0]) and written[-1].startswith(b"{")


def _is_object(line: bytes) -> bool:
    """Whether a line is a whole JSON object."""
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _line_chunks(
    source: SourceFile, cfg: DataConfig, rows: int, head: Iterator[bytes], rest: Iterator[bytes]
) -> Iterator[Chunk]:
    """The chunks of a file with one object per line; the first chunk of lines has the names of all fields."""
    names: list[str] = []
    line, block = 1, list(head)
    while block:
        table = _checked(_parse_lines(block, source, line, cfg), source, cfg)
        lines = np.array([line + i for i, text in enumerate(block) if text.strip()], int)
        if not names:
            names = table.column_names
            yield Chunk(source.name, table.slice(0, 0), np.empty(0, int), "JSON lines")
        yield Chunk(source.name, _with_names(table, names, source, line), lines, "JSON lines")
        line, block = line + len(block), list(islice(rest, rows))


def _with_names(table: pa.Table, names: list[str], source: SourceFile, line: int) -> pa.Table:
    """The fields of these names; raises `UserError` for others, which earlier chunks did not have."""
    if new := [name for name in table.column_names if name not in names]:
        raise UserError(
            f"the field '{new[0]}' is in no earlier line",
            f"{source.name}, after line {line}",
            "write every field in the first line, with null where it is missing",
        )
    blank = pa.nulls(len(table), pa.string())
    return pa.table([table[name] if name in table.column_names else blank for name in names], names)


def _parse_lines(block: list[bytes], source: SourceFile, line: int, cfg: DataConfig) -> pa.Table:
    """The objects of some lines; `line` is the number of the first."""
    content = b"".join(block)
    table = _parse_exactly(content)
    if table is not None:
        return table
    records = []
    for i, text in enumerate(block):
        if text.strip():
            records.append(_decode(text, f"{source.name}, line {line + i}", cfg.decimal))
    return _table_of_records(records, source)


def _parse_exactly(content: bytes) -> pa.Table | None:
    """Objects by Arrow's parser; None if it would round a number, or cannot read them."""
    options = pyarrow.json.ReadOptions(block_size=len(content) + 1)

    def read(schema: pa.Schema | None) -> pa.Table:
        parsing = pyarrow.json.ParseOptions(explicit_schema=schema, newlines_in_values=True)
        return pyarrow.json.read_json(io.BytesIO(content), options, parsing)

    try:
        table = read(None)
        if times := [field.name for field in table.schema if pa.types.is_timestamp(field.type)]:
            table = read(pa.schema([(name, pa.string()) for name in times])).select(table.column_names)
    except pa.ArrowInvalid:
        return None
    return table if all(map(_is_exact, table.itercolumns())) else None


def _is_exact(column: pa.ChunkedArray) -> bool:
    """Whether no number of a column can have been rounded; what is nested is looked at later."""
    if not pa.types.is_floating(column.type):
        return True
    return not pc.any(pc.greater_equal(pc.abs(column), float(EXACT))).as_py()


def _document_table(content: bytes, source: SourceFile, cfg: DataConfig) -> tuple[pa.Table, str]:
    """The table of a file that is one JSON value, and how it is written."""
    begin = content.lstrip()[:1]
    if begin == b"[":
        wrapped = _parse_exactly(b'{"rows":' + content + b"}")
        if wrapped is not None and pa.types.is_struct(getattr(wrapped["rows"].type, "value_type", None)):
            rows = pa.Table.from_struct_array(pc.list_flatten(wrapped["rows"]))
            if all(map(_is_exact, rows.itercolumns())) and not any(map(_is_time, rows.schema.types)):
                return rows, "JSON records"
    document = _decode(content, source.name, cfg.decimal)
    try:
        return _table_of_document(document, source)
    except (AttributeError, TypeError, ValueError) as error:  # Arrow's errors are among them
        what = f"this JSON is no table: its rows, columns or names do not fit ({error})"
        raise UserError(what, source.name, LAYOUT) from None


def _is_time(kind: pa.DataType) -> bool:
    return pa.types.is_timestamp(kind)


def _table_of_document(document: Any, source: SourceFile) -> tuple[pa.Table, str]:
    """The table in one of the layouts that pandas writes, or in the only list of a JSON object."""
    if isinstance(document, list):
        return _table_of_records(document, source), "JSON records"
    if {"columns", "data"} <= document.keys():
        return _table_of_split(
            **{key: document.get(key, []) for key in ("columns", "data", "index")}
        ), "JSON, split"
    values = list(document.values())
    if values and all(isinstance(value, dict) for value in values):
        return _table_of_labelled(document), "JSON, labelled as by pandas"
    if values and all(isinstance(v, list) and (not v or not isinstance(v[0], dict)) for v in values):
        return _table_of_columns(document), "JSON columns"
    lists = {name: value for name, value in document.items() if isinstance(value, list)}
    if len(lists) == 1:
        name, records = lists.popitem()
        return _table_of_records(records, source), f"JSON records of '{name}'"
    return _table_of_records([document], source), "JSON, one record"


def _table_of_split(columns: list[Any], data: list[list[Any]], index: list[Any]) -> pa.Table:
    """A table of rows without names."""
    cells = zip(*data, strict=True) if data else [[]] * len(columns)
    return _table_of_columns(_label_column(index) | dict(zip(columns, cells, strict=True)))


def _table_of_labelled(document: dict[str, dict[str, Any]]) -> pa.Table:
    """A table of rows by label within columns, as pandas writes it, or of columns within rows."""
    outer, inner = (
        list(document),
        list(dict.fromkeys(label for cells in document.values() for label in cells)),
    )
    by_row = _only_counts(outer) or (len(outer) > len(inner) and not _only_counts(inner))
    if by_row:
        by_name = {name: [row.get(name) for row in document.values()] for name in inner}
        return _table_of_columns(_label_column(outer) | by_name)
    by_name = {name: [cells.get(label) for label in inner] for name, cells in document.items()}
    return _table_of_columns(_label_column(inner) | by_name)


def _label_column(labels: list[Any]) -> dict[str, list[Any]]:
    """The labels of the rows as a column, unless they only count them."""
    return {} if _only_counts(labels) else {"index": list(map(str, labels))}


def _only_counts(labels: list[Any]) -> bool:
    """Whether labels are 0, 1, 2, ..."""
    return all(str(label) == str(i) for i, label in enumerate(labels))


def _table_of_records(records: list[Any], source: SourceFile) -> pa.Table:
    """A column for each field, in the order of their first appearance."""
    if wrong := [i for i, record in enumerate(records, 1) if not isinstance(record, dict)]:
        raise UserError("this JSON is no table: a row is no object", f"{source.name}, row {wrong[0]}", LAYOUT)
    names = dict.fromkeys(name for record in records for name in record)
    return _table_of_columns({name: [record.get(name) for record in records] for name in names})


def _table_of_columns(columns: dict[str, Any]) -> pa.Table:
    """Columns of text; a column with a list or an object in some cell is nested."""
    return pa.table({str(name): _text_column(list(cells)) for name, cells in columns.items()})


def _text_column(cells: list[Any]) -> pa.Array:
    kinds = set(map(type, cells))
    if list in kinds or dict in kinds:
        return pa.nulls(len(cells), pa.list_(pa.string()))
    if bool in kinds:
        cells = [str(cell).lower() if isinstance(cell, bool) else cell for cell in cells]
    whole = [cell and cell.encode(errors="replace").decode() for cell in cells]  # a half of a character is ?
    return pa.array(whole, pa.string())


def _decode(text: bytes, where: str, decimal: str) -> Any:
    """A JSON value with numbers as text, with this decimal mark; raises `UserError` where it is wrong.

    NaN is a missing cell, as pandas and Python write it; infinite numbers are refused later, as in any file.
    """
    exactly = json.JSONDecoder(
        parse_int=str,
        parse_float=partial(decimal_text, decimal=decimal),
        parse_constant=lambda word: None if word == "NaN" else word,
    )
    try:
        return exactly.decode(text.decode())
    except json.JSONDecodeError as error:
        place = f", line {error.lineno}" if error.lineno > 1 else ""
        what = f"this is no JSON: {error.msg} at {count(error.colno, 'character')}"
        raise UserError(what, where + place, "correct it, or export it again") from None
    except RecursionError:
        raise UserError("this JSON is nested too deeply", where, LAYOUT) from None


def _checked(table: pa.Table, source: SourceFile, cfg: DataConfig) -> pa.Table:
    """The table in simple types; raises `UserError` for nested columns and for a table without any."""
    if not table.num_columns:
        raise UserError("this JSON holds no table", source.name, LAYOUT)
    refuse_nested(table.schema, cfg, source.name)
    return simplify_types(table)
