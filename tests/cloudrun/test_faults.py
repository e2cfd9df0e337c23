"""After a fault at any call, the same command run again ends in the state of an unbroken run.

The faults are chosen as in tests/vertex/test_faults.py; `benchmarks/faults.py` makes all of them.
"""

import copy
import json
import os
from pathlib import Path

import pytest
from doubles.vertex import Fault
from vertex.test_faults import attempt, faults, killer, without_terraform  # noqa: F401

from churn.cloudrun import deploy as deploy_module
from churn.cloudrun.deploy import deploy
from churn.cloudrun.destroy import destroy
from churn.cloudrun.rollback import rollback
from churn.cloudrun.state import RunState
from churn.errors import UserError, count

CANARY, PUBLIC = "deploy.canary=60", "deploy.cloud_run.public=true"
SCENARIOS = {  # scenario -> earlier commands, and the command that meets a fault
    "Cloud Run: first deployment": ([], (deploy, 1, PUBLIC)),
    "Cloud Run: second revision, canary": ([(deploy, 1)], (deploy, 2, CANARY)),
    "Cloud Run: promotion": (
        [(deploy, 1), (deploy, 2, CANARY)],
        (deploy, 2, "deploy.min_replicas=1"),
    ),
    "Cloud Run: rollback": ([(deploy, 1), (deploy, 2)], (rollback, 2)),
    "Cloud Run: destroy": ([(deploy, 1), (deploy, 2, CANARY)], (destroy, 2)),
}
PARTS = ("services", "revisions", "policies")


def final_state(cloud):
    """All that exists once every operation is done, without what the service chooses."""
    while cloud.service.effects:
        cloud.service.pass_time("")
    run = cloud.run
    services = [
        (
            name,
            dict(s.labels),
            str(s.template),
            s.scaling.min_instance_count,
            RunState(s).shares,
            RunState(s).tags,
        )
        for name, s in run.services.items()
    ]
    revisions = [[revision.name for revision in revisions] for revisions in run.revisions.values()]
    policies = [[str(binding) for binding in policy.bindings] for policy in run.policies.values()]
    datasets = [(name, str(body["access"])) for name, body in cloud.service.datasets.items()]
    files = cloud.service.storage.metadata("gs://bucket/churn-dev-run")
    return services, revisions, [bindings for bindings in policies if bindings], cloud.sinks, datasets, files


def save(cloud):
    """A copy of the state, for `restore`."""
    service = cloud.service
    parts = [getattr(cloud.run, name) for name in PARTS]
    rest = (service.operations, service.effects, service.datasets, service.storage.emulator)
    return copy.deepcopy((parts, cloud.sinks, *rest))


def restore(cloud, saved):
    service = cloud.service
    parts, cloud.sinks, *rest = copy.deepcopy(saved)
    service.operations, service.effects, service.datasets, service.storage.emulator = rest
    for name, part in zip(PARTS, parts, strict=True):
        setattr(cloud.run, name, part)


def assert_that_everything_is_named(cloud, message):
    """The message of a failed deployment names what it left."""
    names = list(cloud.run.services)
    names += [f"log sink {name}" for name in cloud.sinks]
    names += [f"data set {name.partition('.')[2]}" for name in cloud.service.datasets]
    files = len(cloud.service.storage.list("gs://bucket/churn-dev-run"))
    names += [f"{count(files, 'file')} in gs://bucket/churn-dev-run/"] if files else []
    assert not [name for name in names if name not in message], message


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_after_a_fault_at_any_call_the_command_can_be_run_again(
    scenario,
    cloud,
    settings,
    killer,  # noqa: F811
    monkeypatch,
    capsys,
):
    without_terraform(monkeypatch, deploy_module)
    earlier, (function, *arguments) = SCENARIOS[scenario]
    for command, *overrides in earlier:
        command(settings(*overrides))
    cfg, before = settings(*arguments), save(cloud)
    _, calls = attempt(cloud, lambda: function(cfg), None)
    expected, cases = final_state(cloud), []
    for number, kind in faults(calls):
        restore(cloud, before)
        failure, _ = attempt(cloud, lambda: function(cfg), Fault(number, kind))
        where = f"{kind} at call {number}, {calls[number]}"
        if function is deploy and isinstance(failure, UserError) and "What exists" in str(failure):
            assert_that_everything_is_named(cloud, str(failure))
        cases.append([scenario, number, calls[number], kind, failure is not None])
        again, _ = attempt(cloud, lambda: function(cfg), None)
        assert again is None, f"{where}: the second run fails too: {again}"
        assert final_state(cloud) == expected, where
    if path := os.environ.get("CHURN_ALL_FAULTS"):
        with Path(path).open("a") as file:
            file.writelines(json.dumps(case) + "\n" for case in cases)
    capsys.readouterr()
