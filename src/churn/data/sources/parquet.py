"""Parquet files as chunks, and Arrow tables as tables and frames of a few simple types."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from churn.config.data import DataConfig
from churn.data.sources.chunk import Chunk
from churn.data.sources.paths import SourceFile
from churn.errors import UserError, shell_override, user_error_of_many

BUFFER = 1 << 20  # bytes read of a column at a time; without it a whole row group is read
FEW = 4  # bytes per row of a column of texts below which its distinct texts are few
PANDAS_TYPES = {pa.bool_(): pd.BooleanDtype(), pa.int64(): pd.Int64Dtype(), pa.uint64(): pd.UInt64Dtype()}


def parquet_chunks(source: SourceFile, cfg: DataConfig, rows: int) -> Iterator[Chunk]:
    """A Parquet file in chunks of at most `rows` rows; the first has the columns and no rows.

    Raises `UserError` for a damaged file, and for nested columns that `cfg.drop` does not name.
    """
    try:
        few = dictionary_columns(pq.read_metadata(source.path))
        with pq.ParquetFile(source.path, pre_buffer=False, buffer_size=BUFFER, read_dictionary=few) as file:
            refuse_nested(file.schema_arrow, cfg, source.name)
            no_rows = simplify_types(file.schema_arrow.empty_table())
            yield Chunk(source.name, no_rows, np.empty(0, int), "Parquet")
            row = 1
            for batch in file.iter_batches(batch_size=rows):
                table = simplify_types(pa.table(batch))
                yield Chunk(source.name, table, np.arange(row, row + len(table)), "Parquet")
                row += len(table)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"the file is damaged: {error}", source.name, "copy or export it again") from None


def dictionary_columns(metadata: pq.FileMetaData) -> list[str]:
    """Columns with few distinct texts in the first row group; it is far faster to read their codes."""
    group = metadata.row_group(0) if metadata.num_row_groups else None
    chunks = [group.column(i) for i in range(group.num_columns)] if group else []
    return [
        chunk.path_in_schema
        for chunk in chunks
        if chunk.physical_type == "BYTE_ARRAY"
        and "RLE_DICTIONARY" in chunk.encodings
        and chunk.total_uncompressed_size < FEW * chunk.num_values
    ]


def refuse_nested(schema: pa.Schema, cfg: DataConfig, name: str) -> None:
    """Raise `UserError` for columns whose cells are not single values, unless `cfg.drop` names them."""
    problems = [
        UserError(
            f"column '{field.name}' is {field.type}: its cells are not single values",
            name,
            f"flatten it in the export, or leave it out: {_drop_too(cfg, field.name)}",
        )
        for field in schema
        if pa.types.is_nested(field.type) and field.name not in cfg.drop
    ]
    if problems:
        raise user_error_of_many("the table has nested columns", problems)


def _drop_too(cfg: DataConfig, name: str) -> str:
    return shell_override("data.drop", *cfg.drop, name)


def simplify_types(table: pa.Table) -> pa.Table:
    """The same table with bool, int64, uint64, double, timestamp and string columns; nested ones are blank.

    Strings may be dictionary encoded.
    """
    columns = [
        pa.nulls(len(table), pa.string())
        if pa.types.is_nested(column.type)
        else column.cast(_simple_type(column.type))
        for column in table.itercolumns()
    ]
    return pa.table(columns, table.column_names)


def _simple_type(kind: pa.DataType) -> pa.DataType:
    """The simplest type that holds the values of `kind` (decimals as double)."""
    types = pa.types
    if types.is_dictionary(kind):
        return kind if is_text(kind) else _simple_type(kind.value_type)
    if types.is_boolean(kind) or types.is_timestamp(kind) or types.is_uint64(kind):
        return kind
    if types.is_integer(kind):
        return pa.int64()
    if types.is_floating(kind) or types.is_decimal(kind):
        return pa.float64()
    return pa.timestamp("s") if types.is_date(kind) else pa.string()


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds texts, dictionary encoded or not."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """The frame of a table of simple types; integers and booleans keep their type where cells are missing."""
    plain = pa.table([decode_dictionary(column) for column in table.itercolumns()], table.column_names)
    return plain.to_pandas(types_mapper=PANDAS_TYPES.get)


def decode_dictionary(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column as plain texts if it is dictionary encoded."""
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
