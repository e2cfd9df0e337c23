"""After a failed deployment: remove what this call created. Only `churn destroy` removes what is older."""

from __future__ import annotations

from dataclasses import dataclass

from churn.cloudrun.apply import update_service
from churn.cloudrun.log import delete_sink, find_sink
from churn.cloudrun.service import service_name
from churn.cloudrun.state import RunState, read_run_state, wait_until_settled
from churn.vertex.cloud.operations import OperationError, wait_for
from churn.vertex.cloud.session import Session
from churn.vertex.cloud.staging import delete_objects, list_staged
from churn.vertex.cloud.state import find_dataset

RESTORED = ("template", "scaling", "traffic")


@dataclass(frozen=True)
class Before:
    """What existed before a command changed anything."""

    state: RunState
    has_sink: bool
    has_dataset: bool
    files: frozenset[str]  # names of the staged objects


def remember(session: Session) -> Before:
    """What exists now, for `undo`."""
    files = frozenset(blob.name for blob in list_staged(session))
    has_sink, has_dataset = find_sink(session) is not None, find_dataset(session) is not None
    return Before(read_run_state(session), has_sink, has_dataset, files)


def undo(session: Session, before: Before) -> None:
    """Give the traffic back, then remove what did not exist before."""
    state = wait_until_settled(session)
    if state.service and before.state.service is None:
        delete_service(session)
    elif state.service:
        _restore(session, state, before.state)
    if not before.has_sink:
        delete_sink(session)
    if not before.has_dataset and find_dataset(session):
        dataset = session.deployment.dataset
        session.clients.bigquery.delete_dataset(dataset, delete_contents=True, not_found_ok=True)
    delete_objects(session, [blob for blob in list_staged(session) if blob.name not in before.files])


def delete_service(session: Session) -> None:
    """Delete the service with all its revisions."""
    request = {"name": service_name(session.deployment)}
    wait_for(session, session.clients.services.delete_service(request))


def _restore(session: Session, state: RunState, before: RunState) -> None:
    """Template, instances and traffic as they were, then the new revisions go."""
    old, now = before.service, state.service
    changed = [name for name in RESTORED if getattr(old, name) != getattr(now, name)]
    update_service(session, state, {name: getattr(old, name) for name in changed})
    for revision in state.revisions:
        if revision.name not in {known.name for known in before.revisions}:
            _delete_revision(session, revision.name)


def _delete_revision(session: Session, name: str) -> None:
    """Delete a revision; where the service keeps it, it has no traffic and costs nothing."""
    from google.api_core.exceptions import BadRequest

    try:
        wait_for(session, session.clients.revisions.delete_revision({"name": name}))
    except (BadRequest, OperationError) as error:
        print(f"{name} stays, without traffic and without cost: {error}")
