"""What would make a deployment fail later, found before anything is created, each with its remedy."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from churn.bundle import Bundle
from churn.config import DeployConfig
from churn.errors import UserError
from churn.graph import KEY
from churn.vertex.client import Clients, explained, grant
from churn.vertex.target import Target

ROLES = {  # a permission that stands for each role the command needs
    "aiplatform.endpoints.deploy": "roles/aiplatform.user",
    "bigquery.datasets.create": "roles/bigquery.user",
}


def offline(cfg: DeployConfig, target: Target, bundle: Bundle, today: date) -> Iterator[UserError]:
    """Problems that need no account to be seen."""
    if not cfg.plan_only:
        for key, command in (("project", "gcloud projects list"), ("bucket", "gcloud storage buckets list")):
            if not getattr(cfg, key):
                yield UserError(f"no {key} is named", f"deploy.{key}", f"deploy.{key}=NAME ({command})")
    until = target.serving.available_until
    if until and today >= date.fromisoformat(until):
        yield UserError(
            f"the container can no longer be used since {until}",
            target.image,
            "serving=tf_serving (see deploy/)",
        )
    if cfg.kms_key and f"/locations/{cfg.region}/" not in cfg.kms_key:
        yield UserError(
            "the key must be in the region of the endpoint", "deploy.kms_key", f"one in {cfg.region}"
        )
    if "/vertex-ai/" not in target.image and not target.image.startswith(f"{cfg.region}-docker.pkg.dev/"):
        yield UserError("the image must be in the region of the endpoint", target.image, "see deploy/")
    if not 1 <= target.size.min_replicas <= target.size.max_replicas:
        yield UserError(
            "1 <= min_replicas <= max_replicas must hold", "deploy.min_replicas", "at least 1 node runs"
        )
    for key in ("probe", "canary"):
        if not 1 <= getattr(cfg, key) <= 100:
            yield UserError(f"{key} is a share in per cent", f"deploy.{key}", "1 to 100")
    if cfg.answers < 1:
        yield UserError("at least one answer must be checked", "deploy.answers", "deploy.answers=5")
    yield from signature(bundle)


def signature(bundle: Bundle) -> Iterator[UserError]:
    """Whether the graph takes exactly what the bundle says, one value per row and field."""
    called = bundle.saved_model.signatures["serving_default"]
    found = {name: spec.dtype.name for name, spec in called.structured_input_signature[1].items()}
    kinds = {"number": "float32", "category": "string"}
    expected = {field["input"]: kinds[field["kind"]] for field in bundle.facts["inputs"]} | {KEY: "string"}
    ranks = {spec.shape.rank for spec in called.structured_input_signature[1].values()}
    if found != expected or ranks != {1}:
        yield UserError(
            "the bundle's signature is not what its facts say", str(bundle.path), "train it again"
        )


def online(clients: Clients, target: Target) -> Iterator[UserError]:
    """Problems of the account."""
    from google.api_core.exceptions import GoogleAPICallError, NotFound

    try:
        clients.endpoints.list_endpoints({"parent": target.parent})
        resource = f"projects/{target.project}"
        granted = clients.projects.test_iam_permissions(
            resource=resource, permissions=list(ROLES)
        ).permissions
        for permission in ROLES.keys() - set(granted):
            yield UserError(
                f"the permission {permission} is missing", resource, grant(target, ROLES[permission])
            )
        location = clients.storage.get_bucket(target.bucket).location.lower()
    except NotFound as error:
        command = f"gcloud storage buckets create gs://{target.bucket} --location={target.region}"
        yield UserError("the bucket does not exist", error.message, f"{command} --project={target.project}")
    except GoogleAPICallError as error:
        yield explained(error, target, "try again")
    else:
        if location != target.region:
            do = f"a bucket in {target.region}, or deploy.region={location}"
            yield UserError(
                f"the bucket is in {location}, the endpoint in {target.region}", "deploy.bucket", do
            )


def warning(target: Target, today: date) -> str | None:
    """How many days the container has left, or none where it has no end."""
    if until := target.serving.available_until:
        left = (date.fromisoformat(until) - today).days
        return (
            f"{target.image} can be used for {left} more days, until {until}; after that: serving=tf_serving"
        )
    return None
