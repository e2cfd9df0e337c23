"""From what exists to the bundle on its endpoint, each step a no-op where it was done before.

Names and ids are functions of configuration and bundle (`Target`): a call that was accepted and whose answer
was lost cannot be made twice.
"""

from __future__ import annotations

import pandas as pd

from churn.bundle.bundle import Bundle
from churn.config.serving import DeployConfig
from churn.vertex.checks import parity
from churn.vertex.cloud.client import Clients, wait_for
from churn.vertex.cloud.deployment import Deployment, deployed_id, version_labels
from churn.vertex.cloud.staging import encryption, upload_bundle
from churn.vertex.cloud.state import State, find_data_set, read_state
from churn.vertex.monitoring import job


def apply_deployment(
    cfg: DeployConfig, clients: Clients, target: Deployment, bundle: Bundle, rows: pd.DataFrame
) -> None:
    """Stage, register, deploy with a small share, compare answers, tidy, shift traffic, monitor."""
    state = read_state(clients, target)
    upload_bundle(clients, target, bundle)
    if not state.version(bundle):
        register_version(cfg, clients, target, bundle, state)
    if not state.endpoint:
        _create_endpoint(cfg, clients, target)
    state = read_state(clients, target)
    if not state.is_deployed(bundle):
        _deploy_version(cfg, clients, target, bundle, state)
    elif state.nodes(bundle) != (target.size.min_replicas, target.size.max_replicas):
        _resize(clients, target, bundle)
    _raise_share(clients, target, bundle, probe_share(cfg))
    _check_answers(cfg, clients, target, bundle, rows)
    for model in read_state(clients, target).superfluous(deployed_id(bundle)):
        undeploy(clients, target, model.id)
    _raise_share(clients, target, bundle, cfg.canary)
    job.ensure_monitor(cfg, clients, target, bundle, read_state(clients, target))


def register_version(
    cfg: DeployConfig, clients: Clients, target: Deployment, bundle: Bundle, state: State
) -> None:
    """The bundle as a new version of the model, the model's first included."""
    serving = target.serving
    container = {
        "image_uri": target.image,
        "command": serving.command,
        "args": serving.args,
        "predict_route": serving.predict_route or "",
        "health_route": serving.health_route or "",
        "ports": [{"container_port": 8080}] if serving.predict_route else [],
    }
    model = {
        "display_name": target.name,
        "artifact_uri": target.artifacts(bundle),
        "container_spec": container,
        "labels": version_labels(target, bundle),
        **encryption(cfg),
    }
    which = {"parent_model": target.model} if state.versions else {"model_id": target.name}
    wait_for(
        clients,
        target,
        clients.models.upload_model({"parent": target.parent, "model": model, **which}).operation.name,
    )


def _create_endpoint(cfg: DeployConfig, clients: Clients, target: Deployment) -> None:
    """The endpoint and where it logs: set at once, since after a monitoring job it can't be."""
    from google.cloud.bigquery import Dataset

    if find_data_set(clients, target) is None:
        wanted = Dataset(f"{target.project}.{target.dataset}")
        wanted.location, wanted.labels = target.region, target.labels
        clients.bigquery.create_dataset(wanted)
    log = {
        "enabled": True,
        "sampling_rate": cfg.monitoring.sampling,
        "bigquery_destination": {"output_uri": f"bq://{target.project}.{target.dataset}.requests"},
    }
    endpoint = {
        "display_name": target.name,
        "labels": target.labels,
        "predict_request_response_logging_config": log,
        "dedicated_endpoint_enabled": cfg.dedicated,
        **encryption(cfg),
    }
    request = {"parent": target.parent, "endpoint": endpoint, "endpoint_id": target.name}
    wait_for(clients, target, clients.endpoints.create_endpoint(request).operation.name)


def _deploy_version(
    cfg: DeployConfig, clients: Clients, target: Deployment, bundle: Bundle, state: State
) -> None:
    """The bundle's version onto the endpoint, with the probe's share of the traffic."""
    version, serving = state.version(bundle), state.serving()
    assert version
    deployed = {
        "id": deployed_id(bundle),
        "model": f"{target.model}@{version.version_id}",
        "display_name": f"{target.name}-{version.version_id}",
        "dedicated_resources": {
            "machine_spec": {"machine_type": target.size.machine_type},
            **_replica_counts(target),
        },
        "service_account": cfg.service_account or "",
        "enable_access_logging": cfg.access_logging,
    }
    request = {
        "endpoint": target.endpoint,
        "deployed_model": deployed,
        "traffic_split": traffic_split("0", probe_share(cfg), serving),
    }
    wait_for(clients, target, clients.endpoints.deploy_model(request).operation.name)


def _replica_counts(target: Deployment) -> dict[str, int]:
    """How many nodes a version has."""
    return {"min_replica_count": target.size.min_replicas, "max_replica_count": target.size.max_replicas}


def _resize(clients: Clients, target: Deployment, bundle: Bundle) -> None:
    """Give the deployed bundle another number of nodes; it serves meanwhile."""
    request = {
        "endpoint": target.endpoint,
        "deployed_model": {"id": deployed_id(bundle), "dedicated_resources": _replica_counts(target)},
        "update_mask": {"paths": [f"dedicated_resources.{name}" for name in _replica_counts(target)]},
    }
    wait_for(clients, target, clients.endpoints.mutate_deployed_model(request).operation.name)


def probe_share(cfg: DeployConfig) -> int:
    """Per cent of the traffic that a version gets before its answers are checked: no more than after."""
    return min(cfg.probe, cfg.canary)


def traffic_split(identity: str, share: int, other: str | None) -> dict[str, int]:
    """A share of the traffic for one deployed model, the rest for the other, all where there is no other."""
    return {identity: share, other: 100 - share} if other and share < 100 else {identity: 100}


def _raise_share(clients: Clients, target: Deployment, bundle: Bundle, share: int) -> None:
    """Give the bundle at least that share; the version that serves beside it keeps the rest."""
    state, ours = read_state(clients, target), deployed_id(bundle)
    if state.share(ours) < share:
        set_traffic(clients, target, traffic_split(ours, share, state.serving(besides=ours)))


def set_traffic(clients: Clients, target: Deployment, shares: dict[str, int]) -> None:
    """The shares of the deployed models, in one call."""
    endpoint = {"name": target.endpoint, "traffic_split": shares}
    clients.endpoints.update_endpoint({"endpoint": endpoint, "update_mask": {"paths": ["traffic_split"]}})


def _check_answers(
    cfg: DeployConfig, clients: Clients, target: Deployment, bundle: Bundle, rows: pd.DataFrame
) -> None:
    """Compare answers; on a mismatch the version that served takes all traffic again and ours goes."""
    state, ours = read_state(clients, target), deployed_id(bundle)
    try:
        parity.check_parity(clients, target, state, bundle, rows, cfg.answers)
    except parity.MismatchError:
        if serving := state.serving(besides=ours):
            set_traffic(clients, target, {serving: 100})
            undeploy(clients, target, ours)
        raise


def undeploy(clients: Clients, target: Deployment, identity: str) -> None:
    """Take a version that has no traffic, or the last one, off the endpoint."""
    request = {"endpoint": target.endpoint, "deployed_model_id": identity}
    wait_for(clients, target, clients.endpoints.undeploy_model(request).operation.name)
