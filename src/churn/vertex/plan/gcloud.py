"""The same steps as commands for a shell: gcloud, and bq for the data set of the log."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from churn.bundle.bundle import Bundle
from churn.config.serving import MonitoringConfig, ServingConfig
from churn.vertex.apply import REQUESTS, traffic_split
from churn.vertex.cloud.deployment import PREVIOUS, Deployment, version_labels
from churn.vertex.cloud.state import State
from churn.vertex.monitoring import job


def _ai_command(deployment: Deployment, *words: str) -> str:
    """A `gcloud ai` command."""
    options = (f"--project={deployment.project}", f"--region={deployment.region}")
    return shlex.join(["gcloud", "ai", *words, *options])


def key_values(values: Mapping[str, object]) -> str:
    """Labels and the like as gcloud takes them: a=1,b=2."""
    return ",".join(f"{key}={value}" for key, value in values.items())


def _copy_command(deployment: Deployment, *words: str) -> str:
    """Copy files into the bucket, with the label by which `churn destroy` finds them."""
    key = deployment.config.kms_key
    options = [f"--encryption-key={key}"] if key else []
    options += [f"--custom-metadata={key_values(deployment.labels)}", f"--project={deployment.project}"]
    return shlex.join(["gcloud", "storage", "cp", *words, *options])


def copy_bundle(deployment: Deployment, bundle: Bundle) -> str:
    """Copy the bundle into the bucket."""
    folder = f"gs://{deployment.bucket}/{deployment.staged_path(bundle)}/1"
    return _copy_command(deployment, "--recursive", f"{bundle.path}/*", folder)


def upload_model(deployment: Deployment, bundle: Bundle, state: State) -> str:
    """Register a new version of the model."""
    parent = f"--parent-model={deployment.model}" if state.versions else f"--model-id={deployment.name}"
    return _ai_command(
        deployment, "models", "upload", parent, f"--display-name={deployment.name}",
        f"--artifact-uri={deployment.artifact_uri(bundle)}", f"--container-image-uri={deployment.image}",
        *_container_flags(deployment.serving), f"--labels={key_values(version_labels(deployment, bundle))}",
    )  # fmt: skip


def _container_flags(serving: ServingConfig) -> list[str]:
    values = {
        "command": ",".join(serving.command),
        "args": "^;^" + ";".join(serving.args) if serving.args else "",
        "predict-route": serving.predict_route,
        "health-route": serving.health_route,
        "ports": "8080" if serving.predict_route else "",
    }
    return [f"--container-{flag}={value}" for flag, value in values.items() if value]


def create_dataset(deployment: Deployment) -> str:
    """Create the data set that requests are logged to."""
    label = key_values(deployment.labels).replace("=", ":")
    dataset = f"{deployment.project}:{deployment.dataset}"
    key = deployment.config.kms_key
    encrypted = [f"--default_kms_key={key}"] if key else []
    words = [f"--location={deployment.region}", "mk", "--dataset", f"--label={label}", *encrypted, dataset]
    return shlex.join(["bq", *words])


def create_endpoint(deployment: Deployment) -> str:
    """Create the endpoint, with its requests logged."""
    table = f"bq://{deployment.project}.{deployment.dataset}.{REQUESTS}"
    key = deployment.config.kms_key
    return _ai_command(
        deployment, "endpoints", "create", f"--endpoint-id={deployment.name}",
        f"--display-name={deployment.name}", f"--labels={key_values(deployment.labels)}",
        f"--request-response-logging-rate={deployment.config.monitoring.sampling}",
        f"--request-response-logging-table={table}", *([f"--encryption-kms-key-name={key}"] if key else []),
    )  # fmt: skip


def deploy_model(deployment: Deployment, bundle: Bundle, number: str, serving_id: str | None) -> str:
    """Deploy a version to the endpoint, with its first share of the traffic."""
    config, size = deployment.config, deployment.size
    split = traffic_split("0", deployment.probe_share, serving_id)
    options = [f"--service-account={config.service_account}"] if config.service_account else []
    options += ["--enable-access-logging"] if config.access_logging else []
    return _ai_command(
        deployment, "endpoints", "deploy-model", deployment.name, f"--model={deployment.name}@{number}",
        f"--display-name={deployment.name}-{number}", f"--deployed-model-id={deployment.deployed_id(bundle)}",
        f"--machine-type={size.machine_type}", f"--min-replica-count={size.min_replicas}",
        f"--max-replica-count={size.max_replicas}", f"--traffic-split={key_values(split)}", *options,
    )  # fmt: skip


def set_traffic(deployment: Deployment, shares: Mapping[str, int], previous: str | None = None) -> str:
    """Set the traffic of each deployed model, and name the one to roll back to if there is a new one."""
    flags = [f"--traffic-split={key_values(shares)}"]
    flags += [f"--update-labels={key_values({PREVIOUS: previous})}"] if previous else []
    return _ai_command(deployment, "endpoints", "update", deployment.name, *flags)


def undeploy_model(deployment: Deployment, model_id: str) -> str:
    """Take a deployed model off the endpoint."""
    option = f"--deployed-model-id={model_id}"
    return _ai_command(deployment, "endpoints", "undeploy-model", deployment.name, option)


def create_monitor(deployment: Deployment, bundle: Bundle, with_schemas: bool) -> list[str]:
    """Create the monitoring job for all deployed models; first its schemas, unless they exist."""
    monitoring, uris = deployment.config.monitoring, job.schema_uris(deployment, bundle)
    thresholds = job.monitor_thresholds(bundle, monitoring)
    create = _ai_command(
        deployment, "model-monitoring-jobs", "create", f"--display-name={deployment.name}",
        f"--endpoint={deployment.name}", f"--emails={','.join(monitoring.emails)}",
        f"--labels={key_values(deployment.labels)}", f"--prediction-sampling-rate={monitoring.sampling}",
        f"--monitoring-frequency={monitoring.hours}", f"--feature-thresholds={key_values(thresholds)}",
        "--anomaly-cloud-logging", *_monitor_flags(deployment, bundle),
        *(f"--{name}-instance-schema={uri}" for name, uri in uris.items()),
    )  # fmt: skip
    return [*(_schema_commands(deployment, bundle) if with_schemas else []), create]


def _monitor_flags(deployment: Deployment, bundle: Bundle) -> list[str]:
    monitoring, key = deployment.config.monitoring, deployment.config.kms_key
    flags = [f"--notification-channels={','.join(monitoring.channels)}"] if monitoring.channels else []
    flags += [f"--kms-key={key}"] if key else []
    return flags + _training_data_flags(monitoring, bundle.schema.target)


def _training_data_flags(monitoring: MonitoringConfig, target: str) -> list[str]:
    data = monitoring.training_data
    if not data:
        return []
    source = [f"--bigquery-uri={data}"]
    if not data.startswith("bq://"):
        source = ["--data-format=csv", f"--gcs-uris={data}"]
    return [f"--target-field={target}", *source]


def _schema_commands(deployment: Deployment, bundle: Bundle) -> list[str]:
    """Write each schema to a file, and copy it into the bucket."""
    uris = job.schema_uris(deployment, bundle)
    return [
        f"echo {shlex.quote(json.dumps(schema, separators=(',', ':')))} > {name}.yaml && "
        + _copy_command(deployment, f"{name}.yaml", uris[name])
        for name, schema in job.instance_schemas(bundle).items()
    ]


def delete_monitor(deployment: Deployment, monitor: Any) -> list[str]:
    """Remove the monitoring job."""
    number = monitor.name.rpartition("/")[2]
    return [_ai_command(deployment, "model-monitoring-jobs", verb, number) for verb in ("pause", "delete")]


def destroy_all(deployment: Deployment, state: State, has_log: bool, files: Iterable[Any]) -> list[str]:
    """Remove everything, first what bills by the hour; files: the staged objects."""
    lines = _undeploy_all(deployment, state)
    lines += delete_monitor(deployment, state.monitor) if state.monitor else []
    lines += [_ai_command(deployment, "endpoints", "delete", deployment.name)] if state.endpoint else []
    lines += [_ai_command(deployment, "models", "delete", deployment.name)] if state.versions else []
    datasets = [deployment.dataset] * has_log + [job.monitoring_dataset(deployment)] * bool(state.monitor)
    return [
        *lines,
        *(delete_dataset(deployment, name) for name in datasets),
        *delete_files(deployment, files),
    ]


def delete_dataset(deployment: Deployment, name: str) -> str:
    """Remove a data set with its tables."""
    options = ["--recursive", "--force", "--dataset"]
    return shlex.join(["bq", "rm", *options, f"{deployment.project}:{name}"])


def delete_files(deployment: Deployment, files: Iterable[Any]) -> list[str]:
    """Remove the staged folders; files: the objects in them."""
    names = sorted(f"{blob.bucket.name}/{blob.name}" for blob in files)
    folders = dict.fromkeys("/".join(name.split("/")[:3]) for name in names)
    words = ["gcloud", "storage", "rm", "--recursive"]
    return [shlex.join([*words, f"gs://{folder}", f"--project={deployment.project}"]) for folder in folders]


def _undeploy_all(deployment: Deployment, state: State) -> list[str]:
    """Undeploy all versions, the one that serves last."""
    last_id = state.serving_id()
    is_shared = last_id and state.share(last_id) < 100
    lines = [set_traffic(deployment, {last_id: 100})] if last_id and is_shared else []
    models = sorted(state.deployed, key=lambda model: model.id == last_id)
    return [*lines, *(undeploy_model(deployment, model.id) for model in models)]


def unsupported(deployment: Deployment, bundle: Bundle, state: State) -> list[str]:
    """Parts of the plan for which gcloud (of 2026) has no flag: only the API does them."""
    config, nodes = deployment.config, state.nodes(deployment.deployed_id(bundle))
    applies = {
        "comparing answers": True,
        "a version that scales to zero": config.idle_minutes and not nodes,
        "a dedicated endpoint": config.dedicated and not state.endpoint,
        "the key of the model": config.kms_key and not state.version(deployment, bundle),
        "the nodes of a version that runs": nodes and nodes != deployment.size.nodes,
        "drift beside skew": config.monitoring.enabled and config.monitoring.training_data,
        "the monitoring's own folder": config.monitoring.enabled and not state.monitor,
    }
    return [part for part, is_needed in applies.items() if is_needed]
