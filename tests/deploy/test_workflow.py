"""The GitHub workflow's commands are commands of this version, and staging is always destroyed."""

import re

import pytest
import yaml
from conftest import ROOT, compose_config

from churn.bundle.approval import check_approval

WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "deploy.yml").read_text())


def commands(job):
    """The stage and the overrides of each `churn` command, with the workflow's variables filled in."""
    settings = WORKFLOW["jobs"][job].get("env", {})
    for step in WORKFLOW["jobs"][job]["steps"]:
        if "churn " in (line := step.get("run", "")):
            for name, value in settings.items():
                line = line.replace(f"${name}", value)
            words = re.sub(r"\$\{\{[^}]*\}\}", "7", line).split()
            yield words[1], [word.replace("run=run", "run.dir=run") for word in words[2:]]


@pytest.mark.parametrize("job", ["plan", "staging", "deploy"])
def test_every_command_has_a_valid_configuration(job):
    listed = list(commands(job))
    assert listed
    for _, overrides in listed:
        compose_config(*overrides)


def test_a_pull_request_is_deployed_to_dev_compared_and_always_destroyed():
    steps = WORKFLOW["jobs"]["staging"]["steps"]
    assert [stage for stage, _ in commands("staging")] == ["deploy", "status", "destroy"]
    assert steps[-1]["if"] == "always()"
    names = {compose_config(*overrides).deploy.name for _, overrides in commands("staging")}
    assert names == {"churn-pr-7"}, "one deployment for each pull request"
    (deployment, *_) = (overrides for _, overrides in commands("staging"))
    cfg = compose_config(*deployment).deploy
    assert (cfg.env.value, cfg.answers) == ("dev", 20)


def test_prod_is_deployed_on_a_tag_with_approval():
    job = WORKFLOW["jobs"]["deploy"]
    assert job["environment"] == "prod"
    assert [stage for stage, _ in commands("deploy")] == ["promote", "deploy"]
    (_, promotion), _ = commands("deploy")
    check_approval(compose_config(*promotion))
    assert "refs/tags/v" in job["if"]
