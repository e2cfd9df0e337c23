"""Google's clients, and the deployment that a command works on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from churn.errors import UserError, missing_extra
from churn.vertex.cloud.deployment import Deployment

SCOPE = "https://www.googleapis.com/auth/cloud-platform"


@dataclass(frozen=True, kw_only=True)
class SharedClients:
    """The clients that each target needs."""

    projects: Any
    storage: Any
    bigquery: Any
    http: Any  # a requests session with the credentials, for services without a client here


@dataclass(frozen=True, kw_only=True)
class Clients(SharedClients):
    """One client per service of Vertex AI."""

    models: Any
    endpoints: Any
    preview: Any  # endpoints by v1beta1, which alone scales to zero; None unless `deploy.idle_minutes`
    jobs: Any
    pipelines: Any
    schedules: Any
    predictions: Any

    @property
    def operations(self) -> Any:
        """The client that knows the long-running operations."""
        return self.endpoints


@dataclass(frozen=True)
class Session:
    """A deployment, and the clients of the account that it lies in.

    >>> session = connect(Deployment.from_config(cfg))
    >>> read_state(session).share("1234567890")
    """

    clients: Any  # `Clients`, or those of `churn.cloudrun.session`
    deployment: Deployment


def connect(deployment: Deployment) -> Session:
    """A session with the user's credentials, over REST.

    Raises `UserError` if the project, the bucket, Google's packages or the credentials are missing.
    """
    require_names(deployment)
    return Session(_make_clients(deployment), deployment)


def require_names(deployment: Deployment) -> None:
    """Raise `UserError` if the project or the bucket is not named."""
    for key in ("project", "bucket"):
        if not getattr(deployment.config, key):
            raise UserError(f"no {key} is named", f"deploy.{key}", f"deploy.{key}=NAME")


def _make_clients(deployment: Deployment) -> Clients:
    try:
        from google.cloud import aiplatform_v1
    except ImportError:
        raise missing_extra("google-cloud-aiplatform", "deploy") from None
    credentials = find_credentials(deployment.config.emulator)
    options = {"api_endpoint": deployment.config.emulator or f"{deployment.region}-aiplatform.googleapis.com"}
    vertex: dict[str, Any] = {"credentials": credentials, "transport": "rest", "client_options": options}
    return Clients(
        models=aiplatform_v1.ModelServiceClient(**vertex),
        endpoints=aiplatform_v1.EndpointServiceClient(**vertex),
        preview=_preview_client(vertex) if deployment.config.idle_minutes else None,
        jobs=aiplatform_v1.JobServiceClient(**vertex),
        pipelines=aiplatform_v1.PipelineServiceClient(**vertex),
        schedules=aiplatform_v1.ScheduleServiceClient(**vertex),
        predictions=aiplatform_v1.PredictionServiceClient(**vertex),
        **shared_clients(deployment, credentials),
    )


def shared_clients(deployment: Deployment, credentials: Any) -> dict[str, Any]:
    """The fields of `SharedClients`; raises `UserError` where Google's packages are missing."""
    try:
        from google.auth.transport.requests import AuthorizedSession
        from google.cloud import bigquery, storage
        from google.cloud.resourcemanager_v3 import ProjectsClient
    except ImportError:
        raise missing_extra("google-cloud-resource-manager", "deploy") from None
    emulator = deployment.config.emulator
    options: dict[str, Any] = {"credentials": credentials}
    options |= {"client_options": {"api_endpoint": emulator} if emulator else {}}
    return {
        "projects": ProjectsClient(**options, transport="rest"),
        "storage": storage.Client(**options, project=deployment.project),
        "bigquery": bigquery.Client(**options, project=deployment.project),
        "http": AuthorizedSession(credentials),
    }


def _preview_client(options: dict[str, Any]) -> Any:
    """The client of v1beta1, whose import takes seconds."""
    from google.cloud.aiplatform_v1beta1 import EndpointServiceClient

    return EndpointServiceClient(**options)


def find_credentials(emulator: str | None) -> Any:
    """The user's credentials; anonymous ones for an emulator."""
    from google.auth import default
    from google.auth.credentials import AnonymousCredentials
    from google.auth.exceptions import DefaultCredentialsError

    try:
        return AnonymousCredentials() if emulator else default(scopes=[SCOPE])[0]
    except DefaultCredentialsError:
        raise UserError("no Google credentials", do="gcloud auth application-default login") from None
