"""Read Parquet files, and make of any Arrow table a pandas frame of few, well-behaved types."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from churn.config.data import DataConfig
from churn.data.dataset import shell_override
from churn.data.sources.chunk import Chunk
from churn.data.sources.paths import SourceFile
from churn.errors import UserError, user_error_of_many

BUFFER = 1 << 20  # bytes a column; without it a whole row group is read at once
FEW = 4  # bytes a row in the file below which a column of texts counts as one of few different texts
PANDAS_TYPES = {pa.bool_(): pd.BooleanDtype(), pa.int64(): pd.Int64Dtype(), pa.uint64(): pd.UInt64Dtype()}


def parquet_chunks(place: SourceFile, cfg: DataConfig, rows: int) -> Iterator[Chunk]:
    """A Parquet file in parts of at most `rows` rows; the first is empty and has the columns only.

    Raises `UserError` for a damaged file, and for nested columns that `cfg.drop` does not name.
    """
    try:
        few = dictionary_columns(place)
        with pq.ParquetFile(place.path, pre_buffer=False, buffer_size=BUFFER, read_dictionary=few) as file:
            refuse_nested(file.schema_arrow, cfg, place.name)
            nothing = simplify_types(file.schema_arrow.empty_table())
            yield Chunk(place.name, nothing, np.empty(0, int), "Parquet")
            row = 1
            for batch in file.iter_batches(batch_size=rows):
                table = simplify_types(pa.table(batch))
                yield Chunk(place.name, table, np.arange(row, row + len(table)), "Parquet")
                row += len(table)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"the file is damaged: {error}", place.name, "copy or export it again") from None


def dictionary_columns(place: SourceFile) -> list[str]:
    """Columns of strings that are short in the first row group; reading only their codes is far faster."""
    metadata = pq.read_metadata(place.path)
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
    """Refuse columns whose cells are no single value, unless they are to be dropped."""
    problems = [
        UserError(
            f"column '{field.name}' is {field.type}: its cells are no single values",
            name,
            f"flatten it in the export, or leave it out: {shell_override('data.drop', *cfg.drop, field.name)}",
        )
        for field in schema
        if pa.types.is_nested(field.type) and field.name not in cfg.drop
    ]
    if problems:
        raise user_error_of_many("the table has nested columns", problems)


def simplify_types(table: pa.Table) -> pa.Table:
    """The same table of bool, int64, uint64, double, timestamp and string columns; nested ones blank.

    Strings may be coded (Arrow's dictionary type).
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
        text = types.is_string(kind.value_type) or types.is_large_string(kind.value_type)
        return kind if text else _simple_type(kind.value_type)
    if types.is_boolean(kind) or types.is_timestamp(kind) or types.is_uint64(kind):
        return kind
    if types.is_integer(kind):
        return pa.int64()
    if types.is_floating(kind) or types.is_decimal(kind):
        return pa.float64()
    return pa.timestamp("s") if types.is_date(kind) else pa.string()


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """The frame of a `simple` table; integers and booleans keep their type where cells are missing."""
    plain = pa.table([decode_dictionary(column) for column in table.itercolumns()], table.column_names)
    return plain.to_pandas(types_mapper=PANDAS_TYPES.get)


def decode_dictionary(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The texts themselves where a column is one of codes."""
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
