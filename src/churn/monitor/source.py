"""Where the predictions of a window are read from: the server's own log, or Vertex AI's table in BigQuery."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from churn.config.root import Config
from churn.errors import UserError
from churn.serve.log import read

BIGQUERY = "bq://"
VERTEX_COLUMNS = "deployed_model_id, logging_time, request_id, request_payload, response_payload"


def read_predictions(cfg: Config, since: datetime, until: datetime) -> Iterator[pa.Table]:
    """Chunks of the predictions made in since <= time < until, as `churn.serve.log.read` describes them."""
    place = log_location(cfg)
    if place.startswith(BIGQUERY):
        limits = (f"TIMESTAMP '{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}+00'" for moment in (since, until))
        first, last = limits
        condition = f"logging_time >= {first} AND logging_time < {last}"
        sql = f"SELECT {VERTEX_COLUMNS} FROM `{place.removeprefix(BIGQUERY)}` WHERE {condition}"
        yield from map(read.from_vertex, _query_chunks(sql, cfg))
        return
    if not Path(place).exists():
        raise UserError(
            "there is no log", place, "churn serve writes one; or name another: monitor.log=PLACE"
        )
    yield from read.read_log(Path(place), since, until, coded=True)


def log_location(cfg: Config) -> str:
    """The place that is read."""
    return cfg.monitor.log or cfg.serve.log.dir or str(Path(cfg.run.root) / "log")


def _query_chunks(sql: str, cfg: Config) -> Iterator[pa.Table]:
    """The result of a query page by page; raises `UserError` if it would read more than the limit."""
    from contextlib import closing

    from churn.data.sources import bigquery

    chosen = cfg.data.bigquery
    with closing(bigquery.open_client(chosen)) as client, bigquery.explain_refusals(chosen, client.project):
        for batch in bigquery.query_rows(client, sql, chosen).to_arrow_iterable():
            yield pa.Table.from_batches([batch])


def read_bigquery_table(place: str, cfg: Config) -> pa.Table:
    """A whole table of BigQuery."""
    return pa.concat_tables(_query_chunks(f"SELECT * FROM `{place.removeprefix(BIGQUERY)}`", cfg))
