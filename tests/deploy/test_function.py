"""Anomalies start a retraining: not a single one, not too soon after another, not twice."""

import base64
import json
import re
from importlib.metadata import requires

import pytest
from google.cloud.aiplatform_v1 import types as t
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy.conftest import DEPLOY

PARENT = "projects/p/locations/us-central1"
LOG = "projects/p/logs/aiplatform.googleapis.com%2Fmodel_monitoring_anomaly"
EVENT = {
    "ce-specversion": "1.0",
    "ce-id": "1",
    "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
    "ce-source": "//pubsub.googleapis.com/projects/p/topics/churn-anomalies",
}


@pytest.fixture(scope="module")
def function():
    """A client of the entry point in Google's framework, as Cloud Run starts it."""
    from functions_framework import create_app

    return create_app("main", str(DEPLOY / "function" / "main.py"), "cloudevent").test_client()


@pytest.fixture
def anomaly(function, template, cloud, monkeypatch, capsys):
    """A function that sends an anomaly through Pub/Sub and gives what the entry point printed."""
    from google.auth.credentials import AnonymousCredentials

    monkeypatch.setattr("google.auth.default", lambda *_, **__: (AnonymousCredentials(), "p"))
    environment = {
        "PROJECT": "p", "REGION": "us-central1", "BUCKET": "bucket", "NAME": "churn-prod",
        "TEMPLATE": str(template), "OVERRIDES": '["data=telco", "target=vertex"]',
    }  # fmt: skip

    def send(timestamp, name=LOG, job=None, **more):
        entry = {"logName": name, "timestamp": timestamp, "insertId": timestamp, "jsonPayload": {}}
        if job:  # as in the example of Google's guide to the alerts of Model Monitoring
            entry["resource"] = {
                "labels": {"model_deployment_monitoring_job": job, "location": "us-central1"}
            }
        message = {"data": base64.b64encode(json.dumps(entry).encode()).decode(), "messageId": "1"}
        for key, value in (environment | more).items():
            monkeypatch.setenv(key, value)
        answer = function.post("/", json={"message": message, "subscription": "s"}, headers=EVENT)
        assert answer.status_code == 200
        return capsys.readouterr().out

    return send


def test_a_second_window_with_an_anomaly_starts_the_pipeline_with_the_reason(anomaly, cloud):
    assert "too few" in anomaly("2026-11-23T12:00:00Z")
    assert "submitted" in anomaly("2026-11-24T12:00:00.5Z")
    [run] = cloud.service.pipelines.values()
    assert "deploy.project=p" in run.runtime_config.parameter_values["overrides"]
    assert run.runtime_config.parameter_values["kind"] == "alarm"
    assert "2 windows" in run.runtime_config.parameter_values["reason"]


def test_two_anomalies_of_one_window_count_once(anomaly, cloud):
    anomaly("2026-11-24T11:00:00Z")
    assert "too few" in anomaly("2026-11-24T12:00:00Z")
    assert not cloud.service.pipelines


def test_daily_anomalies_count_each_though_the_hour_varies_a_little(anomaly, cloud):
    assert "too few" in anomaly("2026-11-23T12:00:30Z")
    assert "submitted" in anomaly("2026-11-24T12:00:10Z")


def test_an_anomaly_just_before_the_last_windows_does_not_count(anomaly, cloud):
    anomaly("2026-11-19T12:00:10Z")
    assert "too few" in anomaly("2026-11-24T12:00:00Z")


def test_anomalies_of_another_monitoring_job_do_not_count(anomaly, cloud):
    cloud.service.monitors = {
        f"{PARENT}/modelDeploymentMonitoringJobs/{number}": t.ModelDeploymentMonitoringJob(
            name=f"{PARENT}/modelDeploymentMonitoringJobs/{number}", labels={"churn-deployment": name}
        )
        for number, name in {"11": "churn-prod", "22": "churn-dev"}.items()
    }
    anomaly("2026-11-23T12:00:00Z", job="11")
    for other in ("22", "33"):
        assert f"of the monitoring job {other}" in anomaly("2026-11-24T12:00:00Z", job=other)
    assert len(cloud.service.storage.list("gs://bucket/churn-prod/anomalies")) == 1
    assert "submitted" in anomaly("2026-11-24T12:00:00Z", job="11")


def test_an_old_anomaly_does_not_count(anomaly, cloud):
    anomaly("2026-11-18T12:00:00Z")
    assert "too few" in anomaly("2026-11-24T12:00:00Z")


def test_during_the_cool_down_nothing_starts(anomaly, cloud):
    anomaly("2026-11-23T12:00:00Z")
    anomaly("2026-11-24T12:00:00Z")
    assert "too recent" in anomaly("2026-11-25T12:00:00Z")
    assert "this week" in anomaly("2026-11-25T12:00:00Z", COOLDOWN_DAYS="0")
    assert "submitted" in anomaly("2026-11-25T12:00:00Z", COOLDOWN_DAYS="0", PER_WEEK="2")
    assert len(cloud.service.pipelines) == 2


def test_a_repeated_message_starts_one_run(anomaly, cloud):
    often = {"ALARMS": "1", "COOLDOWN_DAYS": "0", "PER_WEEK": "9"}
    assert "submitted" in anomaly("2026-11-24T12:00:00Z", **often)
    assert "runs already" in anomaly("2026-11-24T12:00:00Z", **often)
    assert len(cloud.service.pipelines) == 1


def test_entries_of_other_logs_are_ignored(anomaly, cloud):
    assert "not an anomaly" in anomaly("2026-11-24T12:00:00Z", name="projects/p/logs/other")
    assert not cloud.calls


def installed_with(lines, found=frozenset()):
    """The names of all packages that pip installs for lines of requirements, by their own metadata."""
    for line in map(Requirement, lines):
        name, extras = canonicalize_name(line.name), line.extras or {""}
        if not {(name, extra) for extra in extras} <= found:
            found |= {(name, extra) for extra in (*extras, "")}
            more = [one for one in map(Requirement, requires(name) or []) if is_needed(one, extras)]
            found |= installed_with(map(str, more), found)
    return found


def is_needed(requirement, extras):
    """Whether a package with these extras brings a requirement."""
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in (*extras, ""))


def test_the_requirements_bring_what_reads_the_compiled_pipeline():
    lines = (DEPLOY / "function" / "requirements.txt").read_text().splitlines()
    names = {name for name, _ in installed_with(lines)}
    assert names >= {"functions-framework", "google-cloud-aiplatform", "google-cloud-storage"}
    assert "pyyaml" in names, "PipelineJob(template_path=...) needs it"


def test_the_function_may_read_the_bucket_itself_which_the_client_asks_for():
    """Without `storage.buckets.get` each submission logs a traceback."""
    text = (DEPLOY / "iam.md").read_text().partition("## Retraining")[2]
    table, commands, *_ = text.split("```")
    (row,) = (line for line in table.splitlines() if "compiled pipeline" in line)
    parts = re.split(r"^(?=for |gcloud )", commands.replace("\\\n", ""), flags=re.M)
    (granted,) = (part for part in parts if "gs://BUCKET" in part and "churn-function@" in part)
    for role in ("storage.objectUser", "storage.legacyBucketReader"):
        assert f"`roles/{role}`" in row
        assert role in granted
