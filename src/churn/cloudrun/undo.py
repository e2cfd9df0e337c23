"""After a failed deployment: remove what this call created; what is older or made by others stays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from churn.bundle.bundle import Bundle
from churn.cloudrun.apply import update_service
from churn.cloudrun.log import delete_sink, find_sink
from churn.cloudrun.service import PREVIOUS, revision_stem, service_name, traffic_targets
from churn.cloudrun.state import RunState, read_run_state, wait_until_settled
from churn.vertex.cloud.operations import OperationError, wait_for
from churn.vertex.cloud.session import Session
from churn.vertex.cloud.staging import delete_bundle, list_staged
from churn.vertex.cloud.state import find_dataset


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


def undo(session: Session, bundle: Bundle, before: Before) -> None:
    """Give the traffic back, then remove what this call made."""
    state = wait_until_settled(session)
    stem = revision_stem(session.deployment, bundle)
    others = [name for name in state.names if name in before.state.names or name not in state.attempts(stem)]
    if state.service:
        _undo_service(session, state, before.state, stem)
    if set(others) <= set(before.state.names):  # nobody else deploys there
        _remove_log(session, before)
    if not state.uses(session.deployment.artifact_uri(bundle), others):
        delete_bundle(session, bundle, kept=before.files)


def _undo_service(session: Session, state: RunState, before: RunState, stem: str) -> None:
    """Delete the service if only this call made it, else bring it back to what it was."""
    own = state.attempts(stem)
    if before.service is None and own == state.names:
        delete_service(session)
    elif before.service is None and own and not state.running(stem):  # there is no template to go back to
        print(f"{', '.join(own)} stays in the service that others made, without traffic and without cost")
    else:
        _restore(session, state, before, own)


def delete_service(session: Session) -> None:
    """Delete the service with all its revisions."""
    request = {"name": service_name(session.deployment)}
    wait_for(session, session.clients.services.delete_service(request))


def _remove_log(session: Session, before: Before) -> None:
    """Delete sink and data set, as far as this call made them."""
    if not before.has_sink:
        delete_sink(session)
    if not before.has_dataset and find_dataset(session):
        dataset = session.deployment.dataset
        session.clients.bigquery.delete_dataset(dataset, delete_contents=True, not_found_ok=True)


def _restore(session: Session, state: RunState, before: RunState, own: list[str]) -> None:
    """Template, instances and traffic as they were, then the new revisions of the bundle go.

    own: its revisions, old and new. What others changed meanwhile stays.
    """
    assert state.service
    new = [name for name in own if name not in before.names]
    shares, tags = _traffic_without(state, before, own)
    changed = (shares, tags) != (state.shares, state.tags)
    changes: dict[str, Any] = {"traffic": traffic_targets(shares, tags)} if changed else {}
    if before.service and state.service.template.revision in new:
        changes["template"] = before.service.template
    alone = set(state.names) <= {*before.names, *own}
    if before.service and alone and state.kept_instances != before.kept_instances:
        changes["scaling"] = before.service.scaling
    update_service(session, state, changes)
    for name in new:
        if name not in shares:
            _delete_revision(session, f"{service_name(session.deployment)}/revisions/{name}")


def _traffic_without(
    state: RunState, before: RunState, own: list[str]
) -> tuple[dict[str, int], dict[str, str]]:
    """Shares and tags as they were; if others moved the traffic, those of now without our new revisions."""
    old = {name: share for name, share in before.shares.items() if name in state.names}
    if (state.shares.keys() - own) <= old.keys() and sum(old.values()) == 100:
        tags = {tag: name for tag, name in before.tags.items() if name in state.names}
        others = {tag: name for tag, name in state.tags.items() if name not in own and tag != PREVIOUS}
        return old, tags | others
    lost = [name for name in own if name not in before.names]
    shares = {name: share for name, share in state.shares.items() if name not in lost}
    if not shares:  # nobody else can take it yet: who deploys beside will
        return state.shares, state.tags
    largest = max(shares, key=shares.__getitem__)
    shares[largest] += 100 - sum(shares.values())
    return shares, {tag: name for tag, name in state.tags.items() if name not in lost}


def _delete_revision(session: Session, name: str) -> None:
    """Delete a revision; where the service keeps it, it has no traffic and costs nothing."""
    from google.api_core.exceptions import BadRequest

    try:
        wait_for(session, session.clients.revisions.delete_revision({"name": name}))
    except (BadRequest, OperationError) as error:
        print(f"{name} stays, without traffic and without cost: {error}")
