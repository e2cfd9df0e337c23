"""What is wrong before a deployment, and who may call: one message each, with its remedy."""

import json
import re
from types import SimpleNamespace

import google.auth.credentials
import google.auth.transport.requests
import pytest
import requests
from doubles.cloudrun import encode
from google.auth import external_account, impersonated_credentials
from google.oauth2 import credentials as user_credentials

from churn.cloudrun.deploy import deploy
from churn.cloudrun.identity import id_token
from churn.cloudrun.probe import _predictions
from churn.cloudrun.rollback import rollback
from churn.cloudrun.service import run_deployment
from churn.errors import UserError
from churn.vertex.checks.parity import MismatchError

CONFIGURATIONS = {  # override -> a part of the message
    "deploy.project=null": "no project is named",
    "deploy.bucket=null": "no bucket is named",
    "serving=tf_serving": r"Cloud Run gets our own container(.|\n)*do: serving=churn",
    "deploy.machine_type=n1-standard-2": "deploy.machine_type is for target=vertex",
    "deploy.idle_minutes=30": "a service scales to zero by itself",
    "deploy.dedicated=true": "a service has its own address",
    "deploy.name=a-name-that-is-longer-than-thirty": "can't be the name of a service",
    "deploy.min_replicas=3": "min_replicas=3 is more than max_replicas=2",
    "deploy.cloud_run.cpu=4": r"cpu=4 has 2048 to 16384 MiB(.|\n)*do: deploy\.cloud_run\.memory_mib=2048,",
    "deploy.cloud_run.memory_mib=8192": r"cpu=1 has 512 to 4096 MiB(.|\n)*memory_mib=4096, or another",
    "deploy.kms_key=projects/p/locations/europe-west1/keyRings/r/cryptoKeys/k": "key must be in the region",
    "deploy.region=us-central9": r"Cloud Run is not in us-central9(.|\n)*gcloud run regions list --project=p",
}


@pytest.mark.parametrize("override", CONFIGURATIONS)
def test_a_wrong_setting_is_refused_with_its_remedy(override, settings):
    with pytest.raises(UserError, match=CONFIGURATIONS[override]) as refused:
        deploy(settings(1, override))
    assert "do: " in str(refused.value)


def take_away(*permissions):
    return lambda cloud: cloud.service.denied.update(permissions)


GRANT = r"do: gcloud projects add-iam-policy-binding p --member=user:.* --role=roles/{}$"
ACCOUNTS = {  # problem -> a function that causes it, and the remedy
    "may not deploy": (take_away("run.services.create"), GRANT.format("run.developer")),
    "may not call": (take_away("run.routes.invoke"), GRANT.format("run.invoker")),
    "may not pass on the log": (take_away("logging.sinks.create"), GRANT.format("logging.configWriter")),
    "container not built": (
        lambda cloud: cloud.service.images.clear(),
        r"do: gcloud artifacts repositories create .*; gcloud builds submit \. --config=deploy/serving/",
    ),
}


@pytest.mark.parametrize("problem", ACCOUNTS)
def test_what_lacks_in_the_account_is_named_with_its_remedy(problem, cloud, settings):
    cause, remedy = ACCOUNTS[problem]
    cause(cloud)
    with pytest.raises(UserError) as refused:
        deploy(settings(1))
    assert [line for line in str(refused.value).splitlines() if re.search(remedy, line)]
    assert not cloud.run.services


def test_the_plan_names_what_terraform_would_still_make(cloud, settings, capsys):
    cloud.service.disabled.add("sts.googleapis.com")
    cloud.service.prepared = {"churn-deploy@p.iam.gserviceaccount.com"}
    deploy(settings(1))
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("deploy/terraform/")]
    assert line == (
        'deploy/terraform/ would still make google_project_service.services["sts"], '
        "google_bigquery_dataset.log, google_artifact_registry_repository.churn, google_service_account.run, "
        "google_iam_workload_identity_pool_provider.github"
    )


def test_there_is_nothing_to_roll_back_to_after_one_deployment(cloud, settings):
    deploy(settings(1))
    with pytest.raises(UserError, match="there is no earlier revision to go back to"):
        rollback(settings(1))


def test_a_service_that_finds_no_instance_is_asked_again(cloud, settings):
    cloud.unavailable = 3
    deploy(settings(1))
    assert len(cloud.answered) == 2


@pytest.mark.parametrize("body", ["<html>sign in</html>", "[]", '{"error": "x"}'])
def test_an_answer_that_holds_no_predictions_is_a_mismatch(body):
    answer = requests.Response()
    answer._content = body.encode()
    with pytest.raises(MismatchError, match="something else than predictions"):
        _predictions(answer, "https://churn-dev-run.test/predict")


AUDIENCE = "https://churn-dev-run.test"


def session_with(credentials, settings):
    clients = SimpleNamespace(http=google.auth.transport.requests.AuthorizedSession(credentials))
    return SimpleNamespace(clients=clients, deployment=run_deployment(settings(1)))


@pytest.fixture
def identity(monkeypatch):
    """Google's services of tokens, for the addresses that its library has."""
    own = encode({}, {"aud": AUDIENCE, "exp": 2**33})
    asked = []

    def send(self, request, **options):
        asked.append(request.url)
        answer = requests.Response()
        answer.status_code, answer._content = 200, json.dumps(
            {"id_token": "of-the-user", "access_token": "a", "expires_in": 3600, "token": own,
             "accessToken": "b", "expireTime": "2096-01-01T00:00:00Z"}
        ).encode()  # fmt: skip
        return answer

    monkeypatch.setattr(requests.Session, "send", send)
    return SimpleNamespace(own=own, asked=asked)


def test_a_user_has_a_token_of_his_own(settings, identity):
    user = user_credentials.Credentials(
        None, "refresh", token_uri="https://t", client_id="c", client_secret="s"
    )
    assert id_token(session_with(user, settings), AUDIENCE) == "of-the-user"


def test_an_impersonated_account_has_a_token_for_the_service(settings, identity):
    source = user_credentials.Credentials("a")
    account = impersonated_credentials.Credentials(source, "a@p.iam.gserviceaccount.com", ["scope"])
    assert id_token(session_with(account, settings), AUDIENCE) == identity.own


class Workflow(external_account.Credentials):
    """A workflow of GitHub that acts as a service account."""

    def retrieve_subject_token(self, request):
        return "of-github"

    _create_default_metrics_options = staticmethod(dict)


def test_a_workflow_asks_for_a_token_of_its_account(settings, identity):
    iam = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts"
    workflow = Workflow(
        "audience", "urn:ietf:params:oauth:token-type:jwt", "https://sts.googleapis.com/v1/token", {},
        service_account_impersonation_url=f"{iam}/a@p.iam.gserviceaccount.com:generateAccessToken",
        scopes=["https://www.googleapis.com/auth/cloud-platform"],
    )  # fmt: skip
    session = session_with(workflow, settings)
    session.deployment.config.emulator = None
    assert id_token(session, AUDIENCE) == identity.own
    assert identity.asked[-1] == f"{iam}/a@p.iam.gserviceaccount.com:generateIdToken"


def test_credentials_without_a_token_are_refused_with_a_remedy(settings, identity, monkeypatch):
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setattr("google.auth.compute_engine._metadata.ping", lambda _: False)
    nobody = google.auth.credentials.AnonymousCredentials()
    with pytest.raises(UserError, match="--impersonate-service-account=churn-deploy@p"):
        id_token(session_with(nobody, settings), AUDIENCE)
