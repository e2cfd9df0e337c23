"""What in configuration and bundle would make a deployment fail later, each with its remedy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

from churn.bundle.bundle import Bundle
from churn.config.serving import DeployConfig, MonitoringConfig
from churn.data.dataset import CUSTOMER_KEY
from churn.errors import UserError
from churn.vertex.cloud.deployment import Deployment, deployed_id
from churn.vertex.cloud.state import State


def offline_problems(
    cfg: DeployConfig, target: Deployment, bundle: Bundle, today: date
) -> Iterator[UserError]:
    """Problems that need no account to be seen."""
    if not cfg.plan_only:
        for key, command in (("project", "gcloud projects list"), ("bucket", "gcloud storage buckets list")):
            if not getattr(cfg, key):
                yield UserError(f"no {key} is named", f"deploy.{key}", f"deploy.{key}=NAME ({command})")
    if not re.fullmatch("[a-z][a-z0-9-]{1,48}[a-z0-9]", target.name):
        yield UserError(
            f"{target.name!r} can't be the name of an endpoint",
            "deploy.name",
            "3 to 50 small letters, digits and dashes, a letter first",
        )
    until = target.serving.available_until
    if until and today >= date.fromisoformat(until):
        what = f"the container can no longer be used since {until}"
        yield UserError(what, target.image, f"serving=tf_serving, once it is built: {build_command(target)}")
    if "/vertex-ai/" not in target.image and not target.image.startswith(f"{cfg.region}-docker.pkg.dev/"):
        what = "the image must lie in a repository of the endpoint's region"
        yield UserError(what, target.image, f"{build_command(target)}, then serving=tf_serving")
    yield from _invalid_settings(cfg, target)
    yield from _monitoring_problems(cfg.monitoring)
    yield from _signature_problems(bundle)


def _invalid_settings(cfg: DeployConfig, target: Deployment) -> Iterator[UserError]:
    """Values that the platform does not take, alone or with one another."""
    key = rf"projects/[^/]+/locations/{cfg.region}/keyRings/[^/]+/cryptoKeys/[^/]+"
    if cfg.kms_key and not re.fullmatch(key, cfg.kms_key):
        listing = f"gcloud kms keys list --location={cfg.region} --keyring=RING --project={target.project}"
        yield UserError(
            "the key must be in the region of the endpoint, and named in full", "deploy.kms_key", listing
        )
    account = cfg.service_account
    if account and not re.fullmatch(r"[^@\s]+@[^@\s]+\.gserviceaccount\.com", account):
        listing = f"gcloud iam service-accounts list --project={target.project}"
        yield UserError(f"{account!r} is no service account", "deploy.service_account", listing)
    if not 1 <= target.size.min_replicas <= target.size.max_replicas:
        yield UserError(
            "1 <= min_replicas <= max_replicas must hold", "deploy.min_replicas", "at least 1 node runs"
        )
    for name in ("probe", "canary"):
        if not 1 <= getattr(cfg, name) <= 100:
            yield UserError(f"{name} is a share in per cent", f"deploy.{name}", "1 to 100")
    if cfg.answers < 1:
        yield UserError("at least one answer must be checked", "deploy.answers", "deploy.answers=5")


def _monitoring_problems(watch: MonitoringConfig) -> Iterator[UserError]:
    """Values of the monitoring job that the service does not take."""
    limits = {"sampling": (0 < watch.sampling <= 1, "a share above 0, at most 1")}
    given = watch.threshold is not None
    limits["threshold"] = (not given or 0 < (watch.threshold or 0) <= 1, "a distance above 0, at most 1")
    limits["rows"] = (watch.rows >= 1, "requests between two looks")
    limits["hours"] = (watch.hours >= 1, "1 hour or more")
    place = watch.training_data or "gs://"
    limits["training_data"] = (
        place.startswith(("gs://", "bq://")),
        "gs://FILE.csv or bq://PROJECT.SET.TABLE",
    )
    channel = "projects/P/notificationChannels/N (gcloud beta monitoring channels list)"
    full = [c.startswith("projects/") and "/notificationChannels/" in c for c in watch.channels]
    limits["channels"] = (all(full), channel)
    for key, (is_good, do) in limits.items() if watch.enabled else ():
        if not is_good:
            yield UserError(f"this can't be monitored: {getattr(watch, key)}", f"deploy.monitoring.{key}", do)


def _signature_problems(bundle: Bundle) -> Iterator[UserError]:
    """Whether the graph takes exactly what the bundle says, one value per row and field."""
    called = bundle.saved_model.signatures["serving_default"]
    found = {name: spec.dtype.name for name, spec in called.structured_input_signature[1].items()}
    kinds = {"number": "float32", "category": "string"}
    expected = {field["input"]: kinds[field["kind"]] for field in bundle.facts["inputs"]} | {
        CUSTOMER_KEY: "string"
    }
    ranks = {spec.shape.rank for spec in called.structured_input_signature[1].values()}
    if found != expected or ranks != {1}:
        yield UserError(
            "the bundle's signature is not what its facts say", str(bundle.path), "train it again"
        )


def build_command(target: Deployment, which: str = "tf_serving", source: str = "deploy/tf_serving") -> str:
    """The commands that build a container of `deploy/`, without a local Docker."""
    return (
        f"gcloud artifacts repositories create churn --repository-format=docker --location={target.region}"
        f" --project={target.project}; gcloud builds submit {source} --config=deploy/{which}/cloudbuild.yaml"
        f" --substitutions=_REGION={target.region} --project={target.project}"
    )


def unchangeable_problems(
    cfg: DeployConfig, target: Deployment, bundle: Bundle, state: State
) -> Iterator[UserError]:
    """What is configured otherwise than it exists, and can't be changed there."""
    pairs: list[tuple[str, object, object]] = []
    if endpoint := state.endpoint:
        pairs += [("kms_key", endpoint.encryption_spec.kms_key_name, cfg.kms_key or "")]
        pairs += [("dedicated", endpoint.dedicated_endpoint_enabled, cfg.dedicated)]
    for model in state.deployed:
        if model.id == deployed_id(bundle):
            machine = model.dedicated_resources.machine_spec.machine_type
            pairs += [("machine_type", machine, target.size.machine_type)]
            pairs += [("service_account", model.service_account, cfg.service_account or "")]
            pairs += [("access_logging", model.enable_access_logging, cfg.access_logging)]
    for key, found, wanted in pairs:
        if found != wanted:
            what = f"deploy.{key} is {found!r} where it runs, and can't be changed to {wanted!r} there"
            yield UserError(what, target.endpoint, "churn destroy first, or another deploy.name=NAME")


def end_of_support(target: Deployment, today: date) -> str | None:
    """How many days the container has left, or none where it has no end."""
    if until := target.serving.available_until:
        left = (date.fromisoformat(until) - today).days
        return (
            f"{target.image} can be used for {left} more days, until {until}; after that: serving=tf_serving"
        )
    return None
