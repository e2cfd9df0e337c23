"""Each thing that would fail later is found before anything is created, with the command that mends it."""

import shutil
from datetime import date

import pytest

from churn.errors import UserError
from churn.vertex import preflight
from churn.vertex.client import connect, explained
from churn.vertex.deploy import deploy
from churn.vertex.destroy import destroy
from churn.vertex.rollback import rollback
from churn.vertex.status import status
from churn.vertex.target import Target


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("deploy.project=null", "no project is named"),
        ("deploy.bucket=null", "no bucket is named"),
        (
            "deploy.kms_key=projects/p/locations/europe-west1/keyRings/r/cryptoKeys/k",
            "key must be in the region",
        ),
        ("serving.image=europe-west1-docker.pkg.dev/p/churn/x:1", "image must be in the region"),
        ("deploy.min_replicas=0", "at least 1 node"),
        ("deploy.min_replicas=3", "min_replicas <= max_replicas"),
        ("deploy.canary=0", "canary is a share"),
        ("deploy.probe=101", "probe is a share"),
        ("deploy.answers=0", "at least one answer"),
        ("serving.available_until='2026-11-24'", "serving=tf_serving"),
    ],
)
def test_a_configuration_that_can_t_work_is_refused_before_any_call(cloud, settings, override, problem):
    with pytest.raises(UserError, match=problem) as error:
        deploy(settings(1, override))
    assert " do: " in str(error.value)
    assert not cloud.calls


def test_all_problems_are_named_at_once(cloud, settings):
    with pytest.raises(UserError) as error:
        deploy(settings(1, "deploy.canary=0", "deploy.min_replicas=0"))
    assert str(error.value).count(" do: ") == 2


def test_the_prebuilt_container_is_counted_down_and_then_refused(settings, bundles):
    from churn.bundle import Bundle

    cfg = settings(1)
    target, bundle = Target.of(cfg), Bundle.load(bundles[0])
    assert "for 51 more days" in preflight.warning(target, date(2026, 11, 24))
    assert not list(preflight.offline(cfg.deploy, target, bundle, date(2027, 1, 13)))
    (problem,) = preflight.offline(cfg.deploy, target, bundle, date(2027, 1, 14))
    assert problem.do.startswith("serving=tf_serving")


def test_a_bundle_that_was_changed_is_refused(cloud, settings, bundles, tmp_path):
    shutil.copytree(bundles[0], tmp_path / "b")
    (tmp_path / "b" / "saved_model.pb").write_bytes(b"")
    with pytest.raises(UserError, match="changed or is incomplete"):
        deploy(settings(1, f"bundle={tmp_path / 'b'}"))
    assert not cloud.calls


@pytest.mark.parametrize(
    ("override", "remedy"),
    [
        ("deploy.bucket=elsewhere", "a bucket in us-central1, or deploy.region=eu"),
        (
            "deploy.bucket=nowhere",
            "gcloud storage buckets create gs://nowhere --location=us-central1 --project=p",
        ),
    ],
)
def test_a_bucket_that_is_missing_or_elsewhere_is_refused(cloud, settings, override, remedy):
    cloud.service.storage.make_bucket("elsewhere", "EU")
    with pytest.raises(UserError, match=remedy):
        deploy(settings(1, override))
    assert not cloud.service.models


def test_a_missing_permission_is_named_with_the_role_that_has_it(cloud, settings):
    cloud.service.denied = {"aiplatform.endpoints.deploy"}
    with pytest.raises(UserError, match=r"add-iam-policy-binding p .*--role=roles/aiplatform\.user"):
        deploy(settings(1))


def test_no_credentials_end_with_the_login_command(settings, monkeypatch):
    from google.auth.exceptions import DefaultCredentialsError

    def missing(*_, **__):
        raise DefaultCredentialsError("none")

    monkeypatch.setattr("google.auth.default", missing)
    cfg = settings(1, "deploy.emulator=null")
    with pytest.raises(UserError, match="gcloud auth application-default login"):
        connect(cfg.deploy, Target.of(cfg))


def test_quota_permission_and_a_disabled_api_are_told_apart(settings):
    from google.api_core import exceptions

    target = Target.of(settings(1))
    told = {
        exceptions.TooManyRequests("x"): "quota",
        exceptions.Forbidden("Permission denied"): "roles/aiplatform.user",
        exceptions.Forbidden("storage.objects.create denied"): "roles/storage.admin",
        exceptions.Forbidden("Vertex AI API has not been used in project p before"): "gcloud services enable",
        exceptions.ServiceUnavailable("x"): "again",
    }
    for error, words in told.items():
        assert words in str(explained(error, target, "run again"))


@pytest.mark.parametrize("command", [rollback, status, destroy])
@pytest.mark.parametrize("key", ["project", "bucket"])
def test_every_command_wants_project_and_bucket(cloud, settings, command, key):
    with pytest.raises(UserError, match=f"no {key} is named"):
        command(settings(1, f"deploy.{key}=null"))
    assert not cloud.calls
