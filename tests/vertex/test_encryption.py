"""Every resource that takes a key of the customer gets it: each call of the clients is looked at."""

from urllib.parse import unquote

from doubles.vertex import name_of

from churn.vertex.deploy import deploy
from churn.vertex.score import score

KEY = "projects/p/locations/us-central1/keyRings/r/cryptoKeys/k"
NO_FIELD = {  # calls that make or change nothing for which Google's API has a field for a key
    "DeployModel", "Predict", "TestIamPermissions",
}  # fmt: skip


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
    calls = watched(cloud, monkeypatch)
    deploy(settings(1, f"deploy.kms_key={KEY}"))
    score(settings(1, f"deploy.kms_key={KEY}", f"input={table}", "output=gs://bucket/scores"))
    made = {name for name, _ in calls}
    assert made >= {"CreateEndpoint", "UploadModel", "CreateBatchPredictionJob"}
    assert "CreateModelDeploymentMonitoringJob" in made
    without = {name for name, content in calls if KEY not in content}
    assert without <= NO_FIELD, without
    assert len([content for _, content in calls if KEY in content]) > 15, "the objects of the bucket, too"
