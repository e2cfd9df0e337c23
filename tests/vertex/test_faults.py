"""Every call of every command fails once; the same command again ends as if nothing had happened.

Each call meets one of five faults in turn. With CHURN_ALL_FAULTS=1 each meets all five, which takes long.
"""

import copy
import json
import os
import threading

import pytest
import requests
from doubles.vertex import Fault
from google.protobuf import json_format

from churn.bundle import Bundle
from churn.errors import UserError
from churn.vertex import deploy as deploying
from churn.vertex.deploy import deploy
from churn.vertex.destroy import destroy
from churn.vertex.rollback import rollback

KINDS = ("unavailable", "quota", "denied", "deadline", "killed")


class KilledError(BaseException):
    """The process ends here: no handler of the program catches it."""


@pytest.fixture
def fast(monkeypatch, settings, bundles):
    """Bundles and rows stay in memory from one run of a command to the next; everything else is done anew."""
    loaded = {str(path): Bundle.load(path) for path in bundles}
    rows = deploying.real_rows(settings(1), loaded[str(bundles[0])])
    monkeypatch.setattr(deploying, "find_bundle", lambda cfg: loaded[cfg.bundle])
    monkeypatch.setattr(deploying, "real_rows", lambda *_: rows)


@pytest.fixture
def killer(monkeypatch, cloud):
    """Ends the caller in the moment in which the service has accepted the call of the fault."""
    send = requests.Session.send

    def sending(*arguments, **options):
        answer = send(*arguments, **options)
        is_client = threading.current_thread() is threading.main_thread()
        if (
            is_client
            and cloud.fault
            and cloud.fault.kind == "killed"
            and len(cloud.calls) == cloud.fault.call + 1
        ):
            raise KilledError
        return answer

    monkeypatch.setattr(requests.Session, "send", sending)


def everything(cloud):
    """All that exists, without the numbers that the service deals out."""
    service = cloud.service
    models = {
        n: [(v.version_id, dict(v.labels), v.artifact_uri) for v in vs] for n, vs in service.models.items()
    }
    endpoints = {
        name: json_format.MessageToDict(type(endpoint).pb(endpoint))
        for name, endpoint in service.endpoints.items()
    }
    monitors = [
        (job.endpoint, sorted(c.deployed_model_id for c in job.model_deployment_monitoring_objective_configs))
        for job in service.monitors.values()
    ]
    for endpoint in endpoints.values():
        endpoint["trafficSplit"] = {
            k: share for k, share in endpoint.get("trafficSplit", {}).items() if share
        }
    found = [
        models,
        endpoints,
        monitors,
        sorted(service.datasets),
        service.storage.list("gs://bucket/churn-dev"),
    ]
    return json.loads(json.dumps(found))


STARTS = {
    "first deployment": [],
    "second version, all traffic": [(deploy, 1)],
    "third version, canary": [(deploy, 1), (deploy, 2)],
    "promotion": [(deploy, 1), (deploy, 2), (deploy, 3, "deploy.canary=60")],
    "rollback": [(deploy, 1), (deploy, 2)],
    "destroy": [(deploy, 1), (deploy, 2, "deploy.canary=60")],
}
COMMANDS = {
    "first deployment": (deploy, 1),
    "second version, all traffic": (deploy, 2),
    "third version, canary": (deploy, 3, "deploy.canary=60"),
    "promotion": (deploy, 3),
    "rollback": (rollback, 2),
    "destroy": (destroy, 2),
}


def attempt(cloud, run, fault):
    """Run a command with a fault; gives whether it failed, and the calls that it made."""
    cloud.inject(fault)
    failure = None
    try:
        run()
    except (UserError, KilledError) as error:
        failure = error
    calls = list(cloud.calls)
    cloud.inject(None)
    lacking = isinstance(failure, UserError) and " do: " not in str(failure)
    assert not lacking, f"an error without a remedy: {failure}"
    return failure is not None, calls


def faults(calls):
    """Number of the call and kind of the fault."""
    if os.environ.get("CHURN_ALL_FAULTS") == "1":
        return [(number, kind) for kind in KINDS for number in range(calls)]
    return [(number, KINDS[number % len(KINDS)]) for number in range(calls)]


@pytest.mark.parametrize("scenario", COMMANDS)
def test_a_fault_at_any_call_is_mended_by_running_the_command_again(
    scenario, cloud, settings, fast, killer, capsys
):
    service = cloud.service
    for function, *arguments in STARTS[scenario]:
        function(settings(*arguments))
    function, *arguments = COMMANDS[scenario]
    cfg = settings(*arguments)
    before, service.lag = save(cloud), 1
    _, calls = attempt(cloud, lambda: function(cfg), None)
    expected, failures, cases = everything(cloud), 0, 0
    for number, kind in faults(len(calls)):
        restore(cloud, before)
        failed, _ = attempt(cloud, lambda: function(cfg), Fault(number, kind))
        failures += failed
        cases += 1
        again, _ = attempt(cloud, lambda: function(cfg), None)
        where = f"{kind} at call {number}, {calls[number]}"
        assert not again, f"{where}: the second run fails too"
        assert everything(cloud) == expected, where
        assert not service.violations, f"{where}: {service.violations}"
    capsys.readouterr()
    with capsys.disabled():
        print(f"\n  {scenario}: {len(calls)} calls, {cases} faults, {failures} runs failed; all ended alike")


def save(cloud):
    """The state of the cloud, to be gone back to."""
    service = cloud.service
    names = ("models", "endpoints", "monitors", "datasets", "operations", "effects")
    files = {
        name: service.storage.read(f"gs://bucket/{name}") for name in service.storage.list("gs://bucket/")
    }
    return {name: copy.deepcopy(getattr(service, name)) for name in names}, files


def restore(cloud, saved):
    state, files = saved
    for name, value in state.items():
        setattr(cloud.service, name, copy.deepcopy(value))
    there = cloud.service.storage.list("gs://bucket/")
    for name in there.keys() - files.keys():
        cloud.service.storage.delete(f"gs://bucket/{name}")
    for name in files.keys() - there.keys():
        cloud.service.storage.write(f"gs://bucket/{name}", files[name])
