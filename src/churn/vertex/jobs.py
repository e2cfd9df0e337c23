"""Training and batch prediction as jobs on Vertex AI: found by their label, waited for, removed."""

from __future__ import annotations

import time
from typing import Any

from churn.errors import UserError
from churn.vertex import client
from churn.vertex.client import Clients
from churn.vertex.target import LABEL, Target

KINDS = ("batch_prediction_job", "custom_job")
RUNNING = ("QUEUED", "PENDING", "RUNNING", "UPDATING")


def find(clients: Clients, target: Target) -> list[Any]:
    """All jobs that carry the deployment's label."""
    request = {"parent": target.parent, "filter": f"labels.{LABEL}={target.name}"}
    return [job for kind in KINDS for job in getattr(clients.jobs, f"list_{kind}s")(request)]


def kind_of(name: str) -> str:
    """The kind of the job with a resource name, as the client's methods are called."""
    return "custom_job" if "/customJobs/" in name else "batch_prediction_job"


def is_running(job: Any) -> bool:
    """Whether a job bills."""
    return job.state.name.removeprefix("JOB_STATE_") in RUNNING


def running(clients: Clients, target: Target, display_name: str) -> Any | None:
    """The job of that name which an earlier call started and which still runs, or none."""
    found = [job for job in find(clients, target) if job.display_name == display_name and is_running(job)]
    return found[0] if found else None


def wait(clients: Clients, name: str) -> Any:
    """The job once it has succeeded; raises `UserError` if it ended otherwise."""
    while True:
        job = getattr(clients.jobs, f"get_{kind_of(name)}")({"name": name})
        state = job.state.name.removeprefix("JOB_STATE_")
        if state not in (*RUNNING, "CANCELLING", "UNSPECIFIED"):
            break
        time.sleep(client.POLL_SECONDS)
    if state != "SUCCEEDED":
        raise UserError(f"the job ended as {state}: {job.error.message}", name, logs(name))
    return job


def logs(name: str) -> str:
    """The command that shows what a job wrote."""
    _, project, *_, number = name.split("/")
    return f"gcloud logging read resource.labels.job_id={number} --project={project}"


def remove(clients: Clients, target: Target) -> None:
    """Cancel what runs, delete all, and wait until they are gone.

    Not by the operations: the client of 2026 knows no address for those of batch predictions.
    """
    for job in find(clients, target):
        kind = kind_of(job.name)
        if is_running(job):
            getattr(clients.jobs, f"cancel_{kind}")({"name": job.name})
            while is_running(getattr(clients.jobs, f"get_{kind}")({"name": job.name})):
                time.sleep(client.POLL_SECONDS)
        getattr(clients.jobs, f"delete_{kind}")({"name": job.name})
    while find(clients, target):
        time.sleep(client.POLL_SECONDS)
