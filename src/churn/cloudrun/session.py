"""Google's clients of a deployment on Cloud Run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from churn.errors import missing_extra
from churn.vertex.cloud.deployment import Deployment
from churn.vertex.cloud.session import Session, SharedClients, find_credentials, require_names, shared_clients


@dataclass(frozen=True, kw_only=True)
class RunClients(SharedClients):
    """One client per service of Cloud Run."""

    services: Any
    revisions: Any

    @property
    def operations(self) -> Any:
        """The client that knows the long-running operations."""
        return self.services


def connect_run(deployment: Deployment) -> Session:
    """A session with the user's credentials, over REST.

    Raises `UserError` if the project, the bucket, Google's packages or the credentials are missing.
    """
    require_names(deployment)
    try:
        from google.cloud.run_v2 import RevisionsClient, ServicesClient
    except ImportError:
        raise missing_extra("google-cloud-run", "deploy") from None
    emulator = deployment.config.emulator
    credentials = find_credentials(emulator)
    options: dict[str, Any] = {"credentials": credentials, "transport": "rest"}
    options |= {"client_options": {"api_endpoint": emulator} if emulator else {}}
    clients = RunClients(
        services=ServicesClient(**options),
        revisions=RevisionsClient(**options),
        **shared_clients(deployment, credentials),
    )
    return Session(clients, deployment)
