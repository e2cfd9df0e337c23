"""Google's clients, what their errors mean for the user, and waiting for what the service does meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from churn.config import DeployConfig
from churn.errors import UserError, missing_extra
from churn.vertex.target import Target

POLL_SECONDS = 5.0


class OperationError(UserError):
    """The service accepted the work and could not do it."""


@dataclass(frozen=True)
class Clients:
    """One client per service."""

    models: Any
    endpoints: Any
    jobs: Any
    predictions: Any
    projects: Any
    storage: Any
    bigquery: Any


def connect(cfg: DeployConfig, target: Target) -> Clients:
    """Clients with the user's credentials, over REST; raises `UserError` where something is missing."""
    for key in ("project", "bucket"):
        if not getattr(cfg, key):
            raise UserError(f"no {key} is named", f"deploy.{key}", f"deploy.{key}=NAME")
    try:
        from google.auth import default
        from google.auth.credentials import AnonymousCredentials
        from google.auth.exceptions import DefaultCredentialsError
        from google.cloud import aiplatform_v1, bigquery, storage
        from google.cloud.resourcemanager_v3 import ProjectsClient
    except ImportError:
        raise missing_extra("google-cloud-aiplatform", "deploy") from None
    try:
        credentials = AnonymousCredentials() if cfg.emulator else default()[0]
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
        aiplatform_v1.PredictionServiceClient(**rest, client_options=options),
        ProjectsClient(**rest, **others),
        storage.Client(**named),
        bigquery.Client(**named),
    )


def finish(clients: Clients, operation: str) -> None:
    """Wait until a long-running operation is done; raises `OperationError` with the service's reason."""
    while not (found := clients.endpoints.get_operation({"name": operation})).done:
        time.sleep(POLL_SECONDS)
    if found.error.code:
        raise OperationError(f"Vertex AI could not do it: {found.error.message}", operation)


def settle(clients: Clients, target: Target) -> None:
    """Wait for what an earlier run that was cut off had set going; how it ended shows in what exists."""
    from google.api_core.exceptions import NotFound

    for parent in (target.model, target.endpoint):
        try:
            running = clients.endpoints.list_operations({"name": parent}).operations
        except NotFound:
            continue
        for operation in running:
            while not clients.endpoints.get_operation({"name": operation.name}).done:
                time.sleep(POLL_SECONDS)


@contextmanager
def in_plain_words(target: Target, otherwise: str) -> Iterator[None]:
    """Turn what the services refuse into a `UserError` with its remedy, else `otherwise`."""
    from google.api_core.exceptions import GoogleAPICallError, RetryError
    from google.auth.exceptions import GoogleAuthError
    from requests import RequestException

    try:
        yield
    except (GoogleAPICallError, RetryError, GoogleAuthError, RequestException) as error:
        raise explained(error, target, otherwise) from error


def explained(error: Exception, target: Target, otherwise: str) -> UserError:
    """What a failed call means and what to type."""
    from google.api_core import exceptions
    from google.auth.exceptions import GoogleAuthError

    text = getattr(error, "message", str(error))
    if isinstance(error, GoogleAuthError):
        return UserError("the Google credentials are refused", text, "gcloud auth application-default login")
    if isinstance(error, exceptions.Forbidden):
        if "SERVICE_DISABLED" in str(error) or "has not been used" in text:
            services = "aiplatform.googleapis.com storage.googleapis.com bigquery.googleapis.com"
            services += " cloudresourcemanager.googleapis.com"
            return UserError(
                "an API is not enabled", text, f"gcloud services enable {services} --project={target.project}"
            )
        owners = {"storage.": "roles/storage.admin", "bigquery.": "roles/bigquery.user"}
        role = next((role for mark, role in owners.items() if mark in text), "roles/aiplatform.user")
        return UserError("permission denied", text, grant(target, role))
    if isinstance(error, exceptions.TooManyRequests):
        return UserError(
            "a quota is used up (this is no lack of permission)",
            text,
            "wait a minute, or see what is granted: gcloud alpha services quota list"
            f" --consumer=projects/{target.project} --service=aiplatform.googleapis.com",
        )
    if isinstance(error, exceptions.ClientError):
        return UserError("the service refuses this", text, otherwise)
    return UserError("the service could not be reached or did not answer in time", text, otherwise)


def grant(target: Target, role: str) -> str:
    """The command that grants a role."""
    return f"gcloud projects add-iam-policy-binding {target.project} --member=user:YOU --role={role}"
