"""Vertex AI's own monitoring job, with thresholds from the training profile."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import Any

import yaml  # type: ignore[import-untyped]

from churn.bundle.bundle import Bundle
from churn.config.serving import MonitoringConfig
from churn.data.contract import CUSTOMER_KEY
from churn.vertex.cloud.deployment import Deployment
from churn.vertex.cloud.operations import retry_refused, wait_for
from churn.vertex.cloud.session import Session
from churn.vertex.cloud.staging import STATISTICS, upload_object
from churn.vertex.cloud.state import State
from churn.vertex.monitoring.thresholds import drift_thresholds

OBJECTIVES = "model_deployment_monitoring_objective_configs"
CHANGEABLE = (
    OBJECTIVES,
    "model_deployment_monitoring_schedule_config",
    "model_monitoring_alert_config",
    "logging_sampling_strategy",
)


def ensure_monitor(session: Session, bundle: Bundle, state: State) -> None:
    """Make one job watch every deployed model, as configured; remove it if monitoring is off."""
    deployment = session.deployment
    if not deployment.config.monitoring.enabled:
        return remove_monitor(session, state)
    desired = monitor_job(deployment, bundle, [model.id for model in state.deployed])
    if state.monitor and not has_other_schema(state.monitor, desired):
        return _update_monitor(session, state.monitor, desired)
    remove_monitor(session, state)
    for name, schema in instance_schemas(bundle).items():
        upload_object(session, _schema_path(deployment, schema, name), yaml.safe_dump(schema))
    request = {"parent": deployment.parent, "model_deployment_monitoring_job": desired}
    session.clients.jobs.create_model_deployment_monitoring_job(request)
    return None


def has_other_schema(existing: Any, desired: dict[str, Any]) -> bool:
    """Whether a job expects instances of another form; that cannot be changed."""
    return bool(existing.analysis_instance_schema_uri != desired["analysis_instance_schema_uri"])


def _update_monitor(session: Session, existing: Any, desired: dict[str, Any]) -> None:
    if fields := changed_fields(existing, desired):
        request = {
            "model_deployment_monitoring_job": desired | {"name": existing.name},
            "update_mask": {"paths": fields},
        }
        update = session.clients.jobs.update_model_deployment_monitoring_job
        retry_refused(lambda: wait_for(session, update(request)))


def changed_fields(existing: Any, desired: dict[str, Any]) -> list[str]:
    """The changeable fields of a job that differ from the desired ones."""
    message = type(existing)(desired)
    return [name for name in CHANGEABLE if getattr(existing, name) != getattr(message, name)]


def remove_monitor(session: Session, state: State) -> None:
    """Delete the job, if there is one; its tables stay, for they hold what was seen so far."""
    if monitor := state.monitor:
        retry_refused(lambda: _delete_job(session, monitor.name))


def _delete_job(session: Session, name: str) -> None:
    """Pause the job, then delete it; the service refuses both for a while where the job is PENDING."""
    from google.cloud.aiplatform_v1 import JobState

    jobs, request = session.clients.jobs, {"name": name}
    job = jobs.get_model_deployment_monitoring_job(request)
    if job.state != JobState.JOB_STATE_PAUSED:
        jobs.pause_model_deployment_monitoring_job(request)
    wait_for(session, jobs.delete_model_deployment_monitoring_job(request))


def delete_tables(session: Session, monitor: Any | None) -> None:
    """Delete a job's tables, and their data set if it is empty then; `churn destroy` names what stays.

    Without a job, the table that an earlier one had by its documented name.
    """
    from google.api_core.exceptions import BadRequest, Forbidden

    bigquery, deployment = session.clients.bigquery, session.deployment
    dataset = monitoring_dataset(deployment)
    tables = [f"{deployment.project}.{dataset}.serving_predict"]
    if monitor:
        tables = [table.bigquery_table_path.removeprefix("bq://") for table in monitor.bigquery_tables]
    with suppress(Forbidden, BadRequest):  # the service made them: the user may lack the role; not empty
        for path in tables:
            if path.split(".")[-2] != deployment.dataset:  # that one has the requests: see destroy
                bigquery.delete_table(path, not_found_ok=True)
        bigquery.delete_dataset(dataset, not_found_ok=True)


def monitoring_dataset(deployment: Deployment) -> str:
    """The data set that Vertex AI makes for the tables of an endpoint's monitoring, as documented."""
    return f"model_deployment_monitoring_{deployment.name.replace('-', '_')}"


def monitor_job(deployment: Deployment, bundle: Bundle, model_ids: list[str]) -> dict[str, Any]:
    """The job as configured, for deployed models by their ids."""
    monitoring, uris = deployment.config.monitoring, schema_uris(deployment, bundle)
    interval = {"monitor_interval": {"seconds": monitoring.hours * 3600}}
    return {
        "display_name": deployment.name,
        "endpoint": deployment.endpoint,
        "labels": deployment.labels,
        "logging_sampling_strategy": {"random_sample_config": {"sample_rate": monitoring.sampling}},
        "model_deployment_monitoring_schedule_config": interval,
        "model_monitoring_alert_config": _alert_config(monitoring),
        "analysis_instance_schema_uri": uris["analysis"],
        "predict_instance_schema_uri": uris["predict"],
        "stats_anomalies_base_directory": {
            "output_uri_prefix": f"gs://{deployment.bucket}/{deployment.name}/{STATISTICS}"
        },
        OBJECTIVES: [
            {"deployed_model_id": model_id, "objective_config": _objective_config(monitoring, bundle)}
            for model_id in model_ids
        ],
        **deployment.encryption,
    }


def _alert_config(monitoring: MonitoringConfig) -> dict[str, Any]:
    alerts = {"enable_logging": True, "notification_channels": list(monitoring.channels)}
    emails = {"email_alert_config": {"user_emails": list(monitoring.emails)}} if monitoring.emails else {}
    return alerts | emails


def instance_schemas(bundle: Bundle) -> dict[str, dict[str, Any]]:
    """OpenAPI schemas of an instance, as it is analysed and as it is sent.

    With them the job needs no requests to start.
    """
    types = {"number": "number", "category": "string"}
    fields = {field["input"]: {"type": types[field["kind"]]} for field in bundle.facts["inputs"]}
    properties = {"analysis": fields, "predict": fields | {CUSTOMER_KEY: {"type": "string"}}}
    return {
        name: {"type": "object", "properties": columns, "required": list(columns)}
        for name, columns in properties.items()
    }


def _schema_path(deployment: Deployment, schema: dict[str, Any], name: str) -> str:
    """Path of a schema in the bucket, by its content."""
    digest = hashlib.sha256(yaml.safe_dump(schema).encode()).hexdigest()[:12]
    return f"{deployment.name}/monitoring/{digest}/{name}.yaml"


def schema_uris(deployment: Deployment, bundle: Bundle) -> dict[str, str]:
    """gs:// addresses of the schemas, by their names."""
    return {
        name: f"gs://{deployment.bucket}/{_schema_path(deployment, schema, name)}"
        for name, schema in instance_schemas(bundle).items()
    }


def _objective_config(monitoring: MonitoringConfig, bundle: Bundle) -> dict[str, Any]:
    """Drift of every feature; skew too where training data are named."""
    thresholds = monitor_thresholds(bundle, monitoring)
    values = {name: {"value": threshold} for name, threshold in thresholds.items()}
    drift = {"prediction_drift_detection_config": {"drift_thresholds": values}}
    if not monitoring.training_data:
        return drift
    skew = {"training_prediction_skew_detection_config": {"skew_thresholds": values}}
    dataset = _training_dataset(monitoring.training_data, bundle.schema.target)
    return drift | skew | {"training_dataset": dataset}


def _training_dataset(uri: str, target: str) -> dict[str, Any]:
    """All training rows of a bq:// table or a gs:// CSV file."""
    all_rows = {"random_sample_config": {"sample_rate": 1.0}}
    source: dict[str, Any] = {"bigquery_source": {"input_uri": uri}}
    if not uri.startswith("bq://"):
        source = {"gcs_source": {"uris": [uri]}, "data_format": "csv"}
    return {**source, "target_field": target, "logging_sampling_strategy": all_rows}


def monitor_thresholds(bundle: Bundle, monitoring: MonitoringConfig) -> dict[str, float]:
    """Threshold of each input: the configured one, else that of the training profile."""
    if monitoring.threshold is None:
        return drift_thresholds(bundle, monitoring.rows)
    return {field["input"]: monitoring.threshold for field in bundle.facts["inputs"]}
