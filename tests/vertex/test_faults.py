"""After a fault at any call, the same command run again ends in the state of an unbroken run.

Of every third name of a call the first or the last fails here, with one of five faults. For
`benchmarks/faults.py` (CHURN_ALL_FAULTS=FILE) every call fails in all five ways; FILE gets the cases.
"""

import copy
import json
import os
import re
from pathlib import Path

import pandas as pd
import pytest
import requests
from doubles.vertex import NUMBER, Fault
from google.protobuf import json_format

from churn.bundle.bundle import Bundle
from churn.errors import UserError, count
from churn.vertex import deploy as deploy_module
from churn.vertex import export as export_module
from churn.vertex import score as score_module
from churn.vertex import train as train_module
from churn.vertex.cloud.deployment import Deployment
from churn.vertex.cloud.session import connect
from churn.vertex.deploy import deploy
from churn.vertex.destroy import destroy
from churn.vertex.export import export
from churn.vertex.rollback import rollback
from churn.vertex.score import score
from churn.vertex.train import train

CHANGES = ("POST /upload", "POST /bigquery")  # earlier calls only read
KINDS = ("unavailable", "quota", "denied", "deadline", "killed")


class KilledError(BaseException):
    """The process ends here: no handler of the program catches it."""


@pytest.fixture
def fast(monkeypatch, settings, bundles):
    """Keep bundles and rows in memory between the runs of a command."""
    loaded = {str(path): Bundle.load(path) for path in bundles}
    rows = deploy_module.sample_rows(settings(1), loaded[str(bundles[0])])
    monkeypatch.setattr(deploy_module, "choose_bundle", lambda cfg: loaded[cfg.bundle])
    monkeypatch.setattr(deploy_module, "sample_rows", lambda *_: rows)
    without_terraform(monkeypatch, deploy_module)
    for module in (score_module, export_module):
        monkeypatch.setattr(module, "choose_bundle", lambda cfg: loaded[cfg.bundle])


def without_terraform(monkeypatch, module):
    """Leave out the plan's look at what Terraform would make, unless every call has its faults."""
    if "CHURN_ALL_FAULTS" not in os.environ:
        monkeypatch.setattr(module, "describe_terraform", lambda _: "")


@pytest.fixture
def quick_training(monkeypatch, cloud, tmp_path, bundles):
    """A training container that does nothing, and a wheel that is built already."""

    def run_custom(job):
        (pool,) = job.job_spec.worker_pool_specs
        directory = re.search(r"--config-path=/gcs/bucket/(\S+)", pool.container_spec.args[0])[1]
        for file in filter(Path.is_file, bundles[0].rglob("*")):
            name = f"bundle/{file.relative_to(bundles[0]).as_posix()}"
            cloud.service.storage.write(f"gs://bucket/{directory}/run/{name}", file.read_bytes())

    (tmp_path / "churn.whl").write_bytes(b"")
    monkeypatch.setattr(train_module, "_build_wheel", lambda _: tmp_path / "churn.whl")
    monkeypatch.setattr(train_module.registry, "register_run", lambda *_: "1")
    monkeypatch.setattr(cloud.service, "run_custom", run_custom)


@pytest.fixture
def killer(monkeypatch, cloud):
    """Kill the command as soon as the service has accepted the call of the fault.

    Calls must come in the same order every time, so Cloud Storage's client must not look up a bucket in a
    thread of its own.
    """
    cache = "google.cloud.storage._bucket_metadata_cache.BucketMetadataCache"
    monkeypatch.setattr(f"{cache}.get_or_queue_fetch", lambda *_: None)
    send = requests.Session.send

    def send_and_kill(self, request, **options):
        answer, fault = send(self, request, **options), cloud.fault
        is_to_cloud = request.url.startswith(cloud.url)
        if is_to_cloud and fault and fault.kind == "killed" and len(cloud.calls) == fault.call + 1:
            raise KilledError
        return answer

    monkeypatch.setattr(requests.Session, "send", send_and_kill)


def final_state(cloud):
    """All that exists once every operation is done, without the numbers that the service chooses."""
    service = cloud.service
    while service.effects:
        service.pass_time("")
    models = {
        n: [(v.version_id, dict(v.labels), v.artifact_uri) for v in vs] for n, vs in service.models.items()
    }
    endpoints = {
        name: json_format.MessageToDict(type(endpoint).pb(endpoint))
        for name, endpoint in service.endpoints.items()
    }
    monitors = [
        (
            job.endpoint,
            sorted(c.deployed_model_id for c in job.model_deployment_monitoring_objective_configs),
            job.model_deployment_monitoring_schedule_config.monitor_interval.seconds,
        )
        for job in service.monitors.values()
    ]
    jobs = sorted((job.display_name, job.state.name) for job in service.jobs.values())
    for endpoint in endpoints.values():
        endpoint["trafficSplit"] = {
            k: share for k, share in endpoint.get("trafficSplit", {}).items() if share
        }
    state = [
        models,
        endpoints,
        monitors,
        sorted(service.datasets),
        sorted(re.sub("predictions_[0-9]+", "predictions", name) for name in service.warehouse.tables),
        service.warehouse.models,
        jobs,
        [*service.pipelines, *service.schedules],
        service.storage.metadata("gs://bucket/churn-dev"),
    ]
    return json.loads(json.dumps(state))


def start_retraining(cfg):
    """A pipeline that runs, and a schedule that starts others."""
    deployment = Deployment.from_config(cfg)
    clients = connect(deployment).clients
    spec = {"deploymentSpec": {"executors": {}}, "root": {}, "schemaVersion": "2.1.0"}
    runtime = {"gcs_output_directory": "gs://bucket/churn-dev/retrain"}
    run = {"labels": deployment.labels, "pipeline_spec": spec, "runtime_config": runtime}
    request = {"parent": deployment.parent, "pipeline_job": run}
    clients.pipelines.create_pipeline_job(request)
    schedule = {"display_name": "s", "cron": "0 6 * * 1", "max_concurrent_run_count": 1}
    schedule["create_pipeline_job_request"] = request
    clients.schedules.create_schedule({"parent": deployment.parent, "schedule": schedule})


SCORE = "output=gs://bucket/scores"
FROM_TABLE = ("input=bq://p.d.customers", "output=bq://p.d")
TO_BIGQUERY = ("to=bigquery", "input=bq://p.d.customers", "output=bq://p.d.churn")
TRAIN = ("target=vertex", "data.source=synthetic", "data.path=null", "data.target=null")
MORE = ("deploy.min_replicas=2", "deploy.max_replicas=3", "deploy.monitoring.hours=6")
STARTS = {  # scenario -> earlier commands
    "first deployment": [],
    "second version, all traffic": [(deploy, 1)],
    "third version, canary": [(deploy, 1), (deploy, 2)],
    "promotion": [(deploy, 1), (deploy, 2), (deploy, 3, "deploy.canary=60")],
    "rollback": [(deploy, 1), (deploy, 2)],
    "more nodes, other monitoring": [(deploy, 1)],
    "another machine for the next version": [(deploy, 1)],
    "batch prediction of a file": [],
    "batch prediction of a table": [],
    "export to BigQuery ML": [],
    "training": [],
    "destroy": [
        (deploy, 1),
        (deploy, 2, "deploy.canary=60"),
        (score, 2, "input={table}", SCORE),
        (start_retraining, 1),
    ],
}
COMMANDS = {  # scenario -> the command that meets a fault
    "first deployment": (deploy, 1),
    "second version, all traffic": (deploy, 2),
    "third version, canary": (deploy, 3, "deploy.canary=60"),
    "promotion": (deploy, 3),
    "rollback": (rollback, 2),
    "more nodes, other monitoring": (deploy, 1, *MORE),
    "another machine for the next version": (deploy, 2, "deploy.machine_type=n1-standard-4"),
    "batch prediction of a file": (score, 1, "input={table}", SCORE),
    "batch prediction of a table": (score, 1, *FROM_TABLE),
    "export to BigQuery ML": (export, 1, *TO_BIGQUERY),
    "training": (train, 1, *TRAIN, "run.root={root}"),
    "destroy": (destroy, 2),
}


def attempt(cloud, run, fault):
    """Run a command with a fault; gives its error, or None, and the calls that it made."""
    cloud.inject(fault)
    failure = None
    try:
        run()
    except (UserError, KilledError) as error:
        failure = error
    calls = list(cloud.calls)
    cloud.inject(None)
    has_remedy = not isinstance(failure, UserError) or " do: " in str(failure)
    assert has_remedy, f"an error without a remedy: {failure}"
    return failure, calls


def faults(calls):
    """Numbers of calls, and the kind of fault at each."""
    if "CHURN_ALL_FAULTS" in os.environ:
        return [(number, kind) for kind in KINDS for number in range(len(calls))]
    last = {name: number for number, name in enumerate(calls)}
    first = {name: number for number, name in reversed(list(enumerate(calls)))}
    chosen = sorted({(first, last)[i % 2][name] for i, name in enumerate(first)})
    return [(number, KINDS[i % len(KINDS)]) for i, number in enumerate(chosen)][::3]


def assert_that_everything_is_named(cloud, message):
    """The message of a failed deployment names what it left, and what of that costs money."""
    service = cloud.service
    names = [*service.endpoints, *service.monitors]
    names += [f"{name}@{v.version_id}" for name, versions in service.models.items() for v in versions]
    names += ["data set churn_dev_log"] if "p.churn_dev_log" in service.datasets else []
    deployed = [d for endpoint in service.endpoints.values() for d in endpoint.deployed_models]
    names += ["bills: 1 x n1-standard-2: $0.11 an hour" if deployed else "nothing bills by the hour"]
    files = len(service.storage.list("gs://bucket/churn-dev"))
    names += [f"{count(files, 'file')} in gs://bucket/churn-dev/"] if files else []
    message = message.replace(f"projects/{NUMBER}/", "projects/p/")  # the same project
    assert not [name for name in names if name not in message], message


@pytest.mark.parametrize("scenario", COMMANDS)
def test_after_a_fault_at_any_call_the_command_can_be_run_again(
    scenario, cloud, settings, fast, quick_training, killer, table, tmp_path, capsys
):
    def compose(number, *overrides):
        return settings(number, *(text.format(table=table, root=tmp_path) for text in overrides))

    service = cloud.service
    service.warehouse.write("p.d.customers", pd.read_csv(table))
    for function, *arguments in STARTS[scenario]:
        function(compose(*arguments))
    function, *arguments = COMMANDS[scenario]
    cfg = compose(*arguments)
    before, service.lag = save(cloud), 1
    _, calls = attempt(cloud, lambda: function(cfg), None)
    expected, cases = final_state(cloud), []
    first = next((n for n, call in enumerate(calls) if call.startswith(CHANGES)), len(calls))
    for number, kind in faults(calls):
        restore(cloud, before)
        failure, _ = attempt(cloud, lambda: function(cfg), Fault(number, kind))
        where = f"{kind} at call {number}, {calls[number]}"
        if scenario == "first deployment" and isinstance(failure, UserError) and number >= first:
            assert_that_everything_is_named(cloud, str(failure))
        cases.append([scenario, number, calls[number], kind, failure is not None])
        again, _ = attempt(cloud, lambda: function(cfg), None)
        assert again is None, f"{where}: the second run fails too: {again}"
        assert final_state(cloud) == expected, where
        assert not service.violations, f"{where}: {service.violations}"
    if path := os.environ.get("CHURN_ALL_FAULTS"):
        with Path(path).open("a") as file:
            file.writelines(json.dumps(case) + "\n" for case in cases)
    capsys.readouterr()


def save(cloud):
    """A copy of the cloud's state, for `restore`."""
    names = ("models", "endpoints", "monitors", "datasets", "operations", "effects", "jobs", "pipelines")
    names += ("schedules", "refusals", "looks")
    state = {name: getattr(cloud.service, name) for name in names}
    warehouse = cloud.service.warehouse
    return copy.deepcopy((state, warehouse.tables, warehouse.models, cloud.service.storage.emulator))


def restore(cloud, saved):
    warehouse, storage = cloud.service.warehouse, cloud.service.storage
    state, warehouse.tables, warehouse.models, storage.emulator = copy.deepcopy(saved)
    for name, value in state.items():
        setattr(cloud.service, name, value)
