"""Preflight without an account: problems of configuration and bundle that would make a deployment fail.

Numbers that are out of bounds are refused earlier, by `churn.config.limits`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Any

from churn.bundle.bundle import Bundle
from churn.config.serving import Environment, MonitoringConfig
from churn.data.contract import CUSTOMER_KEY
from churn.errors import UserError
from churn.vertex.cloud.deployment import Deployment
from churn.vertex.cloud.state import State


def offline_problems(deployment: Deployment, bundle: Bundle, today: date) -> Iterator[UserError]:
    """Problems of configuration and bundle, each with its remedy; needs no account."""
    if not deployment.config.plan_only:
        yield from missing_names(deployment)
    yield from _name_problems(deployment)
    yield from _image_problems(deployment, today)
    yield from identity_problems(deployment)
    yield from size_problems(deployment)
    yield from _idle_problems(deployment)
    if deployment.config.monitoring.enabled:
        yield from _monitoring_problems(deployment.config.monitoring)
    yield from _signature_problems(bundle)


def missing_names(deployment: Deployment) -> Iterator[UserError]:
    """A project or a bucket that is not named."""
    for key, command in (("project", "gcloud projects list"), ("bucket", "gcloud storage buckets list")):
        if not getattr(deployment.config, key):
            yield UserError(f"no {key} is named", f"deploy.{key}", f"deploy.{key}=NAME ({command})")


def _name_problems(deployment: Deployment) -> Iterator[UserError]:
    if not re.fullmatch("[a-z][a-z0-9-]{1,48}[a-z0-9]", deployment.name):
        what = f"{deployment.name!r} can't be the name of an endpoint"
        yield UserError(what, "deploy.name", "3 to 50 small letters, digits and dashes, a letter first")


def _image_problems(deployment: Deployment, today: date) -> Iterator[UserError]:
    """An expired image, or one in another region."""
    image, until = deployment.image, deployment.serving.available_until
    build = serving_build(deployment)
    if until and today >= date.fromisoformat(until):
        what = f"the container can no longer be used since {until}"
        yield UserError(what, image, f"serving=tf_serving, once it is built: {build}")
    if "/vertex-ai/" not in image and not image.startswith(f"{deployment.region}-docker.pkg.dev/"):
        what = "the image must lie in a repository of the endpoint's region"
        yield UserError(what, image, f"{build}, then serving=tf_serving")


def identity_problems(deployment: Deployment) -> Iterator[UserError]:
    """An encryption key or a service account that is not named as Google names it."""
    config, project = deployment.config, deployment.project
    key = rf"projects/[^/]+/locations/{config.region}/keyRings/[^/]+/cryptoKeys/[^/]+"
    if config.kms_key and not re.fullmatch(key, config.kms_key):
        what = "the key must be in the region of the endpoint, and named in full"
        listing = f"gcloud kms keys list --location={config.region} --keyring=RING --project={project}"
        yield UserError(what, "deploy.kms_key", listing)
    account = config.service_account
    if account and not re.fullmatch(r"[^@\s]+@[^@\s]+\.gserviceaccount\.com", account):
        listing = f"gcloud iam service-accounts list --project={project}"
        yield UserError(f"{account!r} is no service account", "deploy.service_account", listing)


def size_problems(deployment: Deployment) -> Iterator[UserError]:
    """Fewer machines at most than at least."""
    least, most = deployment.size.nodes
    if least > most:
        what = f"min_replicas={least} is more than max_replicas={most}"
        yield UserError(what, "deploy.min_replicas", f"deploy.max_replicas={least}, or more")


def _idle_problems(deployment: Deployment) -> Iterator[UserError]:
    """Settings with which an endpoint cannot scale to zero."""
    config, key = deployment.config, "deploy.idle_minutes"
    if config.idle_minutes is None:
        return
    if config.env is not Environment.dev:
        yield UserError("scale to zero is a preview, for env=dev: requests are lost", key, "deploy.env=dev")
    if not config.dedicated:
        yield UserError("only a dedicated endpoint scales to zero", key, "deploy.dedicated=true")
    if config.min_replicas is not None:
        yield UserError("min_replicas is 0 with idle_minutes", key, "deploy.min_replicas=null")


def _monitoring_problems(monitoring: MonitoringConfig) -> Iterator[UserError]:
    """Training data or channels that the monitoring job does not take."""
    data, channels = monitoring.training_data, monitoring.channels
    if data and not data.startswith(("gs://", "bq://")):
        what, key = f"this can't be monitored: {data}", "deploy.monitoring.training_data"
        yield UserError(what, key, "gs://FILE.csv or bq://PROJECT.SET.TABLE")
    if not all(name.startswith("projects/") and "/notificationChannels/" in name for name in channels):
        what, key = f"this can't be monitored: {channels}", "deploy.monitoring.channels"
        do = "projects/P/notificationChannels/N (gcloud beta monitoring channels list)"
        yield UserError(what, key, do)


def _signature_problems(bundle: Bundle) -> Iterator[UserError]:
    """A graph that does not take exactly what the bundle says, one value per row and field."""
    _, inputs = bundle.saved_model.signatures["serving_default"].structured_input_signature
    types = {"number": "float32", "category": "string"}
    expected = {field["input"]: types[field["kind"]] for field in bundle.facts["inputs"]}
    expected[CUSTOMER_KEY] = "string"
    actual = {name: spec.dtype.name for name, spec in inputs.items()}
    if actual != expected or {spec.shape.rank for spec in inputs.values()} != {1}:
        what = "the bundle's signature is not what its facts say"
        yield UserError(what, str(bundle.path), "train it again")


def serving_build(deployment: Deployment) -> str:
    """The commands that build the container that serves; TensorFlow Serving's in place of a prebuilt one."""
    if re.search("/churn/serving[:@]", deployment.image):
        return build_command(deployment, "serving", ".")
    return build_command(deployment, "tf_serving", "deploy/tf_serving")


def build_command(deployment: Deployment, container: str, source: str) -> str:
    """The commands that build a container of `deploy/`, without a local Docker."""
    region, project, key = deployment.region, deployment.project, deployment.config.kms_key
    encrypted = f" --kms-key={key}" if key else ""
    return (
        f"gcloud artifacts repositories create churn --repository-format=docker --location={region}"
        f" --project={project}{encrypted}; gcloud builds submit {source}"
        f" --config=deploy/{container}/cloudbuild.yaml --substitutions=_REGION={region} --project={project}"
    )


def unchangeable_problems(deployment: Deployment, bundle: Bundle, state: State) -> Iterator[UserError]:
    """Settings that differ from what exists and cannot be changed there."""
    for key, actual, wanted in _fixed_settings(deployment, bundle, state):
        if actual != wanted:
            what = f"deploy.{key} is {actual!r} in what exists, and can't be changed to {wanted!r} there"
            yield UserError(
                what, f"deployment {deployment.name}", "churn destroy first, or another deploy.name=NAME"
            )


def _fixed_settings(
    deployment: Deployment, bundle: Bundle, state: State
) -> Iterator[tuple[str, object, object]]:
    """Key, value where it exists and configured value of each setting that cannot be changed."""
    config = deployment.config
    encrypted = [*state.versions, *([state.endpoint] if state.endpoint else [])]
    for key in sorted({resource.encryption_spec.kms_key_name for resource in encrypted}):
        yield "kms_key", key, config.kms_key or ""
    if endpoint := state.endpoint:
        yield "dedicated", endpoint.dedicated_endpoint_enabled, config.dedicated
        sampling = endpoint.predict_request_response_logging_config.sampling_rate
        yield "monitoring.sampling", sampling, config.monitoring.sampling
    for model in state.deployed:
        if model.id == deployment.deployed_id(bundle):
            machine_type = model.dedicated_resources.machine_spec.machine_type
            yield "machine_type", machine_type, deployment.size.machine_type
            yield "service_account", model.service_account, config.service_account or ""
            yield "idle_minutes", _idle_minutes(model), config.idle_minutes
            if model.dedicated_resources.min_replica_count == 0:  # the service changes nodes from 1 on
                most = model.dedicated_resources.max_replica_count
                yield "max_replicas", most, deployment.size.max_replicas
            yield "access_logging", model.enable_access_logging, config.access_logging


def _idle_minutes(model: Any) -> int | str | None:
    """After how many minutes a deployed model scales to zero; "set" as v1 tells it, None for never."""
    if model.dedicated_resources.min_replica_count:
        return None
    spec = getattr(model.dedicated_resources, "scale_to_zero_spec", None)
    return int(spec.idle_scaledown_period.total_seconds()) // 60 if spec else "set"


def end_of_support(deployment: Deployment, today: date) -> str | None:
    """What is over and what will be, with both dates; None for a container without a last day."""
    serving, image = deployment.serving, deployment.image
    if until := serving.available_until:
        days = (date.fromisoformat(until) - today).days
        ended = serving.support_ended
        patches = f"gets no security patches since {ended} and " if ended else ""
        return f"{image} {patches}can be used for {days} more days, until {until}; use serving=tf_serving"
    return None
