"""What the service on Cloud Run is called and made of; its revisions are the versions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from churn.bundle.bundle import Bundle
from churn.config.root import Config
from churn.config.serving import Environment
from churn.data.id_hash import VARIABLE
from churn.vertex.cloud.deployment import Deployment, Size

PROBE, PREVIOUS = "probe", "previous"  # tags: of the revision that is compared; of the one to roll back to
MAX_INSTANCES = {Environment.dev: 2, Environment.prod: 10}
PORT = 8080
LOG_TO_STDOUT = ("serve.log.enabled=true", "serve.log.to=stdout")  # after the image's own arguments
TIMEOUT_SECONDS = 60
START_SECONDS = 120  # after which a container that does not answer counts as broken
REVISION = 2  # TrafficTargetAllocationType


def run_deployment(cfg: Config) -> Deployment:
    """The deployment on Cloud Run that the configuration describes.

    Its name ends with -run: no label, data set or file is shared with an endpoint of Vertex AI.

    >>> run_deployment(compose_config("target=cloudrun", "deploy.project=p")).name
    'churn-dev-run'
    """
    deployment = Deployment.from_config(cfg)
    least, most = cfg.deploy.min_replicas or 0, cfg.deploy.max_replicas or MAX_INSTANCES[cfg.deploy.env]
    size = Size("Cloud Run", least, most, deployment.size.type_the_name)
    return replace(deployment, name=f"{deployment.name}-run", size=size)


def service_name(deployment: Deployment) -> str:
    """Resource name of the service."""
    return f"{deployment.parent}/services/{deployment.name}"


def revision_stem(deployment: Deployment, bundle: Bundle) -> str:
    """Name of the revision that runs a bundle in this way, which a second attempt makes longer.

    >>> revision_stem(deployment, bundle)
    'churn-dev-run-0f3a52c1d9'
    """
    content = json.dumps(template(deployment, bundle), sort_keys=True)
    return f"{deployment.name}-{hashlib.sha256(content.encode()).hexdigest()[:10]}"


def template(deployment: Deployment, bundle: Bundle, revision: str = "") -> dict[str, Any]:
    """The template of a revision: our container, which copies the bundle from the bucket when it starts."""
    config = deployment.config
    return {
        "revision": revision,
        "labels": deployment.labels,
        "containers": [_container(deployment, bundle)],
        "service_account": config.service_account or "",
        "encryption_key": config.kms_key or "",
        "scaling": {"max_instance_count": deployment.size.max_replicas},
        "max_instance_request_concurrency": config.cloud_run.concurrency,
        "timeout": {"seconds": TIMEOUT_SECONDS},
    }


def _container(deployment: Deployment, bundle: Bundle) -> dict[str, Any]:
    run = deployment.config.cloud_run
    limits = {"cpu": str(run.cpu), "memory": f"{run.memory_mib}Mi"}
    return {
        "image": deployment.image,
        "args": list(LOG_TO_STDOUT),
        "ports": [{"container_port": PORT}],
        "env": _environment(deployment, bundle),
        "resources": {"limits": limits, "cpu_idle": True, "startup_cpu_boost": True},
        "startup_probe": {
            "http_get": {"path": deployment.serving.health_route, "port": PORT},
            "period_seconds": 1,
            "timeout_seconds": 1,
            "failure_threshold": START_SECONDS,
        },
    }


def plain_variables(deployment: Deployment, bundle: Bundle) -> dict[str, str]:
    """The container's environment, as on Vertex AI; secrets are not in it."""
    return {"AIP_HTTP_PORT": str(PORT), "AIP_STORAGE_URI": deployment.artifact_uri(bundle)}


def _environment(deployment: Deployment, bundle: Bundle) -> list[dict[str, Any]]:
    variables: list[dict[str, Any]] = [
        {"name": name, "value": value} for name, value in plain_variables(deployment, bundle).items()
    ]
    if secret := deployment.config.cloud_run.id_key:
        source = {"secret_key_ref": {"secret": secret, "version": "latest"}}
        variables.append({"name": VARIABLE, "value_source": source})
    return variables


def scaling(deployment: Deployment) -> dict[str, int]:
    """Instances that the service keeps, whichever revisions have the traffic."""
    return {"min_instance_count": deployment.size.min_replicas}


def traffic_targets(shares: Mapping[str, int], tags: Mapping[str, str]) -> list[dict[str, Any]]:
    """Traffic in per cent by revision, and tags, each with its revision, as the service takes them.

    >>> traffic_targets({"a": 90, "b": 10}, {"previous": "a"})[0]
    {'type_': 2, 'revision': 'a', 'percent': 90, 'tag': 'previous'}
    """
    return list(_targets({name: share for name, share in shares.items() if share}, tags))


def _targets(shares: Mapping[str, int], tags: Mapping[str, str]) -> Iterable[dict[str, Any]]:
    by_revision: dict[str, list[str]] = {name: [] for name in shares}
    for tag, name in sorted(tags.items()):
        by_revision.setdefault(name, []).append(tag)
    for name, own in by_revision.items():
        share = shares.get(name, 0)
        for number, tag in enumerate(own or [""]):  # a target has one tag: more of them are more targets
            yield {"type_": REVISION, "revision": name, "percent": share * (number == 0), "tag": tag}
