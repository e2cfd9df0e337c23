"""The steps that bring a bundle to its service; a step that was done before does nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from churn.bundle.bundle import Bundle
from churn.cloudrun.invokers import ensure_invokers
from churn.cloudrun.log import ensure_log
from churn.cloudrun.probe import check_revision
from churn.cloudrun.service import (
    PREVIOUS,
    PROBE,
    revision_stem,
    scaling,
    template,
    traffic_targets,
)
from churn.cloudrun.state import RunState, read_run_state
from churn.vertex.apply import traffic_split
from churn.vertex.cloud.deployment import Deployment
from churn.vertex.cloud.operations import wait_for
from churn.vertex.cloud.session import Session
from churn.vertex.cloud.staging import upload_bundle


def apply_revision(session: Session, bundle: Bundle, rows: pd.DataFrame) -> None:
    """Stage, make the revision without traffic, compare its answers, then shift traffic.

    rows: real customers, sent to the revision to compare its answers with the bundle's.
    """
    upload_bundle(session, bundle)
    ensure_log(session)
    state = read_run_state(session)
    if state.service is None:
        _create_service(session, bundle)
    else:
        _ensure_revision(session, bundle, state)
    state = read_run_state(session)
    check_revision(session, state, bundle, rows)
    _shift_traffic(session, bundle, state)
    ensure_invokers(session)


def _create_service(session: Session, bundle: Bundle) -> None:
    """The service with its first revision, which alone has the traffic: nobody calls it yet."""
    deployment = session.deployment
    name = revision_stem(deployment, bundle)
    service = {
        "labels": deployment.labels,
        "template": template(deployment, bundle, name),
        "scaling": scaling(deployment),
        "traffic": traffic_targets({name: 100}, {PROBE: name}),
    }
    request = {"parent": deployment.parent, "service": service, "service_id": deployment.name}
    wait_for(session, session.clients.services.create_service(request))


def _ensure_revision(session: Session, bundle: Bundle, state: RunState) -> None:
    """Make the revision unless it runs, and give it the tag by which it is asked before it has traffic."""
    deployment, stem = session.deployment, revision_stem(session.deployment, bundle)
    changes: dict[str, Any] = {}
    if state.kept_instances != deployment.size.min_replicas:
        changes["scaling"] = scaling(deployment)
    name = state.running(stem)
    if name is None:
        name = state.next_name(stem)
        changes["template"] = template(deployment, bundle, name)
    if state.tags.get(PROBE) != name:
        changes["traffic"] = traffic_targets(state.shares, state.tags | {PROBE: name})
    update_service(session, state, changes)


def update_service(session: Session, state: RunState, changes: Mapping[str, Any]) -> None:
    """Change fields of the service, if any; the service refuses if somebody else changed it meanwhile.

    The other fields are sent as they are, and the mask says which are new.
    """
    assert state.service
    if not changes:
        return
    service = type(state.service)(state.service)  # with its etag
    for name, value in changes.items():
        setattr(service, name, value)
    request = {"service": service, "update_mask": {"paths": list(changes)}}
    wait_for(session, session.clients.services.update_service(request))


def set_traffic(session: Session, state: RunState, shares: dict[str, int], tags: dict[str, str]) -> None:
    """Set the shares and the tags of all revisions, unless they are so already."""
    if (shares, tags) != (state.shares, state.tags):
        update_service(session, state, {"traffic": traffic_targets(shares, tags)})


def wanted_traffic(
    deployment: Deployment, state: RunState, name: str
) -> tuple[dict[str, int], dict[str, str]]:
    """Shares and tags after the check: the revision has at least the configured share."""
    other = state.serving(except_name=name)
    share = max(deployment.config.canary, state.shares.get(name, 0))
    tags = {tag: revision for tag, revision in state.tags.items() if tag != PROBE}
    if previous := other or (state.previous if state.previous != name else None):
        tags[PREVIOUS] = previous
    elif PREVIOUS in tags:
        del tags[PREVIOUS]
    return traffic_split(name, share, other), tags


def _shift_traffic(session: Session, bundle: Bundle, state: RunState) -> None:
    name = state.running(revision_stem(session.deployment, bundle))
    assert name  # its answers were compared
    set_traffic(session, state, *wanted_traffic(session.deployment, state, name))
