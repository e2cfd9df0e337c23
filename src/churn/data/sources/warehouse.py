"""Customers in a table of BigQuery, to be scored, and scores into another: Arrow all the way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from churn.config.data import BigQueryConfig, DataConfig
from churn.data.sources import bigquery, parquet
from churn.data.sources.chunk import Chunk
from churn.errors import UserError

SCHEME = "bq://"  # bq://PROJECT.DATASET.TABLE


def bigquery_chunks(place: str, cfg: DataConfig, rows: int) -> Iterator[Chunk]:
    """The rows of a table or view, in no order, in parts of about `rows` rows.

    Raises `UserError` for what `churn.data.sources.bigquery` refuses.
    """
    chosen = _with_table(place, cfg)
    with _opened_client(chosen) as client, _storage_client() as reader:
        batches = bigquery.table_rows(client, chosen).to_arrow_iterable(reader)
        waiting: list[pa.RecordBatch] = []
        first = 1
        for batch in batches:
            waiting.append(batch)
            if sum(map(len, waiting)) >= rows:
                yield (part := _to_chunk(waiting, place, first, cfg))
                waiting, first = [], first + len(part.lines)
        if waiting:
            yield _to_chunk(waiting, place, first, cfg)


def _to_chunk(batches: list[pa.RecordBatch], place: str, first: int, cfg: DataConfig) -> Chunk:
    """Batches as the readers of files give them."""
    table = pa.Table.from_batches(batches)
    parquet.refuse_nested(table.schema, cfg, place)
    return Chunk(place, parquet.simplify_types(table), np.arange(first, first + len(table)), "Parquet")


def _storage_client() -> Any:
    """Opens to a client of the Storage Read API where it can be used, else to none: REST does it, slowly."""
    if not bigquery.has_storage_api():
        return nullcontext()
    from google.cloud.bigquery_storage import BigQueryReadClient

    return BigQueryReadClient()


def check_writable(place: str, cfg: DataConfig) -> None:
    """Refuse, before any work, a table that has rows, or whose data set does not exist."""
    chosen = _with_table(place, cfg)
    with _opened_client(chosen) as client:
        dataset, _, name = str(chosen.table).rpartition(".")
        client.get_dataset(dataset, retry=bigquery.short_retry())
        there = [item for item in client.list_tables(dataset) if item.table_id == name]
        if there and client.get_table(there[0]).num_rows:
            raise UserError("the table has rows already", place, "name another: output=bq://P.DATASET.TABLE")


def load_parquet(file: Path, place: str, cfg: DataConfig) -> None:
    """A Parquet file as a new table, which appears whole; the job costs nothing."""
    from google.cloud.bigquery import LoadJobConfig

    chosen = _with_table(place, cfg)
    how = LoadJobConfig(source_format="PARQUET", write_disposition="WRITE_EMPTY")
    with _opened_client(chosen) as client, file.open("rb") as content:
        client.load_table_from_file(content, str(chosen.table), job_config=how).result()


def _with_table(place: str, cfg: DataConfig) -> BigQueryConfig:
    """The configuration of BigQuery with this table in place of what is trained on."""
    name = place.removeprefix(SCHEME)
    if name.count(".") < 2:
        raise UserError(f"'{name}' is no table name", place, "write bq://PROJECT.DATASET.TABLE")
    return replace(cfg.bigquery, table=name, query=None)


@contextmanager
def _opened_client(chosen: BigQueryConfig) -> Iterator[Any]:
    """A client whose refusals are explained."""
    with (
        closing(bigquery.open_client(chosen)) as client,
        bigquery.explain_refusals(chosen, client.project),
    ):
        yield client
