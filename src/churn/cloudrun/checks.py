"""Preflight for Cloud Run: what would make a deployment fail, each with its remedy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from churn.bundle.bundle import Bundle
from churn.cloudrun.invokers import anybody_may_call
from churn.cloudrun.log import find_sink
from churn.errors import UserError
from churn.vertex.checks.account import (
    Check,
    Permissions,
    check_bucket,
    check_container,
    check_log,
    check_project,
)
from churn.vertex.checks.preflight import (
    identity_problems,
    missing_names,
    size_problems,
)
from churn.vertex.cloud.deployment import Deployment
from churn.vertex.cloud.session import Session

PERMISSIONS: Permissions = {
    "roles/run.developer": (
        "run.services.create",
        "run.services.get",
        "run.services.update",
        "run.services.delete",
        "run.services.getIamPolicy",
        "run.revisions.list",
        "run.revisions.delete",
        "run.operations.get",
    ),
    "roles/run.invoker": ("run.routes.invoke",),
    "roles/logging.configWriter": ("logging.sinks.create", "logging.sinks.get", "logging.sinks.delete"),
    "roles/bigquery.user": ("bigquery.datasets.create",),
}
MEMORY = {  # MiB that an instance with so many CPUs has, at least and at most: "Configure memory limits"
    1: (512, 4096), 2: (512, 8192), 4: (2048, 16_384), 6: (4096, 24_576), 8: (4096, 32_768),
}  # fmt: skip
OF_INVOKERS: Permissions = {"roles/run.admin": ("run.services.setIamPolicy",)}


def offline_problems(deployment: Deployment, bundle: Bundle) -> Iterator[UserError]:
    """Problems of configuration and bundle; needs no account."""
    if not deployment.config.plan_only:
        yield from missing_names(deployment)
    yield from _name_problems(deployment)
    yield from _container_problems(deployment, bundle)
    yield from _vertex_keys(deployment)
    yield from identity_problems(deployment)
    yield from size_problems(deployment)
    yield from _memory_problems(deployment)


def _name_problems(deployment: Deployment) -> Iterator[UserError]:
    """With -run, a revision's hash and a tag, a name must still fit into a host's name."""
    name = deployment.name.removesuffix("-run")
    if not re.fullmatch("[a-z][a-z0-9-]{1,28}[a-z0-9]", name):
        do = "3 to 30 small letters, digits and dashes, a letter first"
        yield UserError(f"{name!r} can't be the name of a service", "deploy.name", do)


def _container_problems(deployment: Deployment, bundle: Bundle) -> Iterator[UserError]:
    """Another container than ours, or a bundle that it cannot compute."""
    serving = deployment.serving
    if serving.command or not serving.predict_route or not serving.health_route:
        what = "Cloud Run gets our own container: TensorFlow Serving would look for the bundle on a disk"
        yield UserError(what, deployment.image, "serving=churn")
    if not bundle.light_file("coded").exists():
        yield UserError(
            "the bundle has no light model, which the container computes", str(bundle.path), "train it again"
        )


def _vertex_keys(deployment: Deployment) -> Iterator[UserError]:
    """Keys that only an endpoint of Vertex AI has."""
    config = deployment.config
    remedies = {
        "machine_type": "deploy.cloud_run.cpu and deploy.cloud_run.memory_mib",
        "idle_minutes": "leave it out: a service scales to zero by itself",
        "dedicated": "leave it out: a service has its own address",
        "access_logging": "leave it out: Cloud Run logs every request",
    }
    for name, do in remedies.items():
        if getattr(config, name):
            yield UserError(f"deploy.{name} is for target=vertex", f"deploy.{name}", do)


def _memory_problems(deployment: Deployment) -> Iterator[UserError]:
    """Memory that an instance with so many CPUs cannot have."""
    chosen, key = deployment.config.cloud_run, "deploy.cloud_run.memory_mib"
    least, most = MEMORY[chosen.cpu]
    if not least <= chosen.memory_mib <= most:
        what = f"an instance with cpu={chosen.cpu} has {least} to {most} MiB of memory"
        do = f"{key}={min(max(chosen.memory_mib, least), most)}, or another deploy.cloud_run.cpu"
        yield UserError(what, f"{key}={chosen.memory_mib}", do)


def _check_region(session: Session) -> Iterator[UserError]:
    """A problem if Cloud Run is not in the region."""
    from google.api_core.exceptions import BadRequest, NotFound

    deployment = session.deployment
    try:
        next(iter(session.clients.services.list_services(parent=deployment.parent)), None)
    except (BadRequest, NotFound) as error:
        do = f"deploy.region=REGION, one of: gcloud run regions list --project={deployment.project}"
        yield UserError(f"Cloud Run is not in {deployment.region}", error.message, do)


def _check_invokers(session: Session) -> Iterator[UserError]:
    """A problem if anybody, or nobody, is to be let in now, and the user may not change that."""
    from google.api_core.exceptions import NotFound

    try:
        public = anybody_may_call(session)
    except NotFound:  # there is no service yet
        public = False
    if public != session.deployment.config.cloud_run.public:
        yield from check_project(session, OF_INVOKERS)


def _check_sink(session: Session) -> Iterator[UserError]:
    """A problem if the log sink belongs to somebody else."""
    try:
        find_sink(session)
    except UserError as problem:
        yield problem


ACCOUNT_CHECKS: tuple[Check, ...] = (  # what is looked at in the account
    _check_region,
    partial(check_project, permissions=PERMISSIONS),
    _check_invokers,
    check_bucket,
    check_log,
    _check_sink,
    check_container,
)
