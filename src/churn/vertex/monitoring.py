"""Vertex AI's own monitoring job, thresholds taken from the training profile."""

from __future__ import annotations

from typing import Any

import yaml  # type: ignore[import-untyped]

from churn.bundle import Bundle
from churn.config import DeployConfig, MonitoringConfig
from churn.graph import KEY
from churn.vertex.client import Clients, finish
from churn.vertex.state import State
from churn.vertex.target import Target

OBJECTIVES = "model_deployment_monitoring_objective_configs"


def ensure(cfg: DeployConfig, clients: Clients, target: Target, bundle: Bundle, state: State) -> None:
    """One job for the endpoint that looks at each of its deployed models."""
    wanted = [
        {"deployed_model_id": model.id, "objective_config": objective(cfg.monitoring, bundle)}
        for model in state.deployed
    ]
    if state.monitor is None:
        new = job(cfg, clients, target, bundle) | {OBJECTIVES: wanted}
        request = {"parent": target.parent, "model_deployment_monitoring_job": new}
        clients.jobs.create_model_deployment_monitoring_job(request)
        return
    watched = [c.deployed_model_id for c in state.monitor.model_deployment_monitoring_objective_configs]
    if watched != [config["deployed_model_id"] for config in wanted]:
        changed = {"name": state.monitor.name, "display_name": target.name, "endpoint": target.endpoint}
        update = {
            "model_deployment_monitoring_job": changed | {OBJECTIVES: wanted},
            "update_mask": {"paths": [OBJECTIVES]},
        }
        finish(clients, clients.jobs.update_model_deployment_monitoring_job(update).operation.name)


def job(cfg: DeployConfig, clients: Clients, target: Target, bundle: Bundle) -> dict[str, Any]:
    """The job without its objectives; its schemas are put into the bucket."""
    watch = cfg.monitoring
    analysed, sent = (schema_uri(clients, target, bundle, name) for name in ("analysis", "predict"))
    alerts: dict[str, Any] = {"enable_logging": True, "notification_channels": list(watch.channels)}
    if watch.emails:
        alerts["email_alert_config"] = {"user_emails": list(watch.emails)}
    return {
        "display_name": target.name,
        "endpoint": target.endpoint,
        "labels": target.labels,
        "logging_sampling_strategy": {"random_sample_config": {"sample_rate": watch.sampling}},
        "model_deployment_monitoring_schedule_config": {"monitor_interval": {"seconds": watch.hours * 3600}},
        "model_monitoring_alert_config": alerts,
        "analysis_instance_schema_uri": analysed,
        "predict_instance_schema_uri": sent,
        **({"encryption_spec": {"kms_key_name": cfg.kms_key}} if cfg.kms_key else {}),
    }


def schema_uri(clients: Clients, target: Target, bundle: Bundle, name: str) -> str:
    """Put the OpenAPI schema of an instance beside the bundle: the job then needs no requests to start."""
    types = {"number": "number", "category": "string"}
    properties = {field["input"]: {"type": types[field["kind"]]} for field in bundle.facts["inputs"]}
    if name == "predict":
        properties[KEY] = {"type": "string"}
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    place = f"{target.staged(bundle)}/monitoring/{name}.yaml"
    clients.storage.bucket(target.bucket).blob(place).upload_from_string(
        yaml.safe_dump(schema), "application/yaml"
    )
    return f"gs://{target.bucket}/{place}"


def objective(watch: MonitoringConfig, bundle: Bundle) -> dict[str, Any]:
    """Drift of every feature, and skew where training data are named."""
    limits = {name: {"value": value} for name, value in thresholds(bundle, watch.threshold).items()}
    drift = {"prediction_drift_detection_config": {"drift_thresholds": limits}}
    if not watch.training_data:
        return drift
    if watch.training_data.startswith("bq://"):
        data: dict[str, Any] = {"bigquery_source": {"input_uri": watch.training_data}}
    else:
        data = {"gcs_source": {"uris": [watch.training_data]}, "data_format": "csv"}
    skew = {"training_prediction_skew_detection_config": {"skew_thresholds": limits}}
    return drift | skew | {"training_dataset": data | {"target_field": bundle.schema.target}}


def thresholds(bundle: Bundle, threshold: float) -> dict[str, float]:
    """By input: the threshold, for a category at most half the share of its commonest level in training.

    The distance of categories is the greatest change of one level's share; with many small levels it could
    never reach a fixed threshold.
    """
    limits = {}
    for field in bundle.facts["inputs"]:
        limits[field["input"]] = threshold
        if field["kind"] == "category":
            counts = bundle.profile["categorical"][field["column"]].values()
            limits[field["input"]] = round(min(threshold, max(counts) / sum(counts) / 2), 4)
    return limits
