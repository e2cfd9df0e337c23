"""Every resource that takes a key of the customer gets it: each call of the clients is looked at.

Which calls take one is read from the request types of Google's own libraries.
"""

import ast
from urllib.parse import unquote

import pytest
from conftest import ROOT
from doubles.vertex import name_of
from google.cloud import aiplatform_v1, aiplatform_v1beta1

from churn.bundle.bundle import Bundle
from churn.errors import UserError
from churn.vertex import export, train
from churn.vertex import score as scoring
from churn.vertex.apply import ensure_dataset
from churn.vertex.cloud import staging
from churn.vertex.cloud.deployment import Deployment
from churn.vertex.cloud.session import connect
from churn.vertex.deploy import deploy
from churn.vertex.destroy import destroy

KEY = "projects/p/locations/us-central1/keyRings/r/cryptoKeys/k"
KEYWORDS = {  # calls of Google's other clients that make something: the keyword for a key
    "blob": "kms_key_name", "PipelineJob": "encryption_spec_key_name",
}  # fmt: skip


def takes_key(call):
    """Whether the request of a call of Vertex AI, such as CreateEndpoint, has a field for a key."""
    for version in (aiplatform_v1, aiplatform_v1beta1):
        if request := getattr(version, f"{call}Request", None):
            messages = [field.message for field in request.meta.fields.values()]
            parts = [each.meta.fields for each in messages if hasattr(each, "meta")]
            return any("encryption_spec" in fields for fields in (request.meta.fields, *parts))
    raise LookupError(call)


def calls_in(*folders):
    """The name and the keywords of every call of a method in the files below."""
    for folder in folders:
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    yield node.func.attr, {word.arg for word in node.keywords}


def watched(cloud, monkeypatch):
    """The writing calls of the clients from now on: name of the call, and its address and content."""
    calls, answer = [], cloud.answer

    def note(request):
        if request.method in ("POST", "PUT"):
            content = unquote(request.url) + request.content.decode("utf-8", "replace")
            calls.append((name_of(request), content))
        return answer(request)

    monkeypatch.setattr(cloud, "answer", note)
    return calls


def test_what_deploy_train_and_score_make_is_encrypted_with_the_customer_s_key(
    cloud, settings, table, monkeypatch
):
    cloud.service.storage.encrypt_bucket("bucket", KEY)
    calls, cfg = watched(cloud, monkeypatch), settings(1, f"deploy.kms_key={KEY}")
    deploy(cfg)
    scoring.score(settings(1, f"deploy.kms_key={KEY}", f"input={table}", "output=gs://bucket/scores"))
    made = {name for name, _ in calls}
    without = {name for name, content in calls if KEY not in content} - {"TestIamPermissions"}
    assert [name for name in without if takes_key(name)] == []
    assert len([content for _, content in calls if KEY in content]) > 15, "the objects of the bucket, too"
    job = train._job_specification(cfg, Deployment.from_config(cfg), "folder", "wheel")
    assert job["encryption_spec"] == {"kms_key_name": KEY}
    names = {
        name for name, _ in calls_in("src/churn/vertex", "deploy") if name.startswith(("create_", "upload_"))
    }
    known = {name.title().replace("_", "") for name in names - {"create_dataset"}}  # that is BigQuery's
    called = {name for name in known if hasattr(aiplatform_v1, f"{name}Request") and takes_key(name)}
    assert called - made == {"CreateCustomJob"}, "a call that this test does not make"
    assert len(called) == 5


def test_every_object_and_pipeline_is_made_with_a_key():
    calls = list(calls_in("src/churn/vertex", "deploy"))
    assert {name for name, _ in calls} >= {*KEYWORDS}
    assert [name for name, words in calls if KEYWORDS.get(name, "") not in {"", *words}] == []


def test_tables_and_models_of_bigquery_have_the_key(bundles, settings):
    deployment = Deployment.from_config(settings(1, f"deploy.kms_key={KEY}"))
    bundle = Bundle.load(bundles[0])
    types = dict.fromkeys(("customer", *bundle.schema.features), "STRING")
    table = scoring._instances_query(deployment, "p.d.instances", "SELECT 1 AS one")
    model, _ = export._statements(deployment, bundle, "p.d.customers", "p.d.model", types)
    assert f'kms_key_name="{KEY}"' in table
    assert f"KMS_KEY_NAME='{KEY}'" in model


def test_a_bucket_without_the_key_is_refused_with_the_command_that_gives_it_one(cloud, settings):
    with pytest.raises(UserError, match="no key of yours") as refused:
        deploy(settings(1, f"deploy.kms_key={KEY}"))
    assert f"buckets update gs://bucket --default-encryption-key={KEY}" in str(refused.value)


def test_what_exists_without_the_key_is_not_passed_off_as_encrypted(cloud, settings, table):
    scoring.score(settings(1, f"input={table}", "output=gs://bucket/scores"))
    cloud.service.storage.encrypt_bucket("bucket", KEY)
    encrypted = settings(1, f"deploy.kms_key={KEY}", f"input={table}", "output=gs://bucket/scores")
    for command in (deploy, scoring.score):
        with pytest.raises(UserError, match=rf"kms_key is '' in what exists(.|\n)*{KEY}(.|\n)*churn destroy"):
            command(encrypted)
    assert len(cloud.service.jobs) == 1
    assert not cloud.service.endpoints


def test_staged_files_without_the_key_are_sent_again_and_with_it_they_are_not(
    cloud, settings, bundles, monkeypatch
):
    bundle = Bundle.load(bundles[0])
    for key in ("null", KEY):
        session = connect(Deployment.from_config(settings(1, f"deploy.kms_key={key}")))
        staging.upload_bundle(session, bundle)
        assert cloud.service.storage.keys("gs://bucket/churn-dev/") == {None if key == "null" else KEY}
    sent = []
    monkeypatch.setattr(staging, "upload_object", lambda _, name, content: sent.append(name))
    staging.upload_bundle(session, bundle)
    staging.upload_bundle(connect(Deployment.from_config(settings(1))), bundle)
    assert not sent


def test_a_log_without_the_key_is_refused_with_the_command_that_gives_it_one(cloud, settings):
    cloud.service.storage.encrypt_bucket("bucket", KEY)
    ensure_dataset(connect(Deployment.from_config(settings(1))))
    with pytest.raises(UserError, match=rf"bq update --default_kms_key={KEY} p:churn_dev_log"):
        deploy(settings(1, f"deploy.kms_key={KEY}"))
    destroy(settings(1))
    deploy(settings(1, f"deploy.kms_key={KEY}"))
    deploy(settings(1, f"deploy.kms_key={KEY}"))
