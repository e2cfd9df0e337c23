"""The printed commands, typed into a shell, do the same as the command that prints them."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from google.protobuf import json_format
from typed_gcloud import anybody, typing

from churn.errors import UserError
from churn.vertex.deploy import deploy
from churn.vertex.destroy import destroy
from churn.vertex.rollback import rollback
from vertex.test_faults import restore, save


@pytest.fixture
def shell(cloud, tmp_path):
    """A function that runs a line in a shell, where gcloud and bq use the double."""
    cloud.service.lag = cloud.service.reluctance = cloud.service.pending = 0  # gcloud waits for seconds
    if shutil.which("gcloud") is None or shutil.which("bq") is None:
        pytest.skip("there is no gcloud on this machine")
    sdk = Path(shutil.which("gcloud")).resolve().parents[1]
    settings = {"api": cloud.url, "discovery_file": sdk / "platform/bq/discovery_next/bigquery.json"}
    settings["use_google_auth"] = "True"
    (tmp_path / "bigqueryrc").write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    environment = {
        "BIGQUERYRC": str(tmp_path / "bigqueryrc"),
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM": f"{cloud.url}/",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": f"{cloud.url}/storage/v1/",
        "CLOUDSDK_STORAGE_PROCESS_COUNT": "1",
    }

    with typing(environment, tmp_path) as gcloud:
        yield lambda line: type_line(line, gcloud, environment, tmp_path)


def type_line(line, gcloud, environment, folder):
    """Run a line: gcloud's by the process that is there, those of other programs in a shell."""
    for command in line.split(" && ") if line.startswith("echo ") else [line]:
        if command.startswith("gcloud "):
            gcloud(command)
            continue
        variables = os.environ | anybody(folder) | environment
        done = subprocess.run(
            command, shell=True, cwd=folder, env=variables, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"


def commands_before_question(capsys, monkeypatch, function, cfg):
    """The commands that `function` prints before its question; the answer is no."""
    cfg.deploy.yes = False
    monkeypatch.setattr("builtins.input", lambda _: "no")
    capsys.readouterr()
    with pytest.raises(UserError, match="nothing was changed"):
        function(cfg)
    return printed_commands(capsys)


def printed_commands(capsys):
    lines = capsys.readouterr().out.replace("The same with gcloud: ", "").splitlines()
    return [line.strip() for line in lines if line.strip().startswith(("gcloud ", "bq ", "echo "))]


def kinds(lines):
    """The verbs of the commands, each once."""
    words = [shlex.split(line) for line in lines]
    verbs = [line[:1] if line[0] == "echo" else [w for w in line[1:4] if w[0] != "-"] for line in words]
    return list(dict.fromkeys(map(" ".join, verbs)))


def all_resources(cloud):
    """Models, endpoints, monitoring jobs, objects and data sets, without what the service chooses."""
    service = cloud.service
    models = [v for versions in service.models.values() for v in versions]
    jobs = [to_dict(job) for job in service.monitors.values()]
    for job in jobs:
        del job["name"]
        job.pop("statsAnomaliesBaseDirectory", None)  # gcloud has no flag for it
        job["modelMonitoringAlertConfig"].setdefault("emailAlertConfig", {})
    endpoints = [to_dict(endpoint) for endpoint in service.endpoints.values()]
    for endpoint in endpoints:
        endpoint["trafficSplit"] = {key: n for key, n in endpoint["trafficSplit"].items() if n}
    datasets = {name: (body.get("location"), body.get("labels")) for name, body in service.datasets.items()}
    objects = service.storage.metadata("gs://bucket/")
    objects = {name: labels for name, labels in objects.items() if "/statistics/" not in name}
    return [to_dict(model) for model in models], endpoints, jobs, objects, datasets


def to_dict(message):
    return json_format.MessageToDict(type(message).pb(message))


def test_the_commands_of_a_first_deployment_with_every_option(cloud, settings, shell, capsys, monkeypatch):
    key = "projects/p/locations/us-central1/keyRings/r/cryptoKeys/k"
    cloud.service.storage.encrypt_bucket("bucket", key)
    cfg = settings(
        1, "serving=tf_serving", f"deploy.kms_key={key}", "deploy.access_logging=true",
        "deploy.service_account=a@p.iam.gserviceaccount.com", "deploy.monitoring.emails=[a@b.c]",
        "deploy.monitoring.channels=[projects/p/notificationChannels/1]",
        "deploy.monitoring.training_data=gs://bucket/train.csv",
    )  # fmt: skip
    before = save(cloud)
    lines = commands_before_question(capsys, monkeypatch, deploy, cfg)
    for line in lines:
        shell(line)
    typed = all_resources(cloud)
    restore(cloud, before)
    cfg.deploy.yes = True
    deploy(cfg)
    expected = all_resources(cloud)
    missing = (
        "comparing answers",
        "the key of the model",
        "drift beside skew",
        "the monitoring's own folder",
    )
    assert f"no command for it: {', '.join(missing)}" in capsys.readouterr().out
    assert expected[0][0].pop("encryptionSpec") == {"kmsKeyName": key}
    (objective,) = expected[2][0]["modelDeploymentMonitoringObjectiveConfigs"]
    del objective["objectiveConfig"]["predictionDriftDetectionConfig"]
    assert typed == expected
    assert kinds(lines) == [
        "storage cp", "ai models upload", "mk", "ai endpoints create", "ai endpoints deploy-model", "echo",
        "ai model-monitoring-jobs create",
    ]  # fmt: skip


SCENARIOS = {  # earlier commands, the command, and the verbs of what it prints
    "canary": (
        [(deploy, 1), (deploy, 2)],
        (deploy, 3, "deploy.canary=60"),
        ["storage cp", "ai models upload", "ai endpoints deploy-model", "ai endpoints update",
         "ai endpoints undeploy-model", "ai model-monitoring-jobs pause", "ai model-monitoring-jobs delete",
         "ai model-monitoring-jobs create"],
    ),
    "rollback": ([(deploy, 1), (deploy, 2)], (rollback, 2), ["ai endpoints update"]),
    "destroy": (
        [(deploy, 1), (deploy, 2, "deploy.canary=60")],
        (destroy, 1),
        ["ai endpoints update", "ai endpoints undeploy-model", "ai model-monitoring-jobs pause",
         "ai model-monitoring-jobs delete", "ai endpoints delete", "ai models delete", "rm", "storage rm"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_commands_of_a_later_change(scenario, cloud, settings, shell, capsys, monkeypatch):
    earlier, (function, *arguments), verbs = SCENARIOS[scenario]
    for command, *overrides in earlier:
        command(settings(*overrides))
    before = save(cloud)
    capsys.readouterr()
    if function is rollback:  # asks no question
        function(settings(*arguments))
        expected, lines = all_resources(cloud), printed_commands(capsys)
        restore(cloud, before)
    else:
        lines = commands_before_question(capsys, monkeypatch, function, settings(*arguments))
    assert kinds(lines) == verbs
    for line in lines:
        shell(line)
    typed = all_resources(cloud)
    if function is not rollback:
        restore(cloud, before)
        function(settings(*arguments))
        expected = all_resources(cloud)
    assert typed == expected
    assert not cloud.service.violations
