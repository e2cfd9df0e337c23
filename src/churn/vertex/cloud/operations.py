"""Waiting for Vertex AI's long-running operations."""

from __future__ import annotations

import time
from typing import Any

from churn.errors import UserError
from churn.vertex.cloud.errors import to_user_error
from churn.vertex.cloud.session import Session

POLL_SECONDS = 5.0


class OperationError(UserError):
    """The service accepted the call, and its work failed."""


def wait_for(session: Session, started: Any) -> None:
    """Wait until a long-running operation is done; raises `OperationError` with the service's reason."""
    from google.api_core.exceptions import from_grpc_status

    operation = _poll(session, started.operation.name)
    if operation.error.code:
        error = from_grpc_status(operation.error.code, operation.error.message)
        reason = to_user_error(error, session.deployment, "churn status")
        raise OperationError(reason.what, reason.where, reason.do)


def wait_for_pending(session: Session) -> None:
    """Wait for the operations that an earlier, interrupted command started.

    It does not matter how they end: the next step reads what exists then.
    """
    from google.api_core.exceptions import NotFound

    deployment, clients = session.deployment, session.clients
    monitors = clients.jobs.list_model_deployment_monitoring_jobs(deployment.by_label)
    for parent in (deployment.model, deployment.endpoint, *(monitor.name for monitor in monitors)):
        try:
            operations = clients.endpoints.list_operations({"name": parent}).operations
        except NotFound:
            continue
        for operation in operations:
            _poll(session, operation.name)


def _poll(session: Session, name: str) -> Any:
    """The operation once it is done."""
    while not (operation := session.clients.endpoints.get_operation({"name": name})).done:
        time.sleep(POLL_SECONDS)
    return operation
