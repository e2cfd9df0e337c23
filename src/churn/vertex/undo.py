"""After a failed deployment: remove what this call created; what is older or made by others stays."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from churn.bundle.bundle import Bundle
from churn.vertex.apply import REQUESTS, set_traffic, undeploy
from churn.vertex.cloud.operations import retry_refused, wait_for, wait_for_pending
from churn.vertex.cloud.session import Session
from churn.vertex.cloud.staging import delete_bundle, list_staged
from churn.vertex.cloud.state import State, find_dataset, holds, list_versions, read_state


@dataclass(frozen=True)
class Before:
    """What existed before a command changed anything."""

    state: State
    has_dataset: bool
    files: frozenset[str]  # names of the staged objects


def remember(session: Session) -> Before:
    """What exists now, for `undo`."""
    files = frozenset(blob.name for blob in list_staged(session))
    return Before(read_state(session), find_dataset(session) is not None, files)


def undo(session: Session, bundle: Bundle, before: Before) -> None:
    """Take traffic from the bundle, then remove what this call made; the monitoring was not yet touched."""
    wait_for_pending(session)
    state, new_id = read_state(session), session.deployment.deployed_id(bundle)
    if state.is_deployed(new_id):
        _take_off(session, state, new_id, before.state)
    if all(model.id == new_id for model in state.deployed):  # nobody else deploys there
        _remove_endpoint(session, state, before)
    _remove_versions(session, bundle, state, before.state)
    if not any(holds(version, bundle) for version in list_versions(session)):
        delete_bundle(session, bundle, kept=before.files)


def _take_off(session: Session, state: State, new_id: str, before: State) -> None:
    """Give the traffic back, and undeploy the model if this call deployed it."""
    shares = _shares_without(state, new_id, before)
    is_new = not before.is_deployed(new_id)
    has_others = len(state.deployed) > 1
    if state.share(new_id) and (shares or (is_new and has_others)):
        labels = dict(before.endpoint.labels) if before.endpoint else None
        set_traffic(session, shares, labels if shares == _other_shares(before, new_id) else None)
    if is_new:
        undeploy(session, new_id)


def _shares_without(state: State, new_id: str, before: State) -> dict[str, int]:
    """The traffic as it was; where others changed it meanwhile, theirs, and the rest for the one with most.

    Empty if no other version has traffic.
    """
    now, old = _other_shares(state, new_id), _other_shares(before, new_id)
    if now.keys() <= old.keys() and all(map(state.is_deployed, old)) and sum(old.values()) == 100:
        return old
    heir = state.serving_id(except_id=new_id)
    return now | {heir: now[heir] + 100 - sum(now.values())} if heir else {}


def _other_shares(state: State, new_id: str) -> dict[str, int]:
    """Per cent of the traffic of each other deployed model that has some."""
    ids = (model.id for model in state.deployed if model.id != new_id)
    return {model_id: share for model_id in ids if (share := state.share(model_id))}


def _remove_endpoint(session: Session, state: State, before: Before) -> None:
    """Delete the endpoint and its log, as far as this call made them."""
    if state.endpoint and not before.state.endpoint:
        request = {"name": session.deployment.endpoint}
        wait_for(session, session.clients.endpoints.delete_endpoint(request))
    if not before.has_dataset and find_dataset(session):
        _delete_log(session)


def _delete_log(session: Session) -> None:
    """Delete the data set of the requests; it stays where a batch prediction has a table of its own in it."""
    from google.api_core.exceptions import BadRequest

    bigquery, dataset = session.clients.bigquery, session.deployment.dataset
    bigquery.delete_table(f"{session.deployment.project}.{dataset}.{REQUESTS}", not_found_ok=True)
    with suppress(BadRequest):  # it is not empty
        bigquery.delete_dataset(dataset, not_found_ok=True)


def _remove_versions(session: Session, bundle: Bundle, state: State, before: State) -> None:
    """Delete the bundle's registered versions that are new, and the model if it has no others."""
    models, name = session.clients.models, session.deployment.model
    old = {version.version_id for version in before.versions}
    own = [version.version_id for version in state.versions_of(session.deployment, bundle)]
    new = [number for number in own if number not in old]
    if new and len(new) == len(state.versions):
        retry_refused(lambda: wait_for(session, models.delete_model({"name": name})))
        return
    for number in new:
        _delete_version(session, models, f"{name}@{number}")


def _delete_version(session: Session, models: Any, name: str) -> None:
    retry_refused(lambda: wait_for(session, models.delete_model_version({"name": name})))
