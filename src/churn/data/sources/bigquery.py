"""Tables and queries of BigQuery, read as Arrow; the cost is limited before anything is billed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from typing import Any

from churn.config.data import BigQueryConfig, DataConfig
from churn.data.sources.columns import refuse_nested, simplify_types, to_pandas
from churn.data.table import RawTable
from churn.errors import UserError, missing_extra

GIGABYTE = 1e9
PATIENCE = 60.0  # seconds of retries of the first call if the network or the service fails
LOGIN = "log in: gcloud auth application-default login"
RIGHTS = (
    "gcloud projects add-iam-policy-binding {project} --member=user:$(gcloud config get account) "
    "--role=roles/bigquery.jobUser, and the same with roles/bigquery.dataViewer for the project of the data"
)
REMEDIES = {  # by the `reason` of BigQuery's error
    "accessDenied": RIGHTS,
    "accessNotConfigured": "gcloud services enable bigquery.googleapis.com --project={project}",
    "billingNotEnabled": "gcloud billing projects link {project} --billing-account=ACCOUNT",
    "quotaExceeded": "wait, read less, or lift the quota; what used it: bq ls --jobs --project_id={project}",
    "notFound": "check the name and data.bigquery.location; what is there: bq ls PROJECT:DATASET",
    "duplicate": "name another table, or remove this one",
    "invalidQuery": "correct the query; its language is GoogleSQL",
    "bytesBilledLimitExceeded": "raise data.bigquery.max_gigabytes; each table is billed as at least 10 MB",
}


def read_bigquery(cfg: DataConfig) -> RawTable:
    """The table, or the result of the query, that `cfg.bigquery` names.

    BigQuery gives the rows in no order; they are sorted by all columns, so that the same data have the same
    split. Raises `UserError` for wrong names, refusals of BigQuery, and a read above the limit, before
    anything is billed.
    """
    chosen = cfg.bigquery
    check_choice(chosen)
    origin = chosen.table or "a BigQuery query"
    with closing(open_client(chosen)) as client, explain_refusals(chosen, client.project):
        rows = table_rows(client, chosen) if chosen.table else query_rows(client, str(chosen.query), chosen)
        table = rows.to_arrow(create_bqstorage_client=has_storage_api())
    refuse_nested(table.schema, cfg, origin)
    table = simplify_types(table)
    frame = to_pandas(table.sort_by([(name, "ascending") for name in table.column_names]))
    if frame.empty:
        raise UserError("BigQuery gives no rows", origin, "check the table, or the conditions of the query")
    return RawTable(frame, origin)


def check_choice(chosen: BigQueryConfig) -> None:
    """Raise `UserError` unless a table or a query is named, and not both."""
    if (chosen.table is None) == (chosen.query is None):
        what, where = "name a table or a query", "data.bigquery.table, .query"
        raise UserError(what, where, "set one, the other to null")


def has_storage_api() -> bool:
    """Whether tables can be read by gRPC, which is faster than REST; emulators only have REST."""
    return (
        find_spec("google.cloud.bigquery_storage") is not None and "BIGQUERY_EMULATOR_HOST" not in os.environ
    )


def open_client(chosen: BigQueryConfig) -> Any:
    """A client with the default credentials of Google's tools; raises `UserError` if there are none."""
    try:
        import google.auth
        from google.cloud import bigquery
    except ImportError:
        raise missing_extra("google-cloud-bigquery", "bigquery") from None
    try:
        credentials, default_project = google.auth.default(scopes=bigquery.Client.SCOPE)
    except google.auth.exceptions.DefaultCredentialsError as error:
        raise UserError(f"there are no credentials for BigQuery: {error}", do=LOGIN) from None
    project = chosen.project or default_project
    if project is None:
        raise UserError(
            "the Google Cloud project that pays for the read is not named",
            "data.bigquery.project",
            "data.bigquery.project=PROJECT, or: gcloud auth application-default set-quota-project PROJECT",
        )
    return bigquery.Client(project=project, credentials=credentials, location=chosen.location)


def table_rows(client: Any, chosen: BigQueryConfig) -> Any:
    """An iterator over the rows of a table, without a query; over a query's result for a view."""
    try:
        table = client.get_table(chosen.table, retry=short_retry())
    except ValueError:
        raise UserError(
            f"'{chosen.table}' is no table name", "data.bigquery.table", "write PROJECT.DATASET.TABLE"
        ) from None
    if table.table_type != "TABLE":
        return query_rows(client, f"SELECT * FROM `{chosen.table}`", chosen)
    _check_size(table.num_bytes, str(chosen.table), chosen)
    return client.list_rows(table)


def query_rows(client: Any, sql: str, chosen: BigQueryConfig, kind: str = "SELECT") -> Any:
    """An iterator over the result of a statement of this kind; first a free dry run shows what it reads."""
    from google.cloud.bigquery import QueryJobConfig

    check_query(client, sql, chosen, kind)
    limit = QueryJobConfig(maximum_bytes_billed=int(chosen.max_gigabytes * GIGABYTE))
    return client.query(sql, limit).result()


def check_query(client: Any, sql: str, chosen: BigQueryConfig, kind: str = "SELECT") -> None:
    """Raise `UserError` if the statement is of another kind or would read more than the limit."""
    planned = dry_run(client, sql)
    if planned.statement_type != kind:
        raise UserError(
            f"the query is no {kind} but {planned.statement_type}: it could change data",
            _origin(sql, chosen),
            "write one SELECT (WITH ... SELECT is one)",
        )
    _check_size(planned.total_bytes_processed, _origin(sql, chosen), chosen)


def dry_run(client: Any, sql: str) -> Any:
    """The query's job as the service would run it: free, and nothing runs."""
    from google.cloud.bigquery import QueryJobConfig

    return client.query(sql, QueryJobConfig(dry_run=True), retry=short_retry(), job_retry=None)


def short_retry() -> Any:
    """The retry policy of the first call: the ten minutes of the library would look like a hang."""
    from google.cloud.bigquery import DEFAULT_RETRY

    return DEFAULT_RETRY.with_timeout(PATIENCE)


def _check_size(size: int, what: str, chosen: BigQueryConfig) -> None:
    """Raise `UserError` above the limit; otherwise print the size."""
    gigabytes = size / GIGABYTE
    if gigabytes > chosen.max_gigabytes:
        raise UserError(
            f"BigQuery would read {gigabytes:,.2f} GB, more than the limit of {chosen.max_gigabytes:,g} GB; "
            "nothing was read or billed",
            what,
            f"read fewer columns, or allow it: data.bigquery.max_gigabytes={gigabytes * 1.1:.2f}",
        )
    print(f"BigQuery reads {gigabytes:,.3f} GB ...", flush=True)


@contextmanager
def explain_refusals(chosen: BigQueryConfig, project: str) -> Iterator[None]:
    """Turn errors of the service and of the network in the block into `UserError`."""
    import google.auth.exceptions
    import requests
    from google.api_core.exceptions import GoogleAPICallError, RetryError

    try:
        yield
    except google.auth.exceptions.RefreshError as error:
        raise UserError(f"Google does not accept the credentials: {error.args[0]}", do=LOGIN) from error
    except (google.auth.exceptions.TransportError, requests.RequestException, RetryError) as error:
        cause = error.cause if isinstance(error, RetryError) else error
        raise UserError(f"BigQuery cannot be reached: {cause}", do="check the network, try again") from error
    except GoogleAPICallError as error:
        raise _to_user_error(error, chosen, project) from error


def _to_user_error(error: Any, chosen: BigQueryConfig, project: str) -> UserError:
    """The service's message, the position in the query, and the remedy."""
    no_details: dict[str, Any] = {}  # as from gRPC
    details = next((details for details in error.errors if isinstance(details, dict)), no_details)
    message = details.get("message", error.message)
    job = getattr(error, "query_job", None)  # Google's client names it where a query was refused
    where = _place(message, job.query, chosen) if job else chosen.table or ""
    reason = details.get("reason", "")
    remedy = REMEDIES.get(reason, "see the page 'Error messages' of BigQuery's documentation")
    what = f"BigQuery refuses ({error.code} {reason}): {message}"
    return UserError(what, where, remedy.format(project=project))


def _place(message: str, sql: str, chosen: BigQueryConfig) -> str:
    """The query, and the line of it that the message names, if it names one."""
    where, lines = _origin(sql, chosen), sql.splitlines()
    position = re.search(r"at \[(\d+):(\d+)\]", message)
    line, column = map(int, position.groups()) if position else (0, 0)
    if 0 < line <= len(lines):  # a view's own SQL has other lines
        where += f", line {line}, column {column}: {lines[line - 1].strip()}"
    return where


def _origin(sql: str, chosen: BigQueryConfig) -> str:
    """Who wrote the query, for a message: the key, the view that is read, or this package."""
    if sql == chosen.query:
        return "data.bigquery.query"
    return chosen.table if chosen.table and f"`{chosen.table}`" in sql else "the query that was sent"
