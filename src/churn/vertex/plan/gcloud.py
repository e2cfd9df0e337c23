"""What the commands do, as lines for a shell: gcloud, and bq for the data set of the log."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from churn.bundle.bundle import Bundle
from churn.config.serving import DeployConfig
from churn.vertex.apply import probe_share, traffic_split
from churn.vertex.cloud.deployment import Deployment, deployed_id, version_labels
from churn.vertex.cloud.state import State
from churn.vertex.monitoring import job


def _ai_command(target: Deployment, *words: str) -> str:
    """A `gcloud ai` command."""
    return shlex.join(["gcloud", "ai", *words, f"--project={target.project}", f"--region={target.region}"])


def _key_values(labels: Mapping[str, object]) -> str:
    """Labels as gcloud takes them."""
    return ",".join(f"{key}={value}" for key, value in labels.items())


def _copy_command(target: Deployment, *words: str) -> str:
    """Files into the bucket, with the label by which `churn destroy` knows them."""
    command = ["gcloud", "storage", "cp", *words, f"--custom-metadata={_key_values(target.labels)}"]
    return shlex.join([*command, f"--project={target.project}"])


def copy_bundle(target: Deployment, bundle: Bundle) -> str:
    """The bundle into the bucket."""
    return _copy_command(
        target, "--recursive", f"{bundle.path}/*", f"gs://{target.bucket}/{target.staged(bundle)}/1"
    )


def upload_model(target: Deployment, bundle: Bundle, state: State) -> str:
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
    return _ai_command(
        target, "models", "upload", which, f"--display-name={target.name}",
        f"--artifact-uri={target.artifacts(bundle)}", f"--container-image-uri={target.image}", *options,
        f"--labels={_key_values(version_labels(target, bundle))}",
    )  # fmt: skip


def create_data_set(target: Deployment) -> str:
    """The data set that requests are logged to."""
    label = _key_values(target.labels).replace("=", ":")
    place = f"{target.project}:{target.dataset}"
    return shlex.join(["bq", f"--location={target.region}", "mk", "--dataset", f"--label={label}", place])


def create_endpoint(cfg: DeployConfig, target: Deployment) -> str:
    """The endpoint, with its requests logged."""
    key = [f"--encryption-kms-key-name={cfg.kms_key}"] if cfg.kms_key else []
    return _ai_command(
        target, "endpoints", "create", f"--endpoint-id={target.name}", f"--display-name={target.name}",
        f"--labels={_key_values(target.labels)}", f"--request-response-logging-rate={cfg.monitoring.sampling}",
        f"--request-response-logging-table=bq://{target.project}.{target.dataset}.requests", *key,
    )  # fmt: skip


def deploy_model(
    cfg: DeployConfig, target: Deployment, bundle: Bundle, number: str, serving: str | None
) -> str:
    """The version onto the endpoint, with its first share of the traffic."""
    account = [f"--service-account={cfg.service_account}"] if cfg.service_account else []
    return _ai_command(
        target, "endpoints", "deploy-model", target.name, f"--model={target.name}@{number}",
        f"--display-name={target.name}-{number}", f"--deployed-model-id={deployed_id(bundle)}",
        f"--machine-type={target.size.machine_type}", f"--min-replica-count={target.size.min_replicas}",
        f"--max-replica-count={target.size.max_replicas}",
        f"--traffic-split={_key_values(traffic_split('0', probe_share(cfg), serving))}", *account,
        *(["--enable-access-logging"] if cfg.access_logging else []),
    )  # fmt: skip


def set_traffic(target: Deployment, shares: Mapping[str, int]) -> str:
    """Traffic by deployed model."""
    return _ai_command(target, "endpoints", "update", target.name, f"--traffic-split={_key_values(shares)}")


def undeploy_model(target: Deployment, identity: str) -> str:
    """A deployed model off the endpoint."""
    return _ai_command(target, "endpoints", "undeploy-model", target.name, f"--deployed-model-id={identity}")


def create_monitor(
    cfg: DeployConfig, target: Deployment, bundle: Bundle, with_schemas: bool
) -> tuple[str, ...]:
    """The monitoring job of all that is deployed, and its schemas unless they are there."""
    chosen, flags = cfg.monitoring, []
    places = job.schema_uris(target, bundle)
    flags += [f"--notification-channels={','.join(chosen.channels)}"] if chosen.channels else []
    flags += [f"--kms-key={cfg.kms_key}"] if cfg.kms_key else []
    if (data := chosen.training_data or "").startswith("bq://"):
        flags += [f"--target-field={bundle.schema.target}", f"--bigquery-uri={data}"]
    elif data:
        flags += [f"--target-field={bundle.schema.target}", "--data-format=csv", f"--gcs-uris={data}"]
    create = _ai_command(
        target, "model-monitoring-jobs", "create", f"--display-name={target.name}",
        f"--endpoint={target.name}", f"--emails={','.join(chosen.emails)}",
        f"--labels={_key_values(target.labels)}",
        f"--prediction-sampling-rate={chosen.sampling}", f"--monitoring-frequency={chosen.hours}",
        f"--feature-thresholds={_key_values(job.monitor_thresholds(bundle, chosen))}", "--anomaly-cloud-logging", *flags,
        *(f"--{name}-instance-schema={place}" for name, place in places.items()),
    )  # fmt: skip
    schemas = [
        f"echo {shlex.quote(json.dumps(schema, separators=(',', ':')))} > {name}.yaml && "
        + _copy_command(target, f"{name}.yaml", places[name])
        for name, schema in job.instance_schemas(bundle).items()
        if with_schemas
    ]
    return (*schemas, create)


def delete_monitor(target: Deployment, monitor: Any) -> tuple[str, ...]:
    """No monitoring job any more."""
    number = monitor.name.rpartition("/")[2]
    return tuple(_ai_command(target, "model-monitoring-jobs", verb, number) for verb in ("pause", "delete"))


def destroy_all(target: Deployment, state: State, has_log: bool, files: Iterable[str]) -> list[str]:
    """Everything away, in the order that is allowed; files: names of the objects in the bucket."""
    lines = [*delete_monitor(target, state.monitor)] if state.monitor else []
    if state.endpoint:
        last = state.serving()
        lines += [set_traffic(target, {last: 100})] if last and state.share(last) < 100 else []
        models = sorted(state.deployed, key=lambda model: model.id == last)
        lines += [undeploy_model(target, model.id) for model in models]
        lines += [_ai_command(target, "endpoints", "delete", target.name)]
    lines += [_ai_command(target, "models", "delete", target.name)] if state.versions else []
    if has_log:
        place = f"{target.project}:{target.dataset}"
        lines += [shlex.join(["bq", "rm", "--recursive", "--force", "--dataset", place])]
    for folder in dict.fromkeys("/".join(name.split("/")[:2]) for name in sorted(files)):
        words = ["gcloud", "storage", "rm", "--recursive", f"gs://{target.bucket}/{folder}"]
        lines += [shlex.join([*words, f"--project={target.project}"])]
    return lines


def unsupported(cfg: DeployConfig, target: Deployment, state: State, bundle: Bundle) -> list[str]:
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
