"""Google's clients, and the deployment that a command works on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from churn.errors import UserError, missing_extra
from churn.vertex.cloud.deployment import Deployment

SCOPE = "https://www.googleapis.com/auth/cloud-platform"


@dataclass(frozen=True)
class Clients:
    """One client per service."""

    models: Any
    endpoints: Any
    preview: Any  # endpoints by v1beta1, which alone scales to zero; None unless `deploy.idle_minutes`
    jobs: Any
    pipelines: Any
    schedules: Any
    predictions: Any
    projects: Any
    storage: Any
    bigquery: Any
    http: Any  # a requests session with the credentials, for services without a client here


@dataclass(frozen=True)
class Session:
    """A deployment, and the clients of the account that it lies in.

    >>> session = connect(Deployment.from_config(cfg))
    >>> read_state(session).share("1234567890")
    """

    clients: Clients
    deployment: Deployment


def connect(deployment: Deployment) -> Session:
    """A session with the user's credentials, over REST.

    Raises `UserError` if the project, the bucket, Google's packages or the credentials are missing.
    """
    for key in ("project", "bucket"):
        if not getattr(deployment.config, key):
            raise UserError(f"no {key} is named", f"deploy.{key}", f"deploy.{key}=NAME")
    return Session(_make_clients(deployment), deployment)


def _make_clients(deployment: Deployment) -> Clients:
    try:
        from google.auth.transport.requests import AuthorizedSession
        from google.cloud import aiplatform_v1, bigquery, storage
        from google.cloud.resourcemanager_v3 import ProjectsClient
    except ImportError:
        raise missing_extra("google-cloud-aiplatform", "deploy") from None
    emulator = deployment.config.emulator
    credentials = _find_credentials(emulator)
    options = {"api_endpoint": emulator or f"{deployment.region}-aiplatform.googleapis.com"}
    vertex: dict[str, Any] = {"credentials": credentials, "transport": "rest", "client_options": options}
    others: dict[str, Any] = {"credentials": credentials}
    others |= {"client_options": {"api_endpoint": emulator} if emulator else {}}
    return Clients(
        aiplatform_v1.ModelServiceClient(**vertex),
        aiplatform_v1.EndpointServiceClient(**vertex),
        _preview_client(vertex) if deployment.config.idle_minutes else None,
        aiplatform_v1.JobServiceClient(**vertex),
        aiplatform_v1.PipelineServiceClient(**vertex),
        aiplatform_v1.ScheduleServiceClient(**vertex),
        aiplatform_v1.PredictionServiceClient(**vertex),
        ProjectsClient(**others, transport="rest"),
        storage.Client(**others, project=deployment.project),
        bigquery.Client(**others, project=deployment.project),
        AuthorizedSession(credentials),
    )


def _preview_client(options: dict[str, Any]) -> Any:
    """The client of v1beta1, whose import takes seconds."""
    from google.cloud.aiplatform_v1beta1 import EndpointServiceClient

    return EndpointServiceClient(**options)


def _find_credentials(emulator: str | None) -> Any:
    """The user's credentials; anonymous ones for an emulator."""
    from google.auth import default
    from google.auth.credentials import AnonymousCredentials
    from google.auth.exceptions import DefaultCredentialsError

    try:
        return AnonymousCredentials() if emulator else default(scopes=[SCOPE])[0]
    except DefaultCredentialsError:
        raise UserError("no Google credentials", do="gcloud auth application-default login") from None
