"""What others do while a deployment runs stays, and a rollback goes back to the version that served."""

import pandas as pd
import pytest
from doubles.bindings import RefusalError

from churn.bundle.bundle import Bundle
from churn.errors import UserError
from churn.vertex.apply import ensure_version
from churn.vertex.checks import parity
from churn.vertex.checks.parity import MismatchError
from churn.vertex.cloud.deployment import Deployment
from churn.vertex.cloud.session import connect
from churn.vertex.cloud.staging import upload_object
from churn.vertex.deploy import deploy
from churn.vertex.destroy import destroy
from churn.vertex.rollback import rollback

from .test_deploy import ENDPOINT, model_id, traffic
from .test_faults import fast  # noqa: F401
from .test_strict_service import resources

pytestmark = pytest.mark.usefixtures("fast")

OFF = "deploy.monitoring.enabled=false"
SMALL = ("deploy.canary=10", "deploy.probe=10", OFF)
OTHERS = ("scoring/churn-dev-score-01/0.jsonl", "training/abc/train.yaml", "anomalies/2026-11-30T12:00:00Z")


def endpoint_of(cloud):
    """The endpoint as text: models, traffic, labels."""
    endpoint = type(cloud.service.endpoints[ENDPOINT])(cloud.service.endpoints[ENDPOINT])
    endpoint.traffic_split = {key: share for key, share in endpoint.traffic_split.items() if share}
    return str(endpoint)


@pytest.fixture
def fail_after(monkeypatch):
    """Let the first comparison of answers fail, after something else was done."""

    def arrange(meanwhile):
        real = parity.check_parity

        def check(*_):
            monkeypatch.setattr(parity, "check_parity", real)
            meanwhile()
            raise MismatchError("answers differ")

        monkeypatch.setattr(parity, "check_parity", check)

    return arrange


def test_a_failed_deployment_keeps_versions_and_files_that_others_made_meanwhile(
    cloud, settings, bundles, fail_after
):
    deploy(settings(1, OFF))
    versions, deployed, datasets, _, files = resources(cloud)
    before, session = endpoint_of(cloud), connect(Deployment.from_config(settings(1)))
    third = Bundle.load(bundles[2])

    def meanwhile():
        ensure_version(session, third)  # as `churn score target=vertex` does
        for name in OTHERS:
            upload_object(session, f"churn-dev/{name}", "{}")

    fail_after(meanwhile)
    with pytest.raises(UserError, match="answers differ"):
        deploy(settings(2, OFF))
    left = resources(cloud)
    assert [number for _, number in left[0]] == ["1", "3"]
    assert (left[1], left[2], endpoint_of(cloud)) == (deployed, datasets, before)
    added = {name.removeprefix("churn-dev/") for name in set(left[4]) - set(files)}
    assert {name for name in added if not name.startswith(third.digest)} == set(OTHERS)
    assert len(added) > len(OTHERS)
    assert set(files) <= set(left[4])
    assert versions[0] in left[0]


@pytest.mark.parametrize("canary", [40, 100])
def test_a_failed_first_deployment_keeps_the_one_that_was_made_meanwhile(
    cloud, settings, bundles, fail_after, canary
):
    fail_after(lambda: deploy(settings(2, f"deploy.canary={canary}")))
    with pytest.raises(UserError, match="answers differ"):
        deploy(settings(1))
    assert traffic(cloud) == {"2": 100}
    versions, _, datasets, monitors, files = resources(cloud)
    assert [number for _, number in versions] == ["2"]
    assert "p.churn_dev_log" in datasets
    assert len(monitors) == 1
    digests = [Bundle.load(path).digest for path in bundles[:2]]
    assert [any(digest in name for name in files) for digest in digests] == [False, True]
    assert not cloud.service.violations


def test_a_failed_first_deployment_keeps_a_table_of_somebody_elses_in_its_data_set(
    cloud, settings, fail_after
):
    tables, rows = cloud.service.warehouse, pd.DataFrame({"a": [1]})
    names = ("requests", "instances")
    fail_after(lambda: [tables.write(f"p.churn_dev_log.{name}", rows) for name in names])
    with pytest.raises(UserError, match="answers differ"):
        deploy(settings(1, OFF))
    assert list(tables.tables) == ["p.churn_dev_log.instances"]
    assert not cloud.service.endpoints


def test_traffic_that_another_command_takes_is_no_fault_of_the_version(cloud, settings, monkeypatch):
    deploy(settings(1, OFF))
    make = parity._make_predictor

    def make_after_another(*arguments):
        rollback(settings(2))
        return make(*arguments)

    monkeypatch.setattr(parity, "_make_predictor", make_after_another)
    with pytest.raises(
        UserError, match=r"another command took the version's traffic(.|\n)*same command again"
    ):
        deploy(settings(2, OFF))
    assert traffic(cloud) == {"1": 100, "2": 0}
    monkeypatch.setattr(parity, "_make_predictor", make)
    deploy(settings(2, OFF))
    assert traffic(cloud) == {"1": 0, "2": 100}


def test_a_rollback_goes_to_the_version_that_served_whichever_was_registered_first(cloud, settings, bundles):
    deploy(settings(1, OFF))
    cloud.service.endpoints[ENDPOINT].labels["team"] = "growth"
    deploy(settings(2, OFF))
    before = endpoint_of(cloud)
    cloud.service.wrong = {model_id(settings(3), bundles[2])}
    with pytest.raises(UserError, match="differs from the bundle's"):
        deploy(settings(3, OFF))
    assert endpoint_of(cloud) == before, "with the label of the version to roll back to"
    cloud.service.wrong = set()
    deploy(settings(1, *SMALL))
    assert traffic(cloud) == {"1": 10, "2": 90}
    rollback(settings(1))
    assert traffic(cloud) == {"1": 0, "2": 100}
    deploy(settings(3, OFF))
    deploy(settings(1, *SMALL))  # it is no longer deployed
    assert traffic(cloud) == {"1": 10, "3": 90}
    rollback(settings(1))
    rollback(settings(1))
    assert traffic(cloud) == {"1": 0, "3": 100}
    assert cloud.service.endpoints[ENDPOINT].labels["team"] == "growth"


def test_without_the_label_of_this_release_a_rollback_goes_to_the_version_before_the_newest(cloud, settings):
    for number in (1, 2):
        deploy(settings(number, OFF))
    del cloud.service.endpoints[ENDPOINT].labels["churn-previous"]
    for _ in range(2):
        rollback(settings(2))
        assert traffic(cloud) == {"1": 100, "2": 0}


def test_a_version_that_answers_rightly_stays_where_its_monitoring_fails(cloud, settings, monkeypatch):
    for number in (1, 2):
        deploy(settings(number))
    service = cloud.service

    def refuse():
        raise RefusalError(500, "INTERNAL", "Internal error encountered.")

    def fail(request):
        return service.operate(request.model_deployment_monitoring_job.name, refuse)

    update = service.UpdateModelDeploymentMonitoringJob
    monkeypatch.setattr(service, "UpdateModelDeploymentMonitoringJob", fail)
    with pytest.raises(UserError, match=r"the version serves, but(.|\n)*do: run the same command again"):
        deploy(settings(3))
    assert traffic(cloud) == {"2": 0, "3": 100}
    monkeypatch.setattr(service, "UpdateModelDeploymentMonitoringJob", update)
    deploy(settings(3))
    assert traffic(cloud) == {"2": 0, "3": 100}
    rollback(settings(3))
    assert traffic(cloud) == {"2": 100, "3": 0}
    assert not service.violations


def test_a_log_in_another_region_is_neither_used_nor_removed(cloud, settings):
    deploy(settings(1, OFF))
    cloud.service.storage.make_bucket("bucket-eu", "EUROPE-WEST1")
    before = resources(cloud)
    for command in (deploy, destroy):
        with pytest.raises(UserError, match=r"log of a deployment in us-central1(.|\n)*another deploy.name"):
            command(settings(1, OFF, "deploy.region=europe-west1", "deploy.bucket=bucket-eu"))
    assert resources(cloud) == before
