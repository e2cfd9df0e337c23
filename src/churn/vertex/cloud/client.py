"""Google's clients, what their errors mean for the user, and waiting for what the service does meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from churn.config.serving import DeployConfig
from churn.errors import UserError, missing_extra
from churn.vertex.cloud.deployment import LABEL, Deployment

POLL_SECONDS = 5.0
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
SERVICES = ("aiplatform", "storage", "bigquery", "cloudresourcemanager", "artifactregistry")


class OperationError(UserError):
    """The service accepted the work and could not do it."""


@dataclass(frozen=True)
class Clients:
    """One client per service."""

    models: Any
    endpoints: Any
    jobs: Any
    pipelines: Any
    schedules: Any
    predictions: Any
    projects: Any
    storage: Any
    bigquery: Any
    http: Any  # a session with the credentials, for what has no client here


def connect(cfg: DeployConfig, target: Deployment) -> Clients:
    """Clients with the user's credentials, over REST; raises `UserError` where something is missing."""
    for key in ("project", "bucket"):
        if not getattr(cfg, key):
            raise UserError(f"no {key} is named", f"deploy.{key}", f"deploy.{key}=NAME")
    try:
        from google.auth import default
        from google.auth.credentials import AnonymousCredentials
        from google.auth.exceptions import DefaultCredentialsError
        from google.auth.transport.requests import AuthorizedSession
        from google.cloud import aiplatform_v1, bigquery, storage
        from google.cloud.resourcemanager_v3 import ProjectsClient
    except ImportError:
        raise missing_extra("google-cloud-aiplatform", "deploy") from None
    try:
        credentials = AnonymousCredentials() if cfg.emulator else default(scopes=[SCOPE])[0]
    except DefaultCredentialsError:
        raise UserError("no Google credentials", do="gcloud auth application-default login") from None
    options = {"api_endpoint": cfg.emulator or f"{target.region}-aiplatform.googleapis.com"}
    rest: dict[str, Any] = {"credentials": credentials, "transport": "rest"}
    others = {"client_options": {"api_endpoint": cfg.emulator} if cfg.emulator else {}}
    named = {"project": target.project, "credentials": credentials, **others}
    return Clients(
        aiplatform_v1.ModelServiceClient(**rest, client_options=options),
        aiplatform_v1.EndpointServiceClient(**rest, client_options=options),
        aiplatform_v1.JobServiceClient(**rest, client_options=options),
        aiplatform_v1.PipelineServiceClient(**rest, client_options=options),
        aiplatform_v1.ScheduleServiceClient(**rest, client_options=options),
        aiplatform_v1.PredictionServiceClient(**rest, client_options=options),
        ProjectsClient(**rest, **others),
        storage.Client(**named),
        bigquery.Client(**named),
        AuthorizedSession(credentials),
    )


def wait_for(clients: Clients, target: Deployment, operation: str) -> None:
    """Wait until a long-running operation is done; raises `OperationError` with the service's reason."""
    from google.api_core.exceptions import from_grpc_status

    while not (found := clients.endpoints.get_operation({"name": operation})).done:
        time.sleep(POLL_SECONDS)
    if found.error.code:
        told = to_user_error(from_grpc_status(found.error.code, found.error.message), target, "churn status")
        raise OperationError(told.what, told.where, told.do)


def wait_for_pending(clients: Clients, target: Deployment) -> None:
    """Wait for what an earlier run that was cut off had set going; how it ended shows in what exists."""
    from google.api_core.exceptions import NotFound

    labelled = {"parent": target.parent, "filter": f"labels.{LABEL}={target.name}"}
    monitors = clients.jobs.list_model_deployment_monitoring_jobs(labelled)
    for parent in (target.model, target.endpoint, *(monitor.name for monitor in monitors)):
        try:
            running = clients.endpoints.list_operations({"name": parent}).operations
        except NotFound:
            continue
        for operation in running:
            while not clients.endpoints.get_operation({"name": operation.name}).done:
                time.sleep(POLL_SECONDS)


@contextmanager
def translate_errors(target: Deployment, otherwise: str) -> Iterator[None]:
    """Turn what the services refuse into a `UserError` with its remedy, else `otherwise`."""
    from google.api_core.exceptions import GoogleAPICallError, RetryError
    from google.auth.exceptions import GoogleAuthError
    from requests import RequestException

    try:
        yield
    except (GoogleAPICallError, RetryError, GoogleAuthError, RequestException) as error:
        raise to_user_error(error, target, otherwise) from error


def to_user_error(error: Exception, target: Deployment, otherwise: str) -> UserError:
    """What a failed call means and what to type."""
    from google.api_core import exceptions
    from google.auth.exceptions import GoogleAuthError

    text = getattr(error, "message", str(error))
    if isinstance(error, GoogleAuthError):
        return UserError("the Google credentials are refused", text, "gcloud auth application-default login")
    if isinstance(error, exceptions.Forbidden):
        if "SERVICE_DISABLED" in str(error) or "has not been used" in text:
            return UserError("an API is not enabled", text, enable_command(target))
        owner = next((role for mark, role in OWNERS.items() if mark in text), "roles/aiplatform.user")
        return UserError("permission denied", text, grant_command(target, owner))
    if isinstance(error, exceptions.TooManyRequests):
        listing = "gcloud beta quotas info list --service=aiplatform.googleapis.com"
        return UserError(
            "a quota is used up (this is no lack of permission)",
            text,
            f"wait a minute and try again, or see what is granted: {listing} --project={target.project}",
        )
    if isinstance(error, exceptions.ClientError):
        return UserError("the service refuses this", text, otherwise)
    return UserError("the service could not be reached or did not answer in time", text, otherwise)


OWNERS = {  # a word of the service's message -> the least role that helps
    "storage.buckets.": "roles/storage.legacyBucketReader",
    "storage.": "roles/storage.objectAdmin",
    "bigquery.tables.": "roles/bigquery.dataViewer",
    "bigquery.": "roles/bigquery.user",
    "actAs": "roles/iam.serviceAccountUser",
    "artifactregistry.": "roles/artifactregistry.reader",
}


def grant_command(target: Deployment, role: str) -> str:
    """The command that grants a role: on the bucket what is about objects, else on the project."""
    where = f"projects add-iam-policy-binding {target.project}"
    if role.startswith("roles/storage."):
        where = f"storage buckets add-iam-policy-binding gs://{target.bucket}"
    return f"gcloud {where} --member=user:$(gcloud config get account) --role={role}"


def enable_command(target: Deployment) -> str:
    """The command that enables all APIs that are used."""
    services = " ".join(f"{service}.googleapis.com" for service in SERVICES)
    return f"gcloud services enable {services} --project={target.project}"
