"""Jobs, pipelines and schedules of a deployment on Vertex AI."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from churn.data.sources.paths import WILDCARDS, is_delta, local_files
from churn.errors import UserError
from churn.vertex.cloud import operations
from churn.vertex.cloud.deployment import today
from churn.vertex.cloud.session import Clients, Session

KINDS = ("pipeline_job", "custom_job", "batch_prediction_job")  # pipelines create the other two
COLLECTIONS = {"pipelineJobs": "pipeline_job", "customJobs": "custom_job"}  # else batch_prediction_job
FINISHED = ("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED", "PARTIALLY_SUCCEEDED")
WITH_ANSWERS = ("SUCCEEDED", "PARTIALLY_SUCCEEDED")  # of some rows, at least
RETRY = "run the same command again: it finds the job where one was started"


def find_jobs(session: Session, kinds: tuple[str, ...] = KINDS) -> list[Any]:
    """All jobs with the deployment's label."""
    request = session.deployment.by_label
    return [job for kind in kinds for job in _client_method(session.clients, "list", f"{kind}s")(request)]


def find_schedules(session: Session) -> list[Any]:
    """The schedules whose runs have the deployment's label; schedules have no labels of their own."""
    schedules = session.clients.schedules.list_schedules({"parent": session.deployment.parent})
    return [
        schedule
        for schedule in schedules
        if session.deployment.owns(schedule.create_pipeline_job_request.pipeline_job.labels)
    ]


def _client_method(clients: Clients, verb: str, kind: str) -> Callable[..., Any]:
    """For example `get_custom_job`, of the client for that kind of jobs."""
    service = clients.pipelines if kind.startswith("pipeline_job") else clients.jobs
    method: Callable[..., Any] = getattr(service, f"{verb}_{kind}")
    return method


def _job_state(job: Any) -> str:
    """For example RUNNING, of JOB_STATE_RUNNING."""
    return str(job.state.name.partition("_STATE_")[2])


def is_running(job: Any) -> bool:
    """Whether a job is not finished: it costs money, or soon will."""
    return _job_state(job) not in FINISHED


def find_started_job(session: Session, display_name: str) -> Any | None:
    """The job of that name that runs or has given answers: an earlier command may have started it."""
    for kind in KINDS[1:]:
        for job in find_jobs(session, (kind,)):
            if job.display_name == display_name and (is_running(job) or _job_state(job) in WITH_ANSWERS):
                return job
    return None


def wait_for_job(session: Session, name: str) -> Any:
    """The job once it has given answers; raises `UserError` if it ended otherwise."""
    kind = COLLECTIONS.get(name.split("/")[-2], "batch_prediction_job")
    job = _wait_until_finished(session, kind, name)
    if _job_state(job) not in WITH_ANSWERS:
        raise UserError(f"the job ended as {_job_state(job)}: {job.error.message}", name, log_command(name))
    return job


def _wait_until_finished(session: Session, kind: str, name: str) -> Any:
    while is_running(job := _client_method(session.clients, "get", kind)({"name": name})):
        time.sleep(operations.POLL_SECONDS)
    return job


def log_command(name: str) -> str:
    """The command that shows a job's log."""
    _, project, *_, number = name.split("/")
    return f"gcloud logging read resource.labels.job_id={number} --project={project}"


def content_fingerprint(session: Session, source: str) -> str:
    """A text that changes with the rows of a file, gs:// or bq://; of a view or a database, with the day."""
    from google.api_core.exceptions import NotFound

    if source.startswith("bq://"):
        try:
            table = session.clients.bigquery.get_table(source.removeprefix("bq://"))
        except ValueError:  # the client's, before it asks
            raise UserError("this is no name of a table", source, "write PROJECT.DATASET.TABLE") from None
        except NotFound:
            project, _, rest = source.removeprefix("bq://").rpartition(".")[0].rpartition(".")
            raise UserError("there is no such table", source, f"bq ls {project}:{rest}") from None
        return str(table.modified if table.table_type == "TABLE" else today())
    if source.startswith("gs://"):
        return _objects_fingerprint(session, source)
    if "://" in source or is_delta(source):
        return str(today())
    with local_files(source) as files:
        return str([_file_digest(file.path) for file in files])


def _file_digest(path: Path) -> str:
    """The SHA-256 of a file, which may be larger than the memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _objects_fingerprint(session: Session, source: str) -> str:
    """The names and checksums of all objects that a gs:// path may name; raises `UserError` if there is none.

    The path may have wildcards, and options as in `churn.data.sources.paths`.
    """
    uri = urlsplit(source)
    bucket, name = uri.netloc.rpartition("@")[2], uri.path.removeprefix("/")
    if not bucket:
        raise UserError("this names no bucket", source, "write gs://BUCKET/NAME")
    prefix = re.split(f"[{re.escape(WILDCARDS)}]", name)[0]
    blobs = session.clients.storage.list_blobs(bucket, prefix=prefix)
    sums = [(blob.name, blob.crc32c) for blob in blobs]  # an object made of parts has no MD5
    if not sums:
        raise UserError("there is no such object", source, f"gcloud storage ls gs://{bucket}/{prefix}*")
    return str(sums)


def remove_jobs(session: Session) -> None:
    """Delete the schedules, then what they started; running jobs are cancelled first.

    Waits until the lists are empty instead of waiting for the operations: the client of 2026 knows no address
    for the operations of batch predictions.
    """
    _remove_schedules(session)
    for kind in KINDS:
        for job in find_jobs(session, (kind,)):
            _remove_job(session, kind, job)
        while find_jobs(session, (kind,)):
            time.sleep(operations.POLL_SECONDS)


def _remove_schedules(session: Session) -> None:
    from google.api_core.exceptions import NotFound

    for schedule in find_schedules(session):
        with suppress(NotFound):  # an earlier call was accepted
            session.clients.schedules.delete_schedule({"name": schedule.name})
    while find_schedules(session):
        time.sleep(operations.POLL_SECONDS)


def _remove_job(session: Session, kind: str, job: Any) -> None:
    from google.api_core.exceptions import NotFound

    if is_running(job):
        _client_method(session.clients, "cancel", kind)({"name": job.name})
        _wait_until_finished(session, kind, job.name)
    with suppress(NotFound):  # an earlier call was accepted
        _client_method(session.clients, "delete", kind)({"name": job.name})
