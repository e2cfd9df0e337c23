"""After a failed deployment: remove what this call created. Only `churn destroy` removes what is older."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from churn.bundle.bundle import Bundle
from churn.vertex.apply import set_traffic, undeploy
from churn.vertex.cloud.operations import retry_refused, wait_for, wait_for_pending
from churn.vertex.cloud.session import Session
from churn.vertex.cloud.staging import delete_objects, list_staged
from churn.vertex.cloud.state import State, find_dataset, read_state
from churn.vertex.monitoring.job import delete_tables, remove_monitor


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
    """Take traffic from the bundle, then remove what did not exist before."""
    wait_for_pending(session)
    state, new_id = read_state(session), session.deployment.deployed_id(bundle)
    if state.is_deployed(new_id):
        _take_off(session, state, new_id, before)
    if state.monitor and not before.state.monitor:
        delete_tables(session, state.monitor)
        remove_monitor(session, state)
    if state.endpoint and not before.state.endpoint:
        request = {"name": session.deployment.endpoint}
        wait_for(session, session.clients.endpoints.delete_endpoint(request))
    _remove_versions(session, state, before)
    if not before.has_dataset and find_dataset(session):
        dataset = session.deployment.dataset
        session.clients.bigquery.delete_dataset(dataset, delete_contents=True, not_found_ok=True)
    delete_objects(session, [blob for blob in list_staged(session) if blob.name not in before.files])


def _take_off(session: Session, state: State, new_id: str, before: Before) -> None:
    """Give the traffic back, and undeploy the model if this call deployed it."""
    shares = _shares_without(state, new_id, before.state)
    is_new = not before.state.is_deployed(new_id)
    has_others = len(state.deployed) > 1
    if state.share(new_id) and (shares or (is_new and has_others)):
        set_traffic(session, shares)
    if is_new:
        undeploy(session, new_id)


def _shares_without(state: State, new_id: str, before: State) -> dict[str, int]:
    """The traffic as it was, or all of it for the version that serves beside; empty if there was none."""
    old = dict(before.endpoint.traffic_split) if before.endpoint else {}
    shares = {key: share for key, share in old.items() if share and key != new_id and state.is_deployed(key)}
    if sum(shares.values()) == 100:
        return shares
    other_id = state.serving_id(except_id=new_id)
    return {other_id: 100} if other_id else {}


def _remove_versions(session: Session, state: State, before: Before) -> None:
    """Delete the registered versions that are new, and the model if there was none."""
    models, name = session.clients.models, session.deployment.model
    old = {version.version_id for version in before.state.versions}
    new = [version.version_id for version in state.versions if version.version_id not in old]
    if new and not old:
        retry_refused(lambda: wait_for(session, models.delete_model({"name": name})))
        return
    for number in new:
        _delete_version(session, models, f"{name}@{number}")


def _delete_version(session: Session, models: Any, name: str) -> None:
    retry_refused(lambda: wait_for(session, models.delete_model_version({"name": name})))
