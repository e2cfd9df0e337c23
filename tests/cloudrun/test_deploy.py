"""The life of a service: plan, deploy, canary, promotion, rollback, status, destroy."""

import re
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
import requests
from conftest import compose_config
from doubles.cloudrun import encode
from google.cloud.run_v2.types import Revision, Service
from google.iam.v1.policy_pb2 import Policy
from google.type.expr_pb2 import Expr

from churn.bundle.bundle import Bundle
from churn.cloudrun.deploy import deploy
from churn.cloudrun.destroy import destroy
from churn.cloudrun.log import log_table
from churn.cloudrun.rollback import rollback
from churn.cloudrun.service import run_deployment
from churn.cloudrun.state import RunState
from churn.cloudrun.status import status
from churn.data.id_hash import VARIABLE, id_hash
from churn.errors import UserError
from churn.monitor.source import read_predictions
from churn.vertex.checks.parity import to_instances

MORE_MEMORY = "deploy.cloud_run.memory_mib=1024"  # another revision of the same bundle


def service_of(cloud):
    (service,) = cloud.run.services.values()
    return service


def traffic(cloud):
    """Share and tag of each revision, by the number of the revision."""
    service = service_of(cloud)
    (revisions,) = cloud.run.revisions.values()
    numbers = {revision.name.rpartition("/")[2]: number for number, revision in enumerate(revisions, 1)}
    return sorted((numbers[target.revision], target.percent, target.tag) for target in service.traffic)


@pytest.fixture
def ask(cloud, bundles, loaded):
    """A function that gives the service's answer to three customers, for a token of an audience."""
    by_path, rows, _ = loaded
    instances = to_instances(rows.head(3), by_path[str(bundles[0])])

    def call(audience=None):
        uri = service_of(cloud).uri
        headers = {"Authorization": f"Bearer {encode({}, {'aud': audience or uri, 'iss': 'double'})}"}
        return requests.post(f"{uri}/predict", json={"instances": instances}, headers=headers)

    return call


def changes(cloud):
    """The calls that changed something."""
    words = ("Create", "Update", "Delete", "SetIam", "POST /upload", "POST /bigquery", "PATCH", "POST /v2")
    return [call for call in cloud.calls if call.startswith(words)]


def test_a_service_from_its_first_revision_to_its_end(cloud, settings, ask, capsys):
    deploy(settings(1))
    text = capsys.readouterr().out
    assert "a month in which nobody calls: nothing" in text
    assert "a million predictions: $2.92 while a container runs, $0.003 in requests of 1,000 rows" in text
    assert "1,000 starts of a container: $0.05 more, at 1 second each" in text
    assert traffic(cloud) == [(1, 100, "")]
    assert ask().status_code == 200
    assert ask("https://elsewhere").status_code == 401
    assert requests.post(f"{service_of(cloud).uri}/predict").status_code == 403  # nobody without a token

    deploy(settings(2, "deploy.canary=10"))
    assert traffic(cloud) == [(1, 90, "previous"), (2, 10, "")]
    status(settings(2))
    text = capsys.readouterr().out
    assert "90 % of the traffic, tag previous" in text
    assert "10 % of the traffic\n" in text
    cloud.answered.clear()
    for _ in range(20):
        ask()
    assert len(set(cloud.answered)) == 2

    deploy(settings(2))
    assert traffic(cloud) == [(1, 0, "previous"), (2, 100, "")]
    cloud.inject(None)
    deploy(settings(2))  # again: only the tag for the check of answers comes and goes
    assert traffic(cloud) == [(1, 0, "previous"), (2, 100, "")]
    assert changes(cloud) == ["UpdateService", "UpdateService"]

    deploy(settings(2, MORE_MEMORY))
    assert traffic(cloud) == [(2, 0, "previous"), (3, 100, "")]
    capsys.readouterr()
    for _ in range(2):
        rollback(settings(2))
        assert traffic(cloud) == [(2, 100, "previous")]
    assert re.findall(r"(\d+) % of the traffic", capsys.readouterr().out) == ["0", "100", "0"] * 2
    deploy(settings(1))  # back to the first, which is there
    assert traffic(cloud) == [(1, 100, ""), (2, 0, "previous")]
    assert len(next(iter(cloud.run.revisions.values()))) == 3

    cloud.service.storage.write("gs://bucket/mine", b"1")
    destroy(settings(1))
    assert "Looked again: nothing is left of the deployment." in capsys.readouterr().out
    assert (cloud.run.services, cloud.run.revisions, cloud.sinks, cloud.service.datasets) == ({}, {}, {}, {})
    assert list(cloud.service.storage.list("gs://bucket/")) == ["mine"]
    status(settings(1))
    assert "There is no service churn-dev-run" in capsys.readouterr().out


def test_churn_monitor_reads_what_the_sink_wrote(cloud, settings, ask, bundles, monkeypatch):
    deploy(settings(1))
    before = len(cloud.service.warehouse.tables["p.churn_dev_run_log.run_googleapis_com_stdout"])
    ask()
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", cloud.url)
    log = log_table(run_deployment(settings(1)))
    cfg = settings(1, f"monitor.log={log}", "data.bigquery.project=p")
    now = datetime.now(UTC)
    chunks = list(read_predictions(cfg, now - timedelta(hours=1), now + timedelta(hours=1)))
    rows = pa.concat_tables(chunks)
    assert before == 2  # one entry for each answer that was compared
    assert rows.num_rows == 2 * 20 + 3
    assert set(rows["bundle"].to_pylist()) == {Bundle.load(bundles[0]).digest}
    assert all(key.startswith("hmac-") for key in rows["customer_key"].to_pylist())
    assert {"inputs.tenure", "outputs.churn_probability"} <= set(rows.column_names)


def test_destroy_also_removes_what_was_staged_in_another_bucket(cloud, settings):
    cloud.service.storage.make_bucket("bucket2", "US-CENTRAL1")
    deploy(settings(1))
    assert cloud.service.storage.list("gs://bucket/")
    destroy(settings(1, "deploy.bucket=bucket2"))
    assert not cloud.service.storage.list("gs://bucket/")


@pytest.mark.parametrize("problem", ["wrong answers", "a container that does not start", "a busy service"])
def test_a_failed_deployment_removes_what_it_created_and_nothing_else(
    problem, cloud, settings, bundles, monkeypatch
):
    deploy(settings(1))
    before = everything(cloud)
    second = Bundle.load(bundles[1]).digest
    if problem == "wrong answers":
        monkeypatch.setattr(cloud, "wrong", Anything())
    elif problem == "a busy service":
        cloud.run.busy = 1
    else:
        cloud.run.broken.add(second)
    match = {
        "wrong answers": "churn_probability differs from the bundle's in 20 of 20 values",
        "a container that does not start": "is not ready and cannot serve traffic",
        "a busy service": "the service refuses this(.|\n)*run the same command again",
    }[problem]
    with pytest.raises(UserError, match=match):
        deploy(settings(2))
    if problem == "a busy service":  # nothing is wrong with the revision: the next call goes on
        deploy(settings(2))
        assert traffic(cloud) == [(1, 0, "previous"), (2, 100, "")]
    else:
        assert everything(cloud) == before


class Anything:
    """A set that has everything."""

    def __contains__(self, _):
        return True


def everything(cloud):
    """All that exists, without numbers that change with every call."""
    service = service_of(cloud)
    (revisions,) = cloud.run.revisions.values()
    names = [revision.name for revision in revisions]
    return (
        names, traffic(cloud), service.template, service.scaling, dict(cloud.sinks),
        sorted(cloud.service.datasets), cloud.service.storage.metadata("gs://bucket/"),
    )  # fmt: skip


def test_a_failed_first_deployment_leaves_nothing(cloud, settings, bundles):
    cloud.run.broken.add(Bundle.load(bundles[0]).digest)
    with pytest.raises(UserError, match=r"failed to start(.|\n)*What exists:\n  nothing"):
        deploy(settings(1))
    assert (cloud.run.services, cloud.sinks, cloud.service.datasets) == ({}, {}, {})
    assert not cloud.service.storage.list("gs://bucket/")


def test_a_second_attempt_gets_another_name_where_the_service_keeps_the_first(
    cloud, settings, bundles, capsys
):
    deploy(settings(1))
    cloud.run.broken.add(Bundle.load(bundles[1]).digest)
    cloud.run.keeps_revisions = True
    with pytest.raises(UserError, match="is not ready"):
        deploy(settings(2))
    assert "stays, without traffic and without cost" in capsys.readouterr().out
    cloud.run.broken.clear()
    deploy(settings(2))
    (revisions,) = cloud.run.revisions.values()
    _first, failed, second = (revision.name for revision in revisions)
    assert second == f"{failed}-2"
    assert traffic(cloud) == [(1, 0, "previous"), (3, 100, "")]


def test_what_is_not_ours_is_left_alone(cloud, settings):
    deploy(settings(1))
    service = service_of(cloud)
    service.labels = {}
    for command in (deploy, rollback, status, destroy):
        with pytest.raises(UserError, match="there is a service of this name that is not ours"):
            command(settings(1))
    cloud.sinks["churn-dev-run"]["destination"] = "pubsub.googleapis.com/projects/p/topics/t"
    with pytest.raises(UserError, match="there is a log sink of this name that is not ours"):
        deploy(settings(1))
    assert service_of(cloud) is service


def test_a_change_by_somebody_else_at_the_same_time_is_refused(cloud, settings, monkeypatch):
    deploy(settings(1))
    update = cloud.run.UpdateService

    def update_after_another(request):
        service_of(cloud).etag = '"somebody"'
        return update(request)

    monkeypatch.setattr(cloud.run, "UpdateService", update_after_another)
    with pytest.raises(UserError, match=r"the service refuses this(.|\n)*it was changed meanwhile"):
        deploy(settings(2))
    assert traffic(cloud) == [(1, 100, "")]


def test_anybody_may_call_only_if_that_is_asked_for(cloud, settings):
    deploy(settings(1, "deploy.cloud_run.public=true"))
    assert (
        requests.post(f"{service_of(cloud).uri}/predict", json={}).status_code == 400
    )  # the container's answer
    deploy(settings(1))
    assert requests.post(f"{service_of(cloud).uri}/predict", json={}).status_code == 403
    cloud.service.denied.add("run.services.setIamPolicy")
    with pytest.raises(UserError, match=r"setIamPolicy(.|\n)*--role=roles/run.admin"):
        deploy(settings(1, "deploy.cloud_run.public=true"))


def test_public_access_that_the_user_may_not_take_away_is_a_problem_before_any_traffic_moves(cloud, settings):
    deploy(settings(1, "deploy.cloud_run.public=true"))
    cloud.service.denied.add("run.services.setIamPolicy")
    deploy(settings(2, "deploy.cloud_run.public=true"))  # it stays: nothing to be allowed
    before = traffic(cloud)
    with pytest.raises(UserError, match=r"setIamPolicy(.|\n)*--role=roles/run.admin"):
        deploy(settings(1))
    assert traffic(cloud) == before


def test_who_may_call_under_a_condition_stays(cloud, settings):
    deploy(settings(1))
    policy = cloud.run.policies.setdefault(service_of(cloud).name, Policy(etag=b"0"))
    work = Expr(title="work", expression="request.time.getHours() < 18")
    policy.bindings.add(role="roles/run.invoker", members=["allUsers"], condition=work)
    for public, roles in (("true", 2), ("false", 1)):
        deploy(settings(1, f"deploy.cloud_run.public={public}"))
        found = cloud.run.policies[service_of(cloud).name]
        assert len(found.bindings) == roles
        assert (found.bindings[0].condition, list(found.bindings[0].members)) == (work, ["allUsers"])


def test_a_new_revision_has_the_first_free_name():
    names = lambda *taken: tuple(Revision(name=f"services/s/revisions/{name}") for name in taken)  # noqa: E731
    for taken, free in (
        ([], "s-abc"),
        (["s-abc", "s-abc-2"], "s-abc-3"),
        (["s-abc-2"], "s-abc"),
        (["s-abc", "s-abc-3"], "s-abc-2"),
    ):
        assert RunState(Service(), names(*taken)).next_name("s-abc") == free


def test_every_setting_reaches_the_service(cloud, settings):
    key = "projects/p/locations/us-central1/keyRings/r/cryptoKeys/k"
    cloud.run.secrets.add("churn-id-key")
    cloud.service.storage.encrypt_bucket("bucket", key)
    deploy(
        settings(
            1, f"deploy.kms_key={key}", "deploy.service_account=a@p.iam.gserviceaccount.com",
            "deploy.cloud_run.cpu=2", MORE_MEMORY, "deploy.cloud_run.concurrency=7",
            "deploy.min_replicas=1", "deploy.max_replicas=4", "deploy.cloud_run.id_key=churn-id-key",
        )
    )  # fmt: skip
    template, (container,) = service_of(cloud).template, service_of(cloud).template.containers
    assert dict(container.resources.limits) == {"cpu": "2", "memory": "1024Mi"}
    assert (template.encryption_key, template.max_instance_request_concurrency) == (key, 7)
    assert (service_of(cloud).scaling.min_instance_count, template.scaling.max_instance_count) == (1, 4)
    assert container.env[2].value_source.secret_key_ref.secret == "churn-id-key"
    encryption = cloud.service.datasets["p.churn_dev_run_log"]["defaultEncryptionConfiguration"]
    assert encryption == {"kmsKeyName": key}
    deploy(settings(1, "deploy.min_replicas=2", f"deploy.kms_key={key}"))
    assert service_of(cloud).scaling.min_instance_count == 2


def test_the_status_prices_what_serves_not_what_is_configured(cloud, settings, capsys):
    large = ("deploy.cloud_run.cpu=4", "deploy.cloud_run.memory_mib=4096", "deploy.min_replicas=2")
    deploy(settings(1, *large))
    planned = costs(capsys)
    status(settings(1))
    assert costs(capsys) == planned
    deploy(settings(2, "deploy.min_replicas=2"))
    capsys.readouterr()
    status(settings(1, *large))
    assert costs(capsys) != planned
    rollback(settings(2))
    capsys.readouterr()
    status(settings(2))
    assert costs(capsys) == planned


def costs(capsys):
    """The lines about what an instance, predictions and starts cost."""
    words = ("nobody calls", "a million predictions", "1,000 starts")
    lines = capsys.readouterr().out.splitlines()
    found = [line.strip() for line in lines if any(word in line for word in words)]
    assert len(found) == len(words)
    return found


def test_sizes_are_read_in_every_spelling_that_gcloud_leaves():
    def size(**limits):
        container = {"resources": {"limits": limits}}
        revision = Revision(name="r", containers=[container])
        return RunState(Service(traffic=[{"revision": "r", "percent": 100}]), (revision,)).size

    assert size(cpu="2000m", memory="1Gi") == (2, 1024)
    assert size(cpu="0.5", memory="256Mi") == (0.5, 256)
    assert size() == (1, 512)


def test_the_key_of_a_secret_hashes_as_the_key_of_its_file(tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    cfg = compose_config(f"privacy.key_file={tmp_path / 'id.key'}")
    here = id_hash(cfg)("7590-VHVEG")
    secret = (tmp_path / "id.key").read_text()  # gcloud secrets create --data-file=id.key
    assert secret.endswith("\n")
    monkeypatch.setenv(VARIABLE, secret)
    assert id_hash(cfg)("7590-VHVEG") == here


def test_the_plan_needs_no_account_and_changes_nothing(cloud, settings, capsys):
    deploy(settings(1, "deploy.plan_only=true", "deploy.project=null", "deploy.min_replicas=1"))
    text = capsys.readouterr().out
    assert "a month in which nobody calls: $9.86, for 1 instances that are kept" in text
    assert "gcloud run deploy churn-dev-run" in text
    assert cloud.calls == []
