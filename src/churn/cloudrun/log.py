"""The log: a sink passes the container's entries on from Cloud Logging to BigQuery."""

from __future__ import annotations

from typing import Any

from churn.errors import UserError
from churn.serve.log.entries import TABLE
from churn.vertex.apply import ensure_dataset
from churn.vertex.cloud.deployment import Deployment
from churn.vertex.cloud.session import Session
from churn.vertex.cloud.state import find_dataset

NO_SUCH_SINK = 404


def log_table(deployment: Deployment) -> str:
    """The table for `churn monitor`."""
    return f"bq://{deployment.project}.{deployment.dataset}.{TABLE}"


def sink_filter(deployment: Deployment) -> str:
    """Which entries are passed on: answers of this service."""
    return (
        f'resource.type="cloud_run_revision" AND resource.labels.service_name="{deployment.name}"'
        f" AND {_region_clause(deployment)} AND jsonPayload.request_payload:*"
    )


def _region_clause(deployment: Deployment) -> str:
    return f'resource.labels.location="{deployment.region}"'


def destination(deployment: Deployment) -> str:
    """The data set in the words of Cloud Logging."""
    return f"bigquery.googleapis.com/projects/{deployment.project}/datasets/{deployment.dataset}"


def ensure_log(session: Session) -> None:
    """Create data set and sink unless they exist, and let the sink write into the data set."""
    ensure_dataset(session)
    sink = find_sink(session) or _create_sink(session)
    _let_write(session, sink["writerIdentity"].removeprefix("serviceAccount:"))


def find_sink(session: Session) -> dict[str, Any] | None:
    """The sink, or None; raises `UserError` if it has another destination or region: it is not ours."""
    sink = _call(session, "GET", f"/{session.deployment.name}", missing_ok=True)
    if sink and sink["destination"] != destination(session.deployment):
        what = f"there is a log sink of this name that is not ours: it writes to {sink['destination']}"
        raise UserError(what, session.deployment.name, "deploy.name=NAME")
    if sink and _region_clause(session.deployment) not in sink["filter"]:
        what = (
            f"there is a log sink of this name that does not pass on entries of {session.deployment.region}"
        )
        raise UserError(what, sink["filter"], f"another deploy.name=NAME in {session.deployment.region}")
    return sink


def _create_sink(session: Session) -> dict[str, Any]:
    deployment = session.deployment
    sink = {
        "name": deployment.name,
        "destination": destination(deployment),
        "filter": sink_filter(deployment),
        "bigqueryOptions": {"usePartitionedTables": True},
    }
    created = _call(session, "POST", "?uniqueWriterIdentity=true", sink)
    assert created
    return created


def delete_sink(session: Session) -> None:
    """Delete the sink, if there is one."""
    _call(session, "DELETE", f"/{session.deployment.name}", missing_ok=True)


def _call(
    session: Session, verb: str, path: str, body: dict[str, Any] | None = None, missing_ok: bool = False
) -> dict[str, Any] | None:
    """The answer of Cloud Logging about sinks; None where the sink is missing and may be."""
    from google.api_core.exceptions import from_http_response

    deployment = session.deployment
    api = deployment.config.emulator or "https://logging.googleapis.com"
    url = f"{api}/v2/projects/{deployment.project}/sinks{path}"
    answer = session.clients.http.request(verb, url, json=body)
    if missing_ok and answer.status_code == NO_SUCH_SINK:
        return None
    if not answer.ok:
        raise from_http_response(answer)
    content: dict[str, Any] = answer.json()
    return content


def _let_write(session: Session, writer: str) -> None:
    """Grant the sink's account the right to write into the data set, unless it has it."""
    from google.cloud.bigquery import AccessEntry

    dataset = find_dataset(session)
    assert dataset
    entries = list(dataset.access_entries)
    if any(entry.entity_id == writer and entry.role == "WRITER" for entry in entries):
        return
    dataset.access_entries = [*entries, AccessEntry("WRITER", "userByEmail", writer)]
    session.clients.bigquery.update_dataset(dataset, ["access_entries"])
