"""Preflight finds what would fail later, before anything is created, and names the remedy."""

import re
import shutil
from datetime import date

import pytest
from conftest import churn
from doubles.permissions import PERMISSIONS
from google.api_core.exceptions import Forbidden

from churn.bundle.bundle import Bundle
from churn.cloudrun import checks
from churn.errors import UserError
from churn.vertex.checks import account, preflight
from churn.vertex.cloud.deployment import Deployment
from churn.vertex.cloud.errors import to_user_error
from churn.vertex.cloud.session import connect
from churn.vertex.deploy import deploy
from churn.vertex.destroy import destroy
from churn.vertex.rollback import rollback
from churn.vertex.status import status
from vertex.failures import CONFIGURATIONS, FAILURES, OUT_OF_BOUNDS


@pytest.mark.parametrize(("override", "problem"), CONFIGURATIONS.items())
def test_a_configuration_that_cannot_work_is_refused_before_any_call(cloud, settings, override, problem):
    with pytest.raises(UserError, match=problem) as error:
        deploy(settings(1, override))
    assert " do: " in str(error.value)
    assert not cloud.calls


def test_numbers_out_of_bounds_are_refused_by_name_with_exit_code_2_before_any_call(tmp_path):
    unreachable = ("deploy.project=p", "deploy.bucket=b", "deploy.emulator=http://127.0.0.1:9")
    ended = churn("deploy", *OUT_OF_BOUNDS, *unreachable, code=2, cwd=tmp_path)
    assert [override for override in OUT_OF_BOUNDS if override not in ended.stderr] == []
    assert ended.stderr.count(" do: ") == len(OUT_OF_BOUNDS)
    assert ended.stdout == ""


def test_all_problems_are_named_at_once(cloud, settings):
    with pytest.raises(UserError) as error:
        deploy(settings(1, "deploy.name=My_Name", "deploy.service_account=me"))
    assert str(error.value).count(" do: ") == 2


def test_an_image_that_is_pinned_by_its_digest_is_looked_for_by_that(cloud, settings):
    session, digest = connect(Deployment.from_config(settings(1))), f"sha256:{'ab' * 32}"
    cloud.service.images = {"tf-serving:2.20.0", f"tf-serving@{digest}"}
    image = "us-central1-docker.pkg.dev/p/churn/tf-serving{}"
    known = (f"@{digest}", f":2.20.0@{digest}", ":2.20.0")
    assert not [name for name in known if [*account.missing_image(session, image.format(name), "build it")]]
    unknown = (f"@{digest.replace('ab', 'ac')}", ":2.19.0")
    assert all([*account.missing_image(session, image.format(name), "build it")] for name in unknown)


def test_the_prebuilt_container_is_counted_down_and_then_refused(settings, bundles):
    assert preflight.end_of_support(Deployment.from_config(settings(1)), date(2026, 11, 24)) is None
    deployment, bundle = Deployment.from_config(settings(1, "serving=prebuilt")), Bundle.load(bundles[0])
    warning = preflight.end_of_support(deployment, date(2026, 11, 24))
    assert "since 2026-07-14 and can be used for 51 more days, until 2027-01-14" in warning
    assert not list(preflight.offline_problems(deployment, bundle, date(2027, 1, 13)))
    (problem,) = preflight.offline_problems(deployment, bundle, date(2027, 1, 14))
    assert problem.do.startswith("serving=tf_serving")


@pytest.mark.parametrize(
    ("account", "resource"),
    [
        ("run@p.iam.gserviceaccount.com", "run@p.iam.gserviceaccount.com"),
        ("null", r"\$\(gcloud projects describe p .*\)-compute@developer.gserviceaccount.com"),
    ],
)
def test_a_refused_identity_is_granted_on_the_account_that_the_container_runs_as(settings, account, resource):
    deployment = Deployment.from_config(settings(1, f"deploy.service_account={account}"))
    refused = Forbidden("Permission 'iam.serviceaccounts.actAs' denied on service account")
    do = to_user_error(refused, deployment, "").do
    command = r"gcloud iam service-accounts add-iam-policy-binding {} --member=user:.* --role={}"
    assert re.fullmatch(command.format(resource, "roles/iam.serviceAccountUser"), do)


def test_a_bundle_that_was_changed_is_refused(cloud, settings, bundles, tmp_path):
    shutil.copytree(bundles[0], tmp_path / "b")
    (tmp_path / "b" / "saved_model.pb").write_bytes(b"")
    with pytest.raises(UserError, match="changed or is incomplete"):
        deploy(settings(1, f"bundle={tmp_path / 'b'}"))
    assert not cloud.calls


@pytest.mark.parametrize("problem", FAILURES)
def test_a_problem_of_the_account_is_found_before_anything_is_created(cloud, settings, problem):
    cause, overrides, remedy = FAILURES[problem]
    cause(cloud)
    with pytest.raises(UserError) as error:
        deploy(settings(1, *overrides))
    assert re.search(remedy, str(error.value)), error.value
    assert not {**cloud.service.models, **cloud.service.endpoints, **cloud.service.datasets}
    assert not cloud.service.storage.list("gs://bucket/")


def test_every_permission_that_is_asked_for_exists_and_is_asked_for_once(cloud, settings):
    session = connect(Deployment.from_config(settings(1)))
    for permissions in (account.PERMISSIONS, checks.PERMISSIONS | checks.OF_INVOKERS):
        names = [name for group in permissions.values() for name in group]
        assert len(names) == len({*names})
        assert list(account.check_project(session, permissions)) == []
    assert PERMISSIONS.issuperset(account.BUCKET_PERMISSIONS)


def test_a_setting_that_cannot_be_changed_where_it_runs_is_refused(cloud, settings):
    deploy(settings(1))
    for override in (
        "deploy.dedicated=true",
        "deploy.machine_type=n1-standard-4",
        "deploy.monitoring.sampling=0.1",
        "deploy.access_logging=true",
    ):
        with pytest.raises(UserError, match=r"can't be changed to .*(.|\n)*do: churn destroy first"):
            deploy(settings(1, override))


def test_no_credentials_end_with_the_login_command(settings, monkeypatch):
    from google.auth.exceptions import DefaultCredentialsError

    def missing(*_, **__):
        raise DefaultCredentialsError("none")

    monkeypatch.setattr("google.auth.default", missing)
    deployment = Deployment.from_config(settings(1, "deploy.emulator=null"))
    with pytest.raises(UserError, match="gcloud auth application-default login"):
        connect(deployment)


def test_quota_permission_and_a_disabled_api_have_different_remedies(settings):
    from google.api_core import exceptions

    deployment = Deployment.from_config(settings(1))
    remedies = {
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
    for error, remedy in remedies.items():
        assert re.search(remedy, str(to_user_error(error, deployment, "run again")))


@pytest.mark.parametrize("command", [rollback, status, destroy])
@pytest.mark.parametrize("key", ["project", "bucket"])
def test_every_command_needs_project_and_bucket(cloud, settings, command, key):
    with pytest.raises(UserError, match=f"no {key} is named"):
        command(settings(1, f"deploy.{key}=null"))
    assert not cloud.calls
