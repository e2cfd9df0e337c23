"""The same client code against the local server and against the double of Vertex AI."""

import pytest
from google.api_core.exceptions import BadRequest
from google.auth.credentials import AnonymousCredentials
from google.cloud.aiplatform_v1 import PredictionServiceClient
from google.cloud.aiplatform_v1.services.prediction_service.transports import PredictionServiceRestTransport
from serve.conftest import ROW, running

from churn.vertex.deploy import deploy

ENDPOINT = "projects/p/locations/us-central1/endpoints/churn-dev"


def client(url):
    transport = PredictionServiceRestTransport(
        host=url.removeprefix("http://"), url_scheme="http", credentials=AnonymousCredentials()
    )
    return PredictionServiceClient(transport=transport)


@pytest.fixture
def both(cloud, settings, bundles, tmp_path):
    """A client of each; both serve the same bundle."""
    deploy(settings(1))
    with running(bundles[0], tmp_path, f"serve.predict_route=/v1/{ENDPOINT}:predict") as server:
        yield client(server.root), client(cloud.url)


def test_the_same_client_code_gets_the_same_answers_from_the_local_server_and_from_vertex_ai(both):
    rows = [ROW, ROW | {"tenure": -1e30, "contract": "lifetime"}, ROW | {"payment": ""}]
    local, cloud = (
        [dict(row) for row in c.predict(endpoint=ENDPOINT, instances=rows).predictions] for c in both
    )
    assert len(local) == 3
    for one, other in zip(local, cloud, strict=True):
        assert one.keys() == other.keys()
        texts = {name for name, value in one.items() if isinstance(value, str)}
        assert {name: one[name] for name in texts} == {name: other[name] for name in texts}
        numbers = one.keys() - texts
        assert [one[n] for n in numbers] == pytest.approx([other[n] for n in numbers], abs=1e-6)
    for wrong in ({"tenure": "3"}, {"extra": 1.0}):
        for each_client in both:
            with pytest.raises(BadRequest):
                each_client.predict(endpoint=ENDPOINT, instances=[ROW | wrong])
