"""Delta tables: the rows of the current version."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from churn.config.data import DataConfig
from churn.data.sources.chunk import Chunk
from churn.data.sources.columns import refuse_nested
from churn.data.sources.parquet import at_most, typed_chunks
from churn.errors import UserError, missing_extra


def delta_chunks(path: str, cfg: DataConfig, rows: int) -> Iterator[Chunk]:
    """The current version of the Delta table in a local folder, in chunks, in no order.

    It is read by the query engine of delta-rs, which, unlike its `to_pandas`, knows renamed columns and
    deletion vectors. Raises `UserError` for a table that cannot be read.
    """
    try:
        from deltalake import DeltaTable, QueryBuilder
        from deltalake.exceptions import DeltaError
    except ImportError:
        raise missing_extra("deltalake", "tables") from None
    try:
        table = DeltaTable(path)
        stream = QueryBuilder().register("rows_of_table", table).execute("SELECT * FROM rows_of_table")
        reader = pa.RecordBatchReader.from_stream(stream)
        refuse_nested(reader.schema, cfg, path)
        batches = (part for batch in reader for part in at_most(pa.table(batch), rows))
        yield from typed_chunks(path, reader.schema, batches, f"Delta, version {table.version()}")
    except (DeltaError, OSError, pa.ArrowException) as error:
        do = "check it, or export its current rows as Parquet"
        raise UserError(f"the Delta table cannot be read: {error}", path, do) from None
