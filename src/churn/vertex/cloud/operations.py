"""Waiting for Vertex AI's long-running operations."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from churn.errors import UserError
from churn.vertex.cloud.errors import to_user_error
from churn.vertex.cloud.session import Session

POLL_SECONDS = 5.0
ATTEMPTS = 60  # of a call that the service refuses for the time being, POLL_SECONDS apart
FAILED_PRECONDITION = 9  # google.rpc.Code


class OperationError(UserError):
    """The service accepted the call, and its work failed; `code` is a google.rpc.Code."""

    code = 0


def wait_for(session: Session, started: Any) -> None:
    """Wait until a long-running operation is done; raises `OperationError` with the service's reason."""
    from google.api_core.exceptions import from_grpc_status

    operation = _poll(session, started.operation.name)
    if operation.error.code:
        error = from_grpc_status(operation.error.code, operation.error.message)
        reason = to_user_error(error, session.deployment, "churn status")
        failure = OperationError(reason.what, reason.where, reason.do)
        failure.code = operation.error.code
        raise failure


def retry_refused(call: Callable[[], None]) -> None:
    """Call until the service no longer refuses because of the state that it is in; at most five minutes.

    A model cannot be deleted for a while after it was undeployed, a monitoring job not while it is PENDING.
    """
    from google.api_core.exceptions import BadRequest

    for attempt in range(1, ATTEMPTS + 1):
        try:
            return call()
        except (BadRequest, OperationError) as error:
            if attempt == ATTEMPTS or not _is_refused_for_now(error):
                raise
        time.sleep(POLL_SECONDS)
    return None


def wake(call: Callable[[], Any]) -> Any:
    """What `call` gives; an endpoint that has scaled to zero drops requests until a node has started."""
    from google.api_core.exceptions import TooManyRequests

    for _ in range(ATTEMPTS - 1):
        try:
            return call()
        except TooManyRequests:
            time.sleep(POLL_SECONDS)
    return call()


def _is_refused_for_now(error: Any) -> bool:
    """Whether the reason is what the resource is doing, not what was asked for."""
    if isinstance(error, OperationError):
        return error.code == FAILED_PRECONDITION
    return "FAILED_PRECONDITION" in (error.response.text if error.response is not None else "")


def wait_for_pending(session: Session) -> None:
    """Wait for the operations that an earlier, interrupted command started.

    It does not matter how they end: the next step reads what exists then.
    """
    from google.api_core.exceptions import NotFound

    deployment, clients = session.deployment, session.clients
    monitors = clients.jobs.list_model_deployment_monitoring_jobs(deployment.by_label)
    for parent in (deployment.model, deployment.endpoint, *(monitor.name for monitor in monitors)):
        try:
            operations = list(_list_operations(session, parent))
        except NotFound:
            continue
        for operation in operations:
            _poll(session, operation.name)


def _list_operations(session: Session, parent: str) -> Iterator[Any]:
    """All operations on a resource; this one list of the client does not turn its pages by itself."""
    request = {"name": parent}
    while True:
        page = session.clients.endpoints.list_operations(request)
        yield from page.operations
        if not page.next_page_token:
            return
        request["page_token"] = page.next_page_token


def _poll(session: Session, name: str) -> Any:
    """The operation once it is done."""
    while not (operation := session.clients.operations.get_operation({"name": name})).done:
        time.sleep(POLL_SECONDS)
    return operation
