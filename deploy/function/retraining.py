"""Starts the retraining pipeline after anomalies in the monitoring log, if the policy allows it.

The policy is that of `churn.retrain.trigger`, set by environment variables: ALARMS windows with an anomaly
among the last WINDOWS of HOURS hours, COOLDOWN_DAYS since the last run, at most PER_WEEK runs. The function
keeps no state: the bucket holds an empty object for each anomaly, and Vertex AI the runs.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

LOG = "aiplatform.googleapis.com%2Fmodel_monitoring_anomaly"
LABEL = "churn-deployment"


def retrain(message: Mapping[str, Any], env: Mapping[str, str]) -> str:
    """Submit the pipeline if it is due; gives a sentence on the decision. A repeated message counts once."""
    entry = json.loads(base64.b64decode(message["data"]))
    if not entry.get("logName", "").endswith(LOG):
        return f"not an anomaly: {entry.get('logName')}"
    if other := other_job(entry, env):
        return f"not an anomaly of {env['NAME']}, but of the monitoring job {other}"
    time = datetime.fromisoformat(entry["timestamp"]).astimezone(UTC)
    windows = record_anomaly(time, env)
    if windows < int(env.get("ALARMS", 2)):
        return f"{windows} windows with an anomaly are too few"
    if reason := reason_to_wait(time, env):
        return reason
    return submit(entry, f"anomalies in {windows} windows, the newest among them", env)


def other_job(entry: Mapping[str, Any], env: Mapping[str, str]) -> str | None:
    """The monitoring job of an entry, by its number; None for this deployment's own, or where none is named.

    Google's guide shows the field in an example and promises nothing, so an entry without it counts.
    """
    from google.cloud import aiplatform

    number = entry.get("resource", {}).get("labels", {}).get("model_deployment_monitoring_job")
    if not number:
        return None
    own = aiplatform.ModelDeploymentMonitoringJob.list(
        filter=f"labels.{LABEL}={env['NAME']}", project=env["PROJECT"], location=env["REGION"]
    )
    return None if number in {job.name for job in own} else str(number)


def record_anomaly(time: datetime, env: Mapping[str, str]) -> int:
    """Record an anomaly; gives how many of the last windows, this one included, had one."""
    from google.cloud import storage

    bucket = storage.Client(project=env["PROJECT"]).bucket(env["BUCKET"])
    prefix = f"{env['NAME']}/anomalies/"
    blob = bucket.blob(f"{prefix}{time:%Y-%m-%dT%H:%M:%SZ}", kms_key_name=env.get("KMS_KEY"))
    blob.metadata = {LABEL: env["NAME"]}
    blob.upload_from_string("")
    hours, count = float(env.get("HOURS", 24)), int(env.get("WINDOWS", 5))
    ages = [  # in windows; daily anomalies may be some seconds less than a day apart
        (time - datetime.fromisoformat(other.name.removeprefix(prefix))) / timedelta(hours=hours)
        for other in bucket.list_blobs(prefix=prefix)
    ]
    return len({round(age) for age in ages if 0 <= round(age) < count})


def reason_to_wait(now: datetime, env: Mapping[str, str]) -> str | None:
    """Why it is too early for another run; None if it is not."""
    from google.cloud import aiplatform

    runs = aiplatform.PipelineJob.list(
        filter=f"labels.{LABEL}={env['NAME']}", project=env["PROJECT"], location=env["REGION"]
    )
    ages = [now - run.create_time for run in runs]
    if any(age < timedelta(days=float(env.get("COOLDOWN_DAYS", 28))) for age in ages):
        return "the last retraining is too recent"
    if sum(age < timedelta(days=7) for age in ages) >= int(env.get("PER_WEEK", 1)):
        return "enough retrainings this week"
    return None


def submit(entry: Mapping[str, Any], reason: str, env: Mapping[str, str]) -> str:
    """Start the pipeline. Its id follows from the log entry, so one entry cannot start two runs."""
    from google.api_core.exceptions import Conflict
    from google.cloud import aiplatform

    name = f"{env['NAME']}-retrain-{hashlib.sha256(entry['insertId'].encode()).hexdigest()[:12]}"
    keys = ("PROJECT", "REGION", "BUCKET", "NAME", "KMS_KEY")
    shared = [f"deploy.{key.lower()}={env[key]}" for key in keys if env.get(key)]
    overrides = shared + json.loads(env["OVERRIDES"])  # the last one of a key holds
    run = aiplatform.PipelineJob(
        display_name=f"{env['NAME']}-retrain",
        template_path=env["TEMPLATE"],
        job_id=name,
        pipeline_root=f"gs://{env['BUCKET']}/{env['NAME']}/retrain",
        parameter_values={"overrides": overrides, "kind": "alarm", "reason": reason},
        enable_caching=False,
        labels={LABEL: env["NAME"]},
        encryption_spec_key_name=env.get("KMS_KEY"),
        project=env["PROJECT"],
        location=env["REGION"],
    )
    try:
        run.submit(service_account=env.get("SERVICE_ACCOUNT"))
    except Conflict:
        return f"{name} runs already"
    return f"{name} submitted: {reason}"
