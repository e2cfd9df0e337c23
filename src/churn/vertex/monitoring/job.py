"""Vertex AI's own monitoring job, thresholds taken from the training profile."""

from __future__ import annotations

import hashlib
from typing import Any

import yaml  # type: ignore[import-untyped]

from churn.bundle.bundle import Bundle
from churn.config.serving import DeployConfig, MonitoringConfig
from churn.data.dataset import CUSTOMER_KEY
from churn.vertex.cloud.client import Clients, wait_for
from churn.vertex.cloud.deployment import Deployment
from churn.vertex.cloud.staging import encryption, upload_object
from churn.vertex.cloud.state import State
from churn.vertex.monitoring.thresholds import drift_thresholds

OBJECTIVES = "model_deployment_monitoring_objective_configs"
CHANGEABLE = (
    OBJECTIVES,
    "model_deployment_monitoring_schedule_config",
    "model_monitoring_alert_config",
    "logging_sampling_strategy",
)


def ensure_monitor(
    cfg: DeployConfig, clients: Clients, target: Deployment, bundle: Bundle, state: State
) -> None:
    """One job for the endpoint that looks at each of its deployed models, set as configured; or none."""
    if not cfg.monitoring.enabled:
        return remove_monitor(clients, target, state)
    wanted = monitor_job(cfg, target, bundle, [model.id for model in state.deployed])
    if state.monitor and has_other_schema(state.monitor, wanted):
        remove_monitor(clients, target, state)
    elif state.monitor:
        return _update_monitor(clients, target, state.monitor, wanted)
    for name, schema in instance_schemas(bundle).items():
        upload_object(clients, target, _schema_path(target, schema, name), yaml.safe_dump(schema))
    request = {"parent": target.parent, "model_deployment_monitoring_job": wanted}
    clients.jobs.create_model_deployment_monitoring_job(request)
    return None


def has_other_schema(found: Any, wanted: dict[str, Any]) -> bool:
    """Whether a job is for instances of another form, which can't be changed."""
    return bool(found.analysis_instance_schema_uri != wanted["analysis_instance_schema_uri"])


def _update_monitor(clients: Clients, target: Deployment, found: Any, wanted: dict[str, Any]) -> None:
    """Change what is not as it should be."""
    if changed := changed_fields(found, wanted):
        request = {
            "model_deployment_monitoring_job": wanted | {"name": found.name},
            "update_mask": {"paths": changed},
        }
        operation = clients.jobs.update_model_deployment_monitoring_job(request).operation
        wait_for(clients, target, operation.name)


def changed_fields(found: Any, wanted: dict[str, Any]) -> list[str]:
    """What of a monitoring job is not as it should be and can be changed."""
    made = type(found)(wanted)
    return [name for name in CHANGEABLE if getattr(found, name) != getattr(made, name)]


def remove_monitor(clients: Clients, target: Deployment, state: State) -> None:
    """Pause and delete the job, if there is one."""
    from google.cloud.aiplatform_v1 import JobState

    if state.monitor:
        request = {"name": state.monitor.name}
        if state.monitor.state != JobState.JOB_STATE_PAUSED:
            clients.jobs.pause_model_deployment_monitoring_job(request)
        operation = clients.jobs.delete_model_deployment_monitoring_job(request).operation
        wait_for(clients, target, operation.name)


def monitor_job(cfg: DeployConfig, target: Deployment, bundle: Bundle, deployed: list[str]) -> dict[str, Any]:
    """The job as it should be, for deployed models by their ids."""
    watch = cfg.monitoring
    alerts: dict[str, Any] = {"enable_logging": True, "notification_channels": list(watch.channels)}
    if watch.emails:
        alerts["email_alert_config"] = {"user_emails": list(watch.emails)}
    uris = schema_uris(target, bundle)
    return {
        "display_name": target.name,
        "endpoint": target.endpoint,
        "labels": target.labels,
        "logging_sampling_strategy": {"random_sample_config": {"sample_rate": watch.sampling}},
        "model_deployment_monitoring_schedule_config": {"monitor_interval": {"seconds": watch.hours * 3600}},
        "model_monitoring_alert_config": alerts,
        "analysis_instance_schema_uri": uris["analysis"],
        "predict_instance_schema_uri": uris["predict"],
        OBJECTIVES: [
            {"deployed_model_id": identity, "objective_config": _objective_config(watch, bundle)}
            for identity in deployed
        ],
        **encryption(cfg),
    }


def instance_schemas(bundle: Bundle) -> dict[str, dict[str, Any]]:
    """OpenAPI schemas of an instance, as it is analysed and as it is sent: the job then needs no requests."""
    types = {"number": "number", "category": "string"}
    fields = {field["input"]: {"type": types[field["kind"]]} for field in bundle.facts["inputs"]}
    properties = {"analysis": fields, "predict": fields | {CUSTOMER_KEY: {"type": "string"}}}
    return {
        name: {"type": "object", "properties": found, "required": list(found)}
        for name, found in properties.items()
    }


def _schema_path(target: Deployment, schema: dict[str, Any], name: str) -> str:
    """Where a schema lies in the bucket, by its content."""
    digest = hashlib.sha256(yaml.safe_dump(schema).encode()).hexdigest()[:12]
    return f"{target.name}/monitoring/{digest}/{name}.yaml"


def schema_uris(target: Deployment, bundle: Bundle) -> dict[str, str]:
    """Addresses of the schemas."""
    return {
        name: f"gs://{target.bucket}/{_schema_path(target, schema, name)}"
        for name, schema in instance_schemas(bundle).items()
    }


def _objective_config(watch: MonitoringConfig, bundle: Bundle) -> dict[str, Any]:
    """Drift of every feature, and skew where training data are named."""
    values = {name: {"value": value} for name, value in monitor_thresholds(bundle, watch).items()}
    drift = {"prediction_drift_detection_config": {"drift_thresholds": values}}
    if not watch.training_data:
        return drift
    if watch.training_data.startswith("bq://"):
        data: dict[str, Any] = {"bigquery_source": {"input_uri": watch.training_data}}
    else:
        data = {"gcs_source": {"uris": [watch.training_data]}, "data_format": "csv"}
    skew = {"training_prediction_skew_detection_config": {"skew_thresholds": values}}
    all_rows = {"random_sample_config": {"sample_rate": 1.0}}
    data |= {"target_field": bundle.schema.target, "logging_sampling_strategy": all_rows}
    return drift | skew | {"training_dataset": data}


def monitor_thresholds(bundle: Bundle, watch: MonitoringConfig) -> dict[str, float]:
    """By input: the threshold, the one that is configured or that of the training profile."""
    if watch.threshold is None:
        return drift_thresholds(bundle, watch.rows)
    return {field["input"]: watch.threshold for field in bundle.facts["inputs"]}
