"""Each thing that would fail later is found before anything is created, with the command that mends it."""

import re
import shutil
from datetime import date

import pytest

from churn.errors import UserError
from churn.vertex.checks import preflight
from churn.vertex.cloud.client import connect, to_user_error
from churn.vertex.cloud.deployment import Deployment
from churn.vertex.deploy import deploy
from churn.vertex.destroy import destroy
from churn.vertex.rollback import rollback
from churn.vertex.status import status
from vertex.failures import CONFIGURATIONS, FAILURES


@pytest.mark.parametrize(("override", "problem"), CONFIGURATIONS.items())
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
    from churn.bundle.bundle import Bundle

    cfg = settings(1)
    target, bundle = Deployment.of(cfg), Bundle.load(bundles[0])
    assert "for 51 more days" in preflight.end_of_support(target, date(2026, 11, 24))
    assert not list(preflight.offline_problems(cfg.deploy, target, bundle, date(2027, 1, 13)))
    (problem,) = preflight.offline_problems(cfg.deploy, target, bundle, date(2027, 1, 14))
    assert problem.do.startswith("serving=tf_serving")


def test_a_bundle_that_was_changed_is_refused(cloud, settings, bundles, tmp_path):
    shutil.copytree(bundles[0], tmp_path / "b")
    (tmp_path / "b" / "saved_model.pb").write_bytes(b"")
    with pytest.raises(UserError, match="changed or is incomplete"):
        deploy(settings(1, f"bundle={tmp_path / 'b'}"))
    assert not cloud.calls


@pytest.mark.parametrize("title", FAILURES)
def test_what_the_account_lacks_is_found_before_anything_is_created(cloud, settings, title):
    breakage, overrides, words = FAILURES[title]
    breakage(cloud)
    with pytest.raises(UserError) as error:
        deploy(settings(1, *overrides))
    assert re.search(words, str(error.value)), error.value
    assert not {**cloud.service.models, **cloud.service.endpoints, **cloud.service.datasets}
    assert not cloud.service.storage.list("gs://bucket/")


def test_what_can_t_be_changed_where_it_runs_is_refused(cloud, settings):
    deploy(settings(1))
    for override in (
        "deploy.dedicated=true",
        "deploy.machine_type=n1-standard-4",
        "deploy.access_logging=true",
    ):
        with pytest.raises(UserError, match=r"can't be changed to .*(.|\n)*do: churn destroy first"):
            deploy(settings(1, override))


def test_no_credentials_end_with_the_login_command(settings, monkeypatch):
    from google.auth.exceptions import DefaultCredentialsError

    def missing(*_, **__):
        raise DefaultCredentialsError("none")

    monkeypatch.setattr("google.auth.default", missing)
    cfg = settings(1, "deploy.emulator=null")
    with pytest.raises(UserError, match="gcloud auth application-default login"):
        connect(cfg.deploy, Deployment.of(cfg))


def test_quota_permission_and_a_disabled_api_are_told_apart(settings):
    from google.api_core import exceptions

    target = Deployment.of(settings(1))
    told = {
        exceptions.TooManyRequests("x"): "quota",
        exceptions.Forbidden("Permission denied"): "roles/aiplatform.user",
        exceptions.Forbidden("storage.objects.create denied"): "--role=roles/storage.objectAdmin",
        exceptions.Forbidden(
            "storage.buckets.get denied"
        ): "gs://bucket .*--role=roles/storage.legacyBucketR",
        exceptions.Forbidden("bigquery.tables.get denied"): "--role=roles/bigquery.dataViewer",
        exceptions.Forbidden("Vertex AI API has not been used in project p before"): "gcloud services enable",
        exceptions.ServiceUnavailable("x"): "again",
    }
    for error, words in told.items():
        assert re.search(words, str(to_user_error(error, target, "run again")))


@pytest.mark.parametrize("command", [rollback, status, destroy])
@pytest.mark.parametrize("key", ["project", "bucket"])
def test_every_command_wants_project_and_bucket(cloud, settings, command, key):
    with pytest.raises(UserError, match=f"no {key} is named"):
        command(settings(1, f"deploy.{key}=null"))
    assert not cloud.calls
