"""The steps that bring a bundle to its endpoint; a step that was done before does nothing.

Names and ids follow from configuration and bundle (`Deployment`), so a call cannot be made twice, even if the
service accepted it and its answer was lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from churn.bundle.bundle import Bundle
from churn.errors import UserError
from churn.vertex.checks import parity
from churn.vertex.cloud.deployment import PREVIOUS, Deployment, staged_digest, version_labels
from churn.vertex.cloud.errors import RETRY
from churn.vertex.cloud.operations import OperationError, wait_for
from churn.vertex.cloud.session import Session
from churn.vertex.cloud.staging import upload_bundle
from churn.vertex.cloud.state import State, find_dataset, list_versions, read_state
from churn.vertex.monitoring import job

REQUESTS = "requests"  # table of the log


def apply_deployment(session: Session, bundle: Bundle, rows: pd.DataFrame) -> None:
    """Stage, register, deploy with a small share, compare answers, shift traffic, tidy up, monitor.

    rows: real customers, sent to the new version to compare its answers with the bundle's.
    """
    _ensure_deployed(session, bundle)
    _raise_share(session, bundle, session.deployment.probe_share)
    parity.check_parity(session, read_state(session), bundle, rows)
    _raise_share(session, bundle, session.deployment.config.canary)
    try:
        _tidy_up(session, bundle)
        job.ensure_monitor(session, bundle, read_state(session))
    except OperationError as error:  # the version works, so it is not undone
        what = f"the version serves, but something after that failed: {error.what}"
        raise UserError(what, error.where, RETRY) from error


def _tidy_up(session: Session, bundle: Bundle) -> None:
    """Take all versions off the endpoint but the bundle's and the one to roll back to."""
    for model in read_state(session).to_remove(session.deployment.deployed_id(bundle)):
        undeploy(session, model.id)


def _ensure_deployed(session: Session, bundle: Bundle) -> None:
    """Put the bundle on the endpoint, with the configured number of nodes."""
    version, deployed_id = ensure_version(session, bundle), session.deployment.deployed_id(bundle)
    state = read_state(session)
    if not state.endpoint:
        _create_endpoint(session)
        state = read_state(session)
    if not state.is_deployed(deployed_id):
        _deploy_version(session, bundle, version, state)
    elif state.nodes(deployed_id) != session.deployment.size.nodes:
        _resize(session, deployed_id)


def ensure_version(session: Session, bundle: Bundle) -> Any:
    """The registered version that holds the bundle; it is staged and registered unless it is.

    Raises `UserError` if versions cannot be told apart: then each call would register one more.
    """
    deployment = session.deployment
    upload_bundle(session, bundle)
    state = State(versions=list_versions(session))
    if version := state.version(deployment, bundle):
        return version
    _refuse_unknown(deployment, state)
    _register_version(session, bundle, state)
    state = State(versions=list_versions(session))
    if version := state.version(deployment, bundle):
        return version
    _refuse_unknown(deployment, state)
    raise UserError("the registered version can't be found", deployment.model, "run the same command again")


def _refuse_unknown(deployment: Deployment, state: State) -> None:
    """Raise `UserError` if a version does not say by its artifact's address which bundle it holds."""
    unknown = [v for v in state.versions if staged_digest(v.artifact_uri) is None]
    if unknown:
        where = ", ".join(f"{deployment.model}@{v.version_id}: {v.artifact_uri!r}" for v in unknown)
        what = "a version of the model has no artifact of `churn deploy`, so versions can't be told apart"
        raise UserError(what, where, "another deploy.name=NAME, or churn destroy, which removes all versions")


def _register_version(session: Session, bundle: Bundle, state: State) -> None:
    """Register the bundle as a new version of the model, or as the first one."""
    deployment = session.deployment
    model = {
        "display_name": deployment.name,
        "artifact_uri": deployment.artifact_uri(bundle),
        "container_spec": _container_spec(deployment),
        "labels": version_labels(deployment, bundle),
        **deployment.encryption,
    }
    parent = {"parent_model": deployment.model} if state.versions else {"model_id": deployment.name}
    request = {"parent": deployment.parent, "model": model, **parent}
    wait_for(session, session.clients.models.upload_model(request))


def _container_spec(deployment: Deployment) -> dict[str, Any]:
    serving = deployment.serving
    return {
        "image_uri": deployment.image,
        "command": serving.command,
        "args": serving.args,
        "predict_route": serving.predict_route or "",
        "health_route": serving.health_route or "",
        "ports": [{"container_port": 8080}] if serving.predict_route else [],
    }


def _create_endpoint(session: Session) -> None:
    """Create the endpoint with its log: once there is a monitoring job, the log cannot be configured."""
    deployment = session.deployment
    ensure_dataset(session)
    log = {
        "enabled": True,
        "sampling_rate": deployment.config.monitoring.sampling,
        "bigquery_destination": {"output_uri": f"bq://{deployment.project}.{deployment.dataset}.{REQUESTS}"},
    }
    endpoint = {
        "display_name": deployment.name,
        "labels": deployment.labels,
        "predict_request_response_logging_config": log,
        "dedicated_endpoint_enabled": deployment.config.dedicated,
        **deployment.encryption,
    }
    request = {"parent": deployment.parent, "endpoint": endpoint, "endpoint_id": deployment.name}
    wait_for(session, session.clients.endpoints.create_endpoint(request))


def ensure_dataset(session: Session) -> None:
    """Create the BigQuery data set of the log, unless it exists."""
    from google.cloud.bigquery import Dataset, EncryptionConfiguration

    deployment = session.deployment
    if find_dataset(session) is None:
        dataset = Dataset(f"{deployment.project}.{deployment.dataset}")
        dataset.location, dataset.labels = deployment.region, deployment.labels
        if key := deployment.config.kms_key:  # of every table that has no other one
            dataset.default_encryption_configuration = EncryptionConfiguration(key)
        session.clients.bigquery.create_dataset(dataset)


def _deploy_version(session: Session, bundle: Bundle, version: Any, state: State) -> None:
    """Deploy the bundle's version to the endpoint, with the probe's share of the traffic."""
    deployment = session.deployment
    deployed = {
        "id": deployment.deployed_id(bundle),
        "model": f"{deployment.model}@{version.version_id}",
        "display_name": f"{deployment.name}-{version.version_id}",
        "dedicated_resources": {
            "machine_spec": {"machine_type": deployment.size.machine_type},
            **_replica_counts(deployment),
            **_scale_to_zero(deployment),
        },
        "service_account": deployment.config.service_account or "",
        "enable_access_logging": deployment.config.access_logging,
    }
    request = {
        "endpoint": deployment.endpoint,
        "deployed_model": deployed,
        "traffic_split": traffic_split("0", deployment.probe_share, state.serving_id()),  # "0": the new one
    }
    client = session.clients.preview if deployment.config.idle_minutes else session.clients.endpoints
    wait_for(session, client.deploy_model(request))


def _scale_to_zero(deployment: Deployment) -> dict[str, Any]:
    """Start with one node for the check of answers; none after `deploy.idle_minutes` without a request."""
    minutes = deployment.config.idle_minutes
    spec = {"idle_scaledown_period": {"seconds": (minutes or 0) * 60}}
    return {"initial_replica_count": 1, "scale_to_zero_spec": spec} if minutes else {}


def _replica_counts(deployment: Deployment) -> dict[str, int]:
    return dict(zip(("min_replica_count", "max_replica_count"), deployment.size.nodes, strict=True))


def _resize(session: Session, deployed_id: str) -> None:
    """Give a deployed model another number of nodes; it serves meanwhile."""
    counts = _replica_counts(session.deployment)
    request = {
        "endpoint": session.deployment.endpoint,
        "deployed_model": {"id": deployed_id, "dedicated_resources": counts},
        "update_mask": {"paths": [f"dedicated_resources.{name}" for name in counts]},
    }
    wait_for(session, session.clients.endpoints.mutate_deployed_model(request))


def traffic_split(model_id: str, share: int, other_id: str | None) -> dict[str, int]:
    """Per cent of the traffic by deployed model: a share for the first, the rest for the other if any.

    >>> traffic_split("2", 10, "1")
    {'2': 10, '1': 90}
    """
    return {model_id: share, other_id: 100 - share} if other_id and share < 100 else {model_id: 100}


def _raise_share(session: Session, bundle: Bundle, share: int) -> None:
    """Give the bundle at least that share; the version that serves beside it keeps the rest.

    The endpoint names that version as the one to roll back to: the numbers of versions do not say it, where a
    bundle that was registered earlier is deployed again.
    """
    state, new_id = read_state(session), session.deployment.deployed_id(bundle)
    other = state.serving_id(except_id=new_id)
    if is_traffic_due(state, new_id, share):
        shares = traffic_split(new_id, max(share, state.share(new_id)), other)
        labels = dict(state.endpoint.labels) | {PREVIOUS: other} if state.endpoint and other else None
        set_traffic(session, shares, labels)


def is_traffic_due(state: State, new_id: str, share: int) -> bool:
    """Whether a model lacks that share, or the endpoint does not yet name the one that serves beside it."""
    other = state.serving_id(except_id=new_id)
    return state.share(new_id) < share or bool(other and other != state.previous_id)


def set_traffic(session: Session, shares: dict[str, int], labels: Mapping[str, str] | None = None) -> None:
    """Set the shares of all deployed models and, if given, all labels of the endpoint, in one call."""
    changes: dict[str, Any] = {"traffic_split": shares} | ({"labels": labels} if labels else {})
    endpoint = {"name": session.deployment.endpoint, **changes}
    request = {"endpoint": endpoint, "update_mask": {"paths": list(changes)}}
    session.clients.endpoints.update_endpoint(request)


def undeploy(session: Session, model_id: str) -> None:
    """Take a version off the endpoint; it has no traffic, or is the last one."""
    request = {"endpoint": session.deployment.endpoint, "deployed_model_id": model_id}
    wait_for(session, session.clients.endpoints.undeploy_model(request))
