"""Arrow (Feather), ORC and Avro files as chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from operator import itemgetter
from typing import Any

import pyarrow as pa

from churn.config.data import DataConfig
from churn.data.sources.chunk import Chunk
from churn.data.sources.columns import cell_text, kinds_of, refuse_nested
from churn.data.sources.parquet import at_most, typed_chunks
from churn.data.sources.paths import SourceFile
from churn.errors import UserError, missing_extra

# Avro's types, by logical type or name, in Arrow; enum, uuid and the like are text.
MOST_DIGITS = 76  # of a decimal of Arrow
AVRO_TYPES = {
    "null": pa.null(),
    "boolean": pa.bool_(),
    "int": pa.int64(),
    "long": pa.int64(),
    "float": pa.float64(),
    "double": pa.float64(),
    "bytes": pa.binary(),
    "fixed": pa.binary(),
    "date": pa.date32(),
    "time-millis": pa.time32("ms"),
    "time-micros": pa.time64("us"),
    "timestamp-millis": pa.timestamp("ms", "UTC"),
    "timestamp-micros": pa.timestamp("us", "UTC"),
    "local-timestamp-millis": pa.timestamp("ms"),
    "local-timestamp-micros": pa.timestamp("us"),
    "record": pa.struct([]),  # nested, as are the next two
    "array": pa.list_(pa.null()),
    "map": pa.map_(pa.string(), pa.null()),
}


def arrow_chunks(source: SourceFile, cfg: DataConfig, rows: int) -> Iterator[Chunk]:
    """An Arrow file or stream (Feather is one) in chunks; raises `UserError` for a damaged one."""
    from pyarrow import ipc

    with _explain_damage(source), pa.memory_map(str(source.path)) as mapped:
        is_file = mapped.read(6) == b"ARROW1"
        mapped.seek(0)
        reader = ipc.open_file(mapped) if is_file else ipc.open_stream(mapped)
        batches = map(reader.get_batch, range(reader.num_record_batches)) if is_file else reader
        refuse_nested(reader.schema, cfg, source.name)
        yield from typed_chunks(source.name, reader.schema, _tables(batches, rows), "Arrow")


def orc_chunks(source: SourceFile, cfg: DataConfig, rows: int) -> Iterator[Chunk]:
    """An ORC file in chunks, a stripe in memory at a time; raises `UserError` for a damaged one."""
    from pyarrow import orc

    with _explain_damage(source), source.path.open("rb") as file:
        reader = orc.ORCFile(file)
        refuse_nested(reader.schema, cfg, source.name)
        stripes = (pa.table(reader.read_stripe(i)) for i in range(reader.nstripes))
        tables = (table for stripe in stripes for table in at_most(stripe, rows))
        yield from typed_chunks(source.name, reader.schema, tables, "ORC")


def avro_chunks(source: SourceFile, cfg: DataConfig, rows: int) -> Iterator[Chunk]:
    """An Avro file in chunks of at most `rows` rows; raises `UserError` for a damaged one."""
    try:
        import fastavro
    except ImportError:
        raise missing_extra("fastavro", "tables") from None
    with _explain_damage(source), source.path.open("rb") as file:
        records = fastavro.reader(file)
        schema = _avro_schema(records.writer_schema, source)
        refuse_nested(schema, cfg, source.name)
        blocks = iter(lambda: list(islice(records, rows)), [])
        tables = (_to_table(block, schema, cfg.decimal) for block in blocks)
        yield from typed_chunks(source.name, schema, tables, "Avro")


def _tables(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """Tables of at most `rows` rows; small batches are put together, because each table costs some time."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(map(len, held)) >= rows:
            yield from at_most(pa.Table.from_batches(held), rows)
            held = []
    if held:
        yield from at_most(pa.Table.from_batches(held), rows)


@contextmanager
def _explain_damage(source: SourceFile) -> Iterator[None]:
    """Turn the errors of the libraries into `UserError`."""
    try:
        yield
    except (OSError, EOFError, ValueError, pa.ArrowException) as error:
        raise UserError(f"the file is damaged: {error}", source.name, "copy or export it again") from None


def _avro_schema(writer: Any, source: SourceFile) -> pa.Schema:
    if not isinstance(writer, dict) or writer.get("type") != "record":
        raise UserError("the file holds no records", source.name, "write one record per customer")
    return pa.schema([(field["name"], _avro_type(field["type"])) for field in writer["fields"]])


def _avro_type(declared: Any) -> pa.DataType:
    """Arrow's type for one of Avro; text for a union of several types."""
    if isinstance(declared, list):
        others = [_avro_type(kind) for kind in declared if kind != "null"]
        return others[0] if len(others) == 1 else pa.string()
    if isinstance(declared, str):
        return AVRO_TYPES.get(declared, pa.string())
    if declared.get("logicalType") == "decimal":
        return _decimal_type(declared["precision"], declared.get("scale", 0))
    return AVRO_TYPES.get(declared.get("logicalType", ""), AVRO_TYPES.get(declared["type"], pa.string()))


def _decimal_type(precision: int, scale: int) -> pa.DataType:
    """Arrow's type for decimals; text for those of more digits than it has, such as BigQuery's BIGNUMERIC."""
    if precision > MOST_DIGITS:
        return pa.string()
    return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)


def _to_table(records: list[Any], schema: pa.Schema, decimal: str) -> pa.Table:
    cells = (list(map(itemgetter(name), records)) for name in schema.names)
    columns = [_to_column(column, kind, decimal) for column, kind in zip(cells, schema.types, strict=True)]
    return pa.table(columns, schema.names)


def _to_column(cells: list[Any], kind: pa.DataType, decimal: str) -> pa.Array:
    if pa.types.is_nested(kind):
        return pa.nulls(len(cells), kind)  # named in data.drop
    if pa.types.is_string(kind) and not kinds_of(cells) <= {str}:
        cells = [None if cell is None else cell_text(cell, decimal) for cell in cells]
    return pa.array(cells, kind)
