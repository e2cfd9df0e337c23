"""Parquet files as chunks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from churn.config.data import DataConfig
from churn.data.sources.chunk import Chunk
from churn.data.sources.columns import refuse_nested, simplify_types
from churn.data.sources.paths import SourceFile
from churn.errors import UserError

BUFFER = 1 << 20  # bytes read of a column at a time; without it a whole row group is read
FEW = 4  # bytes per row of a column of texts below which its distinct texts are few


def parquet_chunks(source: SourceFile, cfg: DataConfig, rows: int) -> Iterator[Chunk]:
    """A Parquet file in chunks of at most `rows` rows; the first has the columns and no rows.

    Raises `UserError` for a damaged file, and for nested columns that `cfg.drop` does not name.
    """
    try:
        few = dictionary_columns(pq.read_metadata(source.path))
        with pq.ParquetFile(source.path, pre_buffer=False, buffer_size=BUFFER, read_dictionary=few) as file:
            refuse_nested(file.schema_arrow, cfg, source.name)
            batches = (pa.table(batch) for batch in file.iter_batches(batch_size=rows))
            yield from typed_chunks(source.name, file.schema_arrow, batches, "Parquet")
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"the file is damaged: {error}", source.name, "copy or export it again") from None


def typed_chunks(name: str, schema: pa.Schema, tables: Iterator[pa.Table], note: str) -> Iterator[Chunk]:
    """Chunks of the tables of a file whose columns have the types of a schema; the first has no rows."""
    yield Chunk(name, simplify_types(schema.empty_table()), np.empty(0, int), note, unit="row", typed=True)
    row = 1
    for table in tables:
        simple = simplify_types(table)
        yield Chunk(name, simple, np.arange(row, row + len(table)), note, unit="row", typed=True)
        row += len(table)


def at_most(table: pa.Table, rows: int) -> Iterator[pa.Table]:
    """A table in pieces of at most `rows` rows."""
    for first in range(0, len(table), rows):
        yield table.slice(first, rows)


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
