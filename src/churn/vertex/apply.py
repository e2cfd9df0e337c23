"""From what exists to the bundle on its endpoint, each step a no-op where it was done before.

Names and ids are functions of configuration and bundle (`Target`): a call that was accepted and whose answer
was lost cannot be made twice.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pandas as pd

from churn.bundle import Bundle
from churn.config import DeployConfig
from churn.vertex import monitoring, parity
from churn.vertex.client import Clients, finish
from churn.vertex.state import State, data_set, look
from churn.vertex.target import Target, deployed_id, version_labels


def apply(cfg: DeployConfig, clients: Clients, target: Target, bundle: Bundle, rows: pd.DataFrame) -> None:
    """Stage, register, deploy with a small share, compare answers, shift traffic, tidy, monitor."""
    state = look(clients, target)
    stage(clients, target, bundle)
    if not state.version(bundle):
        register(cfg, clients, target, bundle, state)
    if not state.endpoint:
        create_endpoint(cfg, clients, target)
    state = look(clients, target)
    if not state.is_deployed(bundle):
        deploy_version(cfg, clients, target, bundle, state)
    raise_share(clients, target, bundle, cfg.probe)
    check(cfg, clients, target, bundle, rows)
    raise_share(clients, target, bundle, cfg.canary)
    retire(clients, target, bundle)
    if cfg.monitoring.enabled:
        monitoring.ensure(cfg, clients, target, bundle, look(clients, target))


def stage(clients: Clients, target: Target, bundle: Bundle) -> None:
    """Copy the bundle to where its content names it; what lies there already is not sent again."""
    place = f"{target.staged(bundle)}/1/"
    bucket = clients.storage.bucket(target.bucket)
    there = {blob.name: blob.md5_hash for blob in clients.storage.list_blobs(bucket, prefix=place)}
    for file in sorted(path for path in bundle.path.rglob("*") if path.is_file()):
        name = place + file.relative_to(bundle.path).as_posix()
        content = file.read_bytes()
        if there.get(name) != base64.b64encode(hashlib.md5(content).digest()).decode():
            bucket.blob(name).upload_from_string(content, "application/octet-stream")


def encryption(cfg: DeployConfig) -> dict[str, Any]:
    """The customer's key, where there is one."""
    return {"encryption_spec": {"kms_key_name": cfg.kms_key}} if cfg.kms_key else {}


def register(cfg: DeployConfig, clients: Clients, target: Target, bundle: Bundle, state: State) -> None:
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
    finish(
        clients,
        clients.models.upload_model({"parent": target.parent, "model": model, **which}).operation.name,
    )


def create_endpoint(cfg: DeployConfig, clients: Clients, target: Target) -> None:
    """The endpoint and where it logs: set at once, since after a monitoring job it can't be."""
    from google.cloud.bigquery import Dataset

    if data_set(clients, target) is None:
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
    finish(clients, clients.endpoints.create_endpoint(request).operation.name)


def deploy_version(cfg: DeployConfig, clients: Clients, target: Target, bundle: Bundle, state: State) -> None:
    """The bundle's version onto the endpoint, with the probe's share of the traffic."""
    version, size, serving = state.version(bundle), target.size, state.serving()
    assert version
    deployed = {
        "id": deployed_id(bundle),
        "model": f"{target.model}@{version.version_id}",
        "display_name": f"{target.name}-{version.version_id}",
        "dedicated_resources": {
            "machine_spec": {"machine_type": size.machine_type},
            "min_replica_count": size.min_replicas,
            "max_replica_count": size.max_replicas,
        },
        "service_account": cfg.service_account or "",
        "enable_access_logging": cfg.access_logging,
    }
    request = {
        "endpoint": target.endpoint,
        "deployed_model": deployed,
        "traffic_split": split("0", cfg.probe, serving),
    }
    finish(clients, clients.endpoints.deploy_model(request).operation.name)


def split(identity: str, share: int, other: str | None) -> dict[str, int]:
    """A share of the traffic for one deployed model, the rest for the other, all where there is no other."""
    return {identity: share, other: 100 - share} if other and share < 100 else {identity: 100}


def raise_share(clients: Clients, target: Target, bundle: Bundle, share: int) -> None:
    """Give the bundle at least that share; the version that serves beside it keeps the rest."""
    state, ours = look(clients, target), deployed_id(bundle)
    if state.share(ours) < share:
        set_traffic(clients, target, split(ours, share, state.serving(besides=ours)))


def set_traffic(clients: Clients, target: Target, shares: dict[str, int]) -> None:
    """The shares of the deployed models, in one call."""
    endpoint = {"name": target.endpoint, "traffic_split": shares}
    clients.endpoints.update_endpoint({"endpoint": endpoint, "update_mask": {"paths": ["traffic_split"]}})


def check(cfg: DeployConfig, clients: Clients, target: Target, bundle: Bundle, rows: pd.DataFrame) -> None:
    """Compare answers; on a mismatch the version that served takes all traffic again and ours goes."""
    state, ours = look(clients, target), deployed_id(bundle)
    try:
        parity.check(clients, target, state, bundle, rows, cfg.answers)
    except parity.MismatchError:
        if serving := state.serving(besides=ours):
            set_traffic(clients, target, {serving: 100})
            undeploy(clients, target, ours)
        raise


def retire(clients: Clients, target: Target, bundle: Bundle) -> None:
    """Once the bundle has all traffic, undeploy all but it and the newest other, which rollback needs."""
    state, ours = look(clients, target), deployed_id(bundle)
    others = [model.id for model in state.deployed if model.id != ours]
    for identity in others[:-1] if state.share(ours) == 100 else []:
        undeploy(clients, target, identity)


def undeploy(clients: Clients, target: Target, identity: str) -> None:
    """Take a version that has no traffic, or the last one, off the endpoint."""
    request = {"endpoint": target.endpoint, "deployed_model_id": identity}
    finish(clients, clients.endpoints.undeploy_model(request).operation.name)
