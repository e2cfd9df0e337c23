"""Versions, canary, promotion, rollback, and an empty project at the end."""

import pytest
from conftest import compose_config

from churn.bundle.bundle import Bundle
from churn.errors import UserError
from churn.retrain.promote import promote
from churn.vertex.cloud.deployment import Deployment
from churn.vertex.deploy import deploy
from churn.vertex.destroy import destroy
from churn.vertex.monitoring.thresholds import drift_thresholds
from churn.vertex.rollback import rollback
from churn.vertex.status import status

from .conftest import make_run

ENDPOINT = "projects/p/locations/us-central1/endpoints/churn-dev"


def traffic(cloud):
    """Per cent of the traffic by version."""
    endpoint = cloud.service.endpoints[ENDPOINT]
    return {d.model_version_id: endpoint.traffic_split.get(d.id, 0) for d in endpoint.deployed_models}


def model_id(cfg, path):
    """The id of a bundle on the endpoint."""
    return Deployment.from_config(cfg).deployed_id(Bundle.load(path))


def test_versions_take_over_are_rolled_back_and_are_destroyed(cloud, settings, capsys):
    deploy(settings(1))
    assert traffic(cloud) == {"1": 100}
    deploy(settings(2, "deploy.canary=10", "deploy.probe=10"))
    assert traffic(cloud) == {"1": 90, "2": 10}
    deploy(settings(2))
    assert traffic(cloud) == {"1": 0, "2": 100}
    deploy(settings(3))
    assert traffic(cloud) == {"2": 0, "3": 100}, "the previous version stays, older ones are removed"
    rollback(settings(3))
    rollback(settings(3))
    assert traffic(cloud) == {"2": 100, "3": 0}, "rolling back twice is rolling back once"
    status(settings(3))
    assert "version 2: 100 % of the traffic" in capsys.readouterr().out
    destroy(settings(3))
    assert "nothing is left" in capsys.readouterr().out
    service = cloud.service
    assert [service.endpoints, service.models, service.monitors, service.datasets] == [{}] * 4
    assert not service.storage.list("gs://bucket/churn-dev")
    assert not service.violations


def test_the_plan_needs_no_account_and_calls_nothing(cloud, settings, capsys):
    deploy(
        settings(
            1, "deploy.plan_only=true", "deploy.project=null", "deploy.bucket=null", "deploy.emulator=null"
        )
    )
    printed = capsys.readouterr().out
    assert "$0.11 an hour, $2.63 a day, $80 a month" in printed
    assert "gcloud ai endpoints create" in printed
    assert not cloud.calls


def test_nothing_is_changed_without_confirmation(cloud, settings, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda _: "n")
    with pytest.raises(UserError, match="nothing was changed"):
        deploy(settings(1, "deploy.yes=false"))
    assert {**cloud.service.models, **cloud.service.endpoints} == {}


def test_prod_is_approved_then_confirmed_with_its_name_and_has_two_nodes(
    cloud, settings, bundles, tmp_path, monkeypatch
):
    answers = iter(["y", "churn-prod"])
    monkeypatch.setattr("builtins.input", lambda _: next(answers))
    overrides = ("deploy.yes=false", "deploy.env=prod", f"run.root={tmp_path}")
    with pytest.raises(UserError, match="nobody has approved this bundle"):
        deploy(settings(1, *overrides))
    assert not cloud.calls
    run = make_run(tmp_path / "run", bundles[0])
    approval = ("approval.by=Ada", "approval.evidence=card read")
    promote(compose_config(f"run.dir={run}", *overrides, *approval))
    with pytest.raises(UserError, match="nothing was changed"):
        deploy(settings(1, *overrides))
    deploy(settings(1, *overrides))
    (endpoint,) = cloud.service.endpoints.values()
    assert endpoint.deployed_models[0].dedicated_resources.min_replica_count == 2


def test_deploying_again_changes_nothing(cloud, settings):
    deploy(settings(1))
    cloud.inject(None)
    deploy(settings(1))
    writes = ("Upload", "Create", "Deploy", "Update", "Undeploy", "Delete", "Pause", "POST")
    assert [call for call in cloud.calls if call.startswith(writes)] == []


def test_a_first_version_with_wrong_answers_is_removed_completely(cloud, settings, bundles):
    cloud.service.wrong = {model_id(settings(1), bundles[0])}
    with pytest.raises(
        UserError, match=r"churn_probability differs from the bundle's(.|\n)*nothing bills by the hour"
    ):
        deploy(settings(1))
    assert {**cloud.service.models, **cloud.service.endpoints, **cloud.service.datasets} == {}


def test_a_later_version_with_wrong_answers_gives_its_traffic_back(cloud, settings, bundles):
    deploy(settings(1))
    cloud.service.wrong = {model_id(settings(2), bundles[1])}
    with pytest.raises(UserError, match="churn_probability differs from the bundle's"):
        deploy(settings(2))
    assert traffic(cloud) == {"1": 100}
    assert not cloud.service.violations


@pytest.mark.parametrize("deployed", [[], [1]])
def test_without_machines_for_a_new_version_the_old_one_serves_on_and_the_quota_is_named(
    cloud, settings, deployed
):
    for number in deployed:
        deploy(settings(number))
    cloud.service.exhausted = {"n1-standard-8"}
    with pytest.raises(
        UserError, match=r"quota is used up(.|\n)*CustomModelServingCPUs(.|\n)*quotas info list"
    ):
        deploy(settings(2, "deploy.machine_type=n1-standard-8"))
    assert [traffic(cloud) for _ in cloud.service.endpoints] == [{"1": 100} for _ in deployed]
    assert bool(cloud.service.models) == bool(deployed)


def test_an_endpoint_without_our_label_is_not_touched(cloud, settings):
    deploy(settings(1))
    cloud.service.endpoints[ENDPOINT].labels = {}
    for command in (deploy, destroy):
        with pytest.raises(UserError, match="not ours"):
            command(settings(1))
    assert cloud.service.endpoints


def test_two_endpoints_of_one_name_are_an_error(cloud, settings):
    deploy(settings(1))
    twin = type(endpoint := cloud.service.endpoints[ENDPOINT])(endpoint)
    cloud.service.endpoints[f"{ENDPOINT}-2"] = twin
    for command in (deploy, rollback, status, destroy):
        with pytest.raises(UserError, match="2 endpoints are called 'churn-dev'"):
            command(settings(1))
    assert len(cloud.service.endpoints) == 2


def test_destroy_keeps_objects_without_the_label(cloud, settings):
    deploy(settings(1))
    cloud.service.storage.write("gs://bucket/churn-dev/mine.csv", b"1")
    destroy(settings(1))
    assert list(cloud.service.storage.list("gs://bucket/")) == ["churn-dev/mine.csv"]


def test_a_version_that_was_rolled_back_is_never_restored(cloud, settings):
    deploy(settings(1))
    deploy(settings(2))
    rollback(settings(2))
    deploy(settings(3))
    assert traffic(cloud) == {"1": 0, "3": 100}, "2 was rolled back and is removed"
    rollback(settings(3))
    assert traffic(cloud) == {"1": 100, "3": 0}


def test_number_of_nodes_and_monitoring_change_in_place(cloud, settings, capsys):
    deploy(settings(1))
    deploy(settings(1, "deploy.min_replicas=2", "deploy.max_replicas=3", "deploy.monitoring.hours=6"))
    printed = capsys.readouterr().out
    assert "change version 1 on 2 x n1-standard-2" in printed
    assert "change monitoring every 6 hours" in printed
    (model,) = cloud.service.endpoints[ENDPOINT].deployed_models
    assert model.dedicated_resources.min_replica_count == 2
    assert model.dedicated_resources.max_replica_count == 3
    (job,) = cloud.service.monitors.values()
    assert job.model_deployment_monitoring_schedule_config.monitor_interval.seconds == 6 * 3600
    deploy(settings(1, "deploy.min_replicas=2", "deploy.max_replicas=3", "deploy.monitoring.enabled=false"))
    assert not cloud.service.monitors


def test_status_adds_up_the_costs_of_all_versions(cloud, settings, capsys):
    cloud.service.today = "2026-11-20"
    deploy(settings(1))
    capsys.readouterr()
    status(settings(1))
    printed = capsys.readouterr().out
    assert "together $0.11 an hour, at least $" in printed
    assert "at least $0.00" not in printed
    assert "monitoring: JOB_STATE_RUNNING" in printed


def test_a_container_of_our_own_has_its_layout_key_account_and_address(cloud, settings):
    key = "projects/p/locations/us-central1/keyRings/r/cryptoKeys/k"
    cloud.service.storage.encrypt_bucket("bucket", key)
    deploy(
        settings(
            1, "serving=tf_serving", "deploy.dedicated=true", "deploy.access_logging=true",
            f"deploy.kms_key={key}", "deploy.service_account=a@p.iam.gserviceaccount.com",
        )
    )  # fmt: skip
    endpoint, (model,) = cloud.service.endpoints[ENDPOINT], *cloud.service.models.values()
    assert not model.artifact_uri.endswith("/1")
    assert endpoint.encryption_spec.kms_key_name == model.encryption_spec.kms_key_name == key
    assert endpoint.deployed_models[0].enable_access_logging


def test_requests_are_logged_first_and_monitored_with_thresholds_from_training(cloud, settings, bundles):
    bundle = Bundle.load(bundles[0])
    deploy(
        settings(
            1, "deploy.monitoring.training_data=gs://bucket/train.csv", "deploy.monitoring.emails=[a@b.c]"
        )
    )
    assert cloud.calls.index("CreateEndpoint") < cloud.calls.index("CreateModelDeploymentMonitoringJob")
    (job,) = cloud.service.monitors.values()
    config = job.model_deployment_monitoring_objective_configs[0].objective_config
    limits = config.training_prediction_skew_detection_config.skew_thresholds
    assert {name: limit.value for name, limit in limits.items()} == pytest.approx(
        drift_thresholds(bundle, 1000)
    )
    assert list(job.model_monitoring_alert_config.email_alert_config.user_emails) == ["a@b.c"]


def test_a_bundle_with_other_columns_gets_a_monitoring_job_of_its_own(cloud, settings):
    deploy(settings(1))
    (job,) = cloud.service.monitors.values()
    job.analysis_instance_schema_uri = "gs://bucket/churn-dev/monitoring/other/analysis.yaml"
    deploy(settings(1))
    (new_job,) = cloud.service.monitors.values()
    assert new_job.name != job.name
    assert new_job.analysis_instance_schema_uri != job.analysis_instance_schema_uri
