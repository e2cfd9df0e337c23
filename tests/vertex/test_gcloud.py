"""The commands that the plan prints do, typed into the real gcloud, what `churn deploy` does."""

import os
import shlex
import shutil
import subprocess

import pytest

from churn.bundle import Bundle
from churn.vertex.deploy import deploy
from churn.vertex.target import Target


def printed_commands(capsys):
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith(("gcloud ", "bq "))]


@pytest.mark.parametrize("serving", ["prebuilt", "tf_serving"])
def test_the_printed_gcloud_commands_end_in_a_serving_version(
    serving, cloud, settings, bundles, capsys, tmp_path
):
    if shutil.which("gcloud") is None:
        pytest.skip("there is no gcloud on this machine")
    cfg = settings(1, "deploy.plan_only=true", f"serving={serving}")
    deploy(cfg)
    commands = printed_commands(capsys)
    assert [command[:4] for command in commands if command[1] == "ai"] == [
        ["gcloud", "ai", "models", "upload"],
        ["gcloud", "ai", "endpoints", "create"],
        ["gcloud", "ai", "endpoints", "deploy-model"],
        ["gcloud", "ai", "model-monitoring-jobs", "create"],
    ]
    bundle = Bundle.load(bundles[0])
    place = f"gs://bucket/{Target.of(cfg).staged(bundle)}/1"
    for file in filter(lambda path: path.is_file(), bundle.path.rglob("*")):  # as `gcloud storage cp` would
        cloud.service.storage.write(f"{place}/{file.relative_to(bundle.path).as_posix()}", file.read_bytes())
    cloud.service.datasets["p.churn_dev_log"] = {}  # as `bq mk` would
    environment = os.environ | {
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM": f"{cloud.url}/",
        "CLOUDSDK_AUTH_ACCESS_TOKEN": "fake",
        "CLOUDSDK_CONFIG": str(tmp_path),
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
    }
    for command in (command for command in commands if command[1] == "ai"):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{shlex.join(command)}\n{done.stderr}"
    (endpoint,) = cloud.service.endpoints.values()
    assert list(endpoint.traffic_split.values()) == [100]
    assert endpoint.predict_request_response_logging_config.enabled
