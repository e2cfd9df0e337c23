"""What the commands do, as lines for a shell: gcloud, and bq for the data set of the log."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from churn.bundle import Bundle
from churn.config import DeployConfig
from churn.vertex import monitoring
from churn.vertex.apply import probe, split
from churn.vertex.state import State
from churn.vertex.target import Target, deployed_id, version_labels


def line(target: Target, *words: str) -> str:
    """A `gcloud ai` command."""
    return shlex.join(["gcloud", "ai", *words, f"--project={target.project}", f"--region={target.region}"])


def pairs(labels: Mapping[str, object]) -> str:
    """Labels as gcloud takes them."""
    return ",".join(f"{key}={value}" for key, value in labels.items())


def copy(target: Target, *words: str) -> str:
    """Files into the bucket, with the label by which `churn destroy` knows them."""
    command = ["gcloud", "storage", "cp", *words, f"--custom-metadata={pairs(target.labels)}"]
    return shlex.join([*command, f"--project={target.project}"])


def stage(target: Target, bundle: Bundle) -> str:
    """The bundle into the bucket."""
    return copy(target, "--recursive", f"{bundle.path}/*", f"gs://{target.bucket}/{target.staged(bundle)}/1")


def upload(target: Target, bundle: Bundle, state: State) -> str:
    """A new version of the model."""
    which = f"--parent-model={target.model}" if state.versions else f"--model-id={target.name}"
    serving, options = target.serving, []
    for flag, value in (
        ("command", ",".join(serving.command)),
        ("args", "^;^" + ";".join(serving.args) if serving.args else ""),
        ("predict-route", serving.predict_route),
        ("health-route", serving.health_route),
        ("ports", "8080" if serving.predict_route else ""),
    ):
        options += [f"--container-{flag}={value}"] if value else []
    return line(
        target, "models", "upload", which, f"--display-name={target.name}",
        f"--artifact-uri={target.artifacts(bundle)}", f"--container-image-uri={target.image}", *options,
        f"--labels={pairs(version_labels(target, bundle))}",
    )  # fmt: skip


def make_data_set(target: Target) -> str:
    """The data set that requests are logged to."""
    label = pairs(target.labels).replace("=", ":")
    place = f"{target.project}:{target.dataset}"
    return shlex.join(["bq", f"--location={target.region}", "mk", "--dataset", f"--label={label}", place])


def create_endpoint(cfg: DeployConfig, target: Target) -> str:
    """The endpoint, with its requests logged."""
    key = [f"--encryption-kms-key-name={cfg.kms_key}"] if cfg.kms_key else []
    return line(
        target, "endpoints", "create", f"--endpoint-id={target.name}", f"--display-name={target.name}",
        f"--labels={pairs(target.labels)}", f"--request-response-logging-rate={cfg.monitoring.sampling}",
        f"--request-response-logging-table=bq://{target.project}.{target.dataset}.requests", *key,
    )  # fmt: skip


def deploy(cfg: DeployConfig, target: Target, bundle: Bundle, number: str, serving: str | None) -> str:
    """The version onto the endpoint, with its first share of the traffic."""
    account = [f"--service-account={cfg.service_account}"] if cfg.service_account else []
    return line(
        target, "endpoints", "deploy-model", target.name, f"--model={target.name}@{number}",
        f"--display-name={target.name}-{number}", f"--deployed-model-id={deployed_id(bundle)}",
        f"--machine-type={target.size.machine_type}", f"--min-replica-count={target.size.min_replicas}",
        f"--max-replica-count={target.size.max_replicas}",
        f"--traffic-split={pairs(split('0', probe(cfg), serving))}", *account,
        *(["--enable-access-logging"] if cfg.access_logging else []),
    )  # fmt: skip


def shift(target: Target, shares: Mapping[str, int]) -> str:
    """Traffic by deployed model."""
    return line(target, "endpoints", "update", target.name, f"--traffic-split={pairs(shares)}")


def undeploy(target: Target, identity: str) -> str:
    """A deployed model off the endpoint."""
    return line(target, "endpoints", "undeploy-model", target.name, f"--deployed-model-id={identity}")


def watch(cfg: DeployConfig, target: Target, bundle: Bundle, with_schemas: bool) -> tuple[str, ...]:
    """The monitoring job of all that is deployed, and its schemas unless they are there."""
    chosen, flags = cfg.monitoring, []
    places = monitoring.schema_uris(target, bundle)
    flags += [f"--notification-channels={','.join(chosen.channels)}"] if chosen.channels else []
    flags += [f"--kms-key={cfg.kms_key}"] if cfg.kms_key else []
    if (data := chosen.training_data or "").startswith("bq://"):
        flags += [f"--target-field={bundle.schema.target}", f"--bigquery-uri={data}"]
    elif data:
        flags += [f"--target-field={bundle.schema.target}", "--data-format=csv", f"--gcs-uris={data}"]
    create = line(
        target, "model-monitoring-jobs", "create", f"--display-name={target.name}",
        f"--endpoint={target.name}", f"--emails={','.join(chosen.emails)}",
        f"--labels={pairs(target.labels)}",
        f"--prediction-sampling-rate={chosen.sampling}", f"--monitoring-frequency={chosen.hours}",
        f"--feature-thresholds={pairs(monitoring.limits(bundle, chosen))}", "--anomaly-cloud-logging", *flags,
        *(f"--{name}-instance-schema={place}" for name, place in places.items()),
    )  # fmt: skip
    schemas = [
        f"echo {shlex.quote(json.dumps(schema, separators=(',', ':')))} > {name}.yaml && "
        + copy(target, f"{name}.yaml", places[name])
        for name, schema in monitoring.schemas(bundle).items()
        if with_schemas
    ]
    return (*schemas, create)


def unwatch(target: Target, monitor: Any) -> tuple[str, ...]:
    """No monitoring job any more."""
    number = monitor.name.rpartition("/")[2]
    return tuple(line(target, "model-monitoring-jobs", verb, number) for verb in ("pause", "delete"))


def destroy(target: Target, state: State, has_log: bool, files: Iterable[str]) -> list[str]:
    """Everything away, in the order that is allowed; files: names of the objects in the bucket."""
    lines = [*unwatch(target, state.monitor)] if state.monitor else []
    if state.endpoint:
        last = state.serving()
        lines += [shift(target, {last: 100})] if last and state.share(last) < 100 else []
        models = sorted(state.deployed, key=lambda model: model.id == last)
        lines += [undeploy(target, model.id) for model in models]
        lines += [line(target, "endpoints", "delete", target.name)]
    lines += [line(target, "models", "delete", target.name)] if state.versions else []
    if has_log:
        place = f"{target.project}:{target.dataset}"
        lines += [shlex.join(["bq", "rm", "--recursive", "--force", "--dataset", place])]
    for folder in dict.fromkeys("/".join(name.split("/")[:2]) for name in sorted(files)):
        words = ["gcloud", "storage", "rm", "--recursive", f"gs://{target.bucket}/{folder}"]
        lines += [shlex.join([*words, f"--project={target.project}"])]
    return lines


def lacks(cfg: DeployConfig, target: Target, state: State, bundle: Bundle) -> list[str]:
    """What of the plan gcloud (of 2026) has no flag for: the API does it alone."""
    nodes, wanted = state.nodes(bundle), (target.size.min_replicas, target.size.max_replicas)
    told = {
        "comparing answers": True,
        "a dedicated endpoint": cfg.dedicated and not state.endpoint,
        "the key of the model": cfg.kms_key and not state.version(bundle),
        "the nodes of a version that runs": nodes and nodes != wanted,
        "drift beside skew": cfg.monitoring.enabled and cfg.monitoring.training_data,
    }
    return [what for what, applies in told.items() if applies]
