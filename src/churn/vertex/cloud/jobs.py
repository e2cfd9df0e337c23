"""Jobs and pipelines on Vertex AI, and what starts them: found by their label, waited for, removed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from churn.data.sources.paths import local_files
from churn.errors import UserError
from churn.vertex.cloud import client
from churn.vertex.cloud.client import Clients
from churn.vertex.cloud.deployment import LABEL, Deployment

KINDS = ("pipeline_job", "custom_job", "batch_prediction_job")  # a pipeline makes the others
OVER = ("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED", "PARTIALLY_SUCCEEDED")


def find_jobs(clients: Clients, target: Deployment, kinds: tuple[str, ...] = KINDS) -> list[Any]:
    """All jobs that carry the deployment's label."""
    request = {"parent": target.parent, "filter": f"labels.{LABEL}={target.name}"}
    return [job for kind in kinds for job in _client_method(clients, "list", kind, "s")(request)]


def find_schedules(clients: Clients, target: Deployment) -> list[Any]:
    """The schedules whose runs carry it; they have no labels of their own."""
    found = clients.schedules.list_schedules({"parent": target.parent})
    runs = {schedule.name: schedule.create_pipeline_job_request.pipeline_job for schedule in found}
    return [schedule for schedule in found if runs[schedule.name].labels.get(LABEL) == target.name]


def _client_method(clients: Clients, verb: str, kind: str, plural: str = "") -> Callable[..., Any]:
    """The method of the client that has that kind of jobs."""
    service = clients.pipelines if kind == "pipeline_job" else clients.jobs
    method: Callable[..., Any] = getattr(service, f"{verb}_{kind}{plural}")
    return method


def _job_kind(name: str) -> str:
    """The kind of the job with a resource name, as the client's methods are called."""
    collection = name.split("/")[-2]
    return {"customJobs": "custom_job", "pipelineJobs": "pipeline_job"}.get(
        collection, "batch_prediction_job"
    )


def _job_state(job: Any) -> str:
    """How far a job is, in a word."""
    return str(job.state.name.partition("_STATE_")[2])


def is_running(job: Any) -> bool:
    """Whether a job bills, or may yet."""
    return _job_state(job) not in OVER


def find_made_job(clients: Clients, target: Deployment, display_name: str) -> Any | None:
    """The job of that name that runs or has succeeded: the answer to the call that made it may be lost."""
    for kind in KINDS[1:]:
        for job in find_jobs(clients, target, (kind,)):
            if job.display_name == display_name and (is_running(job) or _job_state(job) == "SUCCEEDED"):
                return job
    return None


def wait_for_job(clients: Clients, name: str) -> Any:
    """The job once it has succeeded; raises `UserError` if it ended otherwise."""
    while is_running(job := _client_method(clients, "get", _job_kind(name))({"name": name})):
        time.sleep(client.POLL_SECONDS)
    if _job_state(job) != "SUCCEEDED":
        raise UserError(f"the job ended as {_job_state(job)}: {job.error.message}", name, log_command(name))
    return job


def log_command(name: str) -> str:
    """The command that shows what a job wrote."""
    _, project, *_, number = name.split("/")
    return f"gcloud logging read resource.labels.job_id={number} --project={project}"


def content_fingerprint(clients: Clients, source: str) -> str:
    """What changes with the rows of `source`: a file here, gs:// or bq://. A view counts as new every day."""
    if source.startswith("bq://"):
        table = clients.bigquery.get_table(source.removeprefix("bq://"))
        return str(table.modified if table.table_type == "TABLE" else today_text())
    if source.startswith("gs://"):
        bucket, _, name = source.removeprefix("gs://").partition("/")
        blobs = clients.storage.list_blobs(bucket, prefix=name.partition("*")[0])
        return str([(blob.name, blob.md5_hash) for blob in blobs])
    with local_files(source) as files:
        return str([hashlib.sha256(file.path.read_bytes()).hexdigest() for file in files])


def today_text() -> str:
    """The date."""
    return f"{datetime.now(UTC):%F}"


def remove_jobs(clients: Clients, target: Deployment) -> None:
    """Schedules, then what they started: cancel what runs, delete all, and wait until they are gone.

    Not by the operations: the client of 2026 knows no address for those of batch predictions.
    """
    from google.api_core.exceptions import NotFound

    for schedule in find_schedules(clients, target):
        with suppress(NotFound):
            clients.schedules.delete_schedule({"name": schedule.name})
    while find_schedules(clients, target):
        time.sleep(client.POLL_SECONDS)
    for kind in KINDS:
        for job in find_jobs(clients, target, (kind,)):
            if is_running(job):
                _client_method(clients, "cancel", kind)({"name": job.name})
                while is_running(_client_method(clients, "get", kind)({"name": job.name})):
                    time.sleep(client.POLL_SECONDS)
            with suppress(NotFound):  # an earlier call was accepted
                _client_method(clients, "delete", kind)({"name": job.name})
        while find_jobs(clients, target, (kind,)):
            time.sleep(client.POLL_SECONDS)
