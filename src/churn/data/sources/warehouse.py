"""Customers to score from a table of BigQuery, and scores into another one, as Arrow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from churn.config.data import BigQueryConfig, DataConfig
from churn.data.sources import bigquery
from churn.data.sources.chunk import Chunk
from churn.data.sources.columns import refuse_nested, simplify_types
from churn.errors import UserError

SCHEME = "bq://"  # bq://PROJECT.DATASET.TABLE


def bigquery_chunks(address: str, cfg: DataConfig, rows: int) -> Iterator[Chunk]:
    """The rows of the table or view at a bq:// address, in no order, in chunks of at least `rows` rows.

    Raises `UserError` as `churn.data.sources.bigquery` does.
    """
    chosen = _with_table(address, cfg)
    with _opened_client(chosen) as client, _storage_client() as reader:
        batches = bigquery.table_rows(client, chosen).to_arrow_iterable(reader)
        pending: list[pa.RecordBatch] = []
        first = 1
        for batch in batches:
            pending.append(batch)
            if sum(map(len, pending)) >= rows:
                yield (chunk := _to_chunk(pending, address, first, cfg))
                pending, first = [], first + len(chunk.lines)
        if pending:
            yield _to_chunk(pending, address, first, cfg)


def _to_chunk(batches: list[pa.RecordBatch], address: str, first: int, cfg: DataConfig) -> Chunk:
    table = pa.Table.from_batches(batches)
    refuse_nested(table.schema, cfg, address)
    lines = np.arange(first, first + len(table))
    return Chunk(address, simplify_types(table), lines, "BigQuery", unit="row", typed=True)


def _storage_client() -> Any:
    """A context with a client of the fast Storage Read API, or with None, for REST."""
    if not bigquery.has_storage_api():
        return nullcontext()
    from google.cloud.bigquery_storage import BigQueryReadClient

    return BigQueryReadClient()


def check_writable(address: str, cfg: DataConfig) -> None:
    """Raise `UserError` if the table has rows already, or its data set does not exist."""
    chosen = _with_table(address, cfg)
    with _opened_client(chosen) as client:
        dataset, _, name = str(chosen.table).rpartition(".")
        client.get_dataset(dataset, retry=bigquery.short_retry())
        tables = [item for item in client.list_tables(dataset) if item.table_id == name]
        if tables and client.get_table(tables[0]).num_rows:
            raise UserError(
                "the table has rows already", address, "name another: output=bq://P.DATASET.TABLE"
            )


def load_parquet(file: Path, address: str, cfg: DataConfig) -> None:
    """Load a Parquet file into a new table, which appears whole; the job costs nothing."""
    from google.cloud.bigquery import LoadJobConfig

    chosen = _with_table(address, cfg)
    config = LoadJobConfig(source_format="PARQUET", write_disposition="WRITE_EMPTY")
    with _opened_client(chosen) as client, file.open("rb") as content:
        client.load_table_from_file(content, str(chosen.table), job_config=config).result()


def _with_table(address: str, cfg: DataConfig) -> BigQueryConfig:
    """The configuration of BigQuery with this table instead of the training data."""
    name = address.removeprefix(SCHEME)
    if name.count(".") < 2:
        raise UserError(f"'{name}' is no table name", address, "write bq://PROJECT.DATASET.TABLE")
    return replace(cfg.bigquery, table=name, query=None)


@contextmanager
def _opened_client(chosen: BigQueryConfig) -> Iterator[Any]:
    with (
        closing(bigquery.open_client(chosen)) as client,
        bigquery.explain_refusals(chosen, client.project),
    ):
        yield client
