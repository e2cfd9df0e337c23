"""Google's own client works with the local server as with Vertex AI."""

import warnings

import pytest

from serve.conftest import ROW, running

ENDPOINT = "projects/p/locations/us-central1/endpoints/1"


@pytest.fixture(scope="module")
def client(exported_bundle, tmp_path_factory):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Google's packages
        from google.auth.credentials import AnonymousCredentials
        from google.cloud.aiplatform_v1 import PredictionServiceClient
        from google.cloud.aiplatform_v1.services.prediction_service.transports import (
            PredictionServiceRestTransport,
        )

        route = f"serve.predict_route=/v1/{ENDPOINT}:predict"
        with running(exported_bundle, tmp_path_factory.mktemp("vertex"), route) as server:
            host = server.root.removeprefix("http://")
            credentials = AnonymousCredentials()
            transport = PredictionServiceRestTransport(host=host, url_scheme="http", credentials=credentials)
            yield PredictionServiceClient(transport=transport)


def test_the_client_gets_predictions_and_the_model_s_version(client, endpoint):
    answer = client.predict(endpoint=ENDPOINT, instances=[ROW, ROW | {"tenure": 60}])
    expected = endpoint.predict(ROW, ROW | {"tenure": 60}).json()
    probabilities = [row["churn_probability"] for row in answer.predictions]
    assert probabilities == pytest.approx([row["churn_probability"] for row in expected["predictions"]])
    assert [row["customer_key"] for row in answer.predictions] == ["c-1", "c-1"]
    assert answer.deployed_model_id == expected["deployedModelId"]
    assert answer.model_version_id == expected["modelVersionId"]
    assert answer.model == expected["model"]


def test_the_client_s_error_names_the_row_and_the_field(client):
    from google.api_core.exceptions import BadRequest

    with pytest.raises(BadRequest, match=r"row 1, field 'tenure': got \"3\", expected a number") as caught:
        client.predict(endpoint=ENDPOINT, instances=[ROW, ROW | {"tenure": "3"}])
    assert caught.value.details[0]["fieldViolations"][0]["field"] == "instances[1].tenure"
