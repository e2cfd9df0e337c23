"""Reads predictions from the server's log, or from the table of Vertex AI or Cloud Run in BigQuery."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from churn.config.root import Config
from churn.data.forgotten import Forgotten
from churn.errors import UserError
from churn.serve.log import read
from churn.serve.log.entries import TABLE
from churn.serve.log.erase import without_rows_of

BIGQUERY = "bq://"
VERTEX_COLUMNS = "deployed_model_id, logging_time, request_id, request_payload, response_payload"
CLOUD_RUN_COLUMNS = (
    "jsonPayload.bundle AS deployed_model_id, timestamp AS logging_time, jsonPayload.request_id,"
    " jsonPayload.request_payload, jsonPayload.response_payload"
)


def read_predictions(cfg: Config, since: datetime, until: datetime) -> Iterator[pa.Table]:
    """Chunks of the predictions with since <= time < until, in the form of `churn.serve.log.read`."""
    path = log_location(cfg)
    if path.startswith(BIGQUERY):
        sql = _requests_query(path.removeprefix(BIGQUERY), since, until)
        yield from read.from_vertex(_query_chunks(sql, cfg), path)
        return
    if not Path(path).exists():
        raise UserError("there is no log", path, "churn serve writes one; or name another: monitor.log=PATH")
    forgotten = Forgotten.of(cfg)
    for chunk in read.read_log(Path(path), since, until, coded=True):
        yield without_rows_of(chunk, forgotten)


def _requests_query(table: str, since: datetime, until: datetime) -> str:
    """The query for logged requests with since <= time < until, its columns named as in Vertex AI's table."""
    first, last = (f"TIMESTAMP '{time.astimezone(UTC):%Y-%m-%d %H:%M:%S}+00'" for time in (since, until))
    columns, time = (VERTEX_COLUMNS, "logging_time")
    if table.endswith(f".{TABLE}"):
        columns, time = CLOUD_RUN_COLUMNS, "timestamp"
    return f"SELECT {columns} FROM `{table}` WHERE {time} >= {first} AND {time} < {last}"


def log_location(cfg: Config) -> str:
    """The folder, file or bq:// table that is read."""
    return cfg.monitor.log or str(server_log(cfg))


def server_log(cfg: Config) -> Path:
    """The folder that the server of this machine writes."""
    return Path(cfg.serve.log.dir or Path(cfg.run.root) / "log")


def _query_chunks(sql: str, cfg: Config) -> Iterator[pa.Table]:
    """The pages of a query's result; raises `UserError` if the query would read more than the limit."""
    from contextlib import closing

    from churn.data.sources import bigquery

    settings = cfg.data.bigquery
    with (
        closing(bigquery.open_client(settings)) as client,
        bigquery.explain_refusals(settings, client.project),
    ):
        for batch in bigquery.query_rows(client, sql, settings).to_arrow_iterable():
            yield pa.Table.from_batches([batch])


def read_bigquery_table(path: str, cfg: Config) -> pa.Table:
    """A whole table of BigQuery, bq://PROJECT.DATASET.TABLE."""
    return pa.concat_tables(_query_chunks(f"SELECT * FROM `{path.removeprefix(BIGQUERY)}`", cfg))
