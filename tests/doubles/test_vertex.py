"""What the double refuses, asked by the real SDK."""

import pytest
from google.api_core.exceptions import BadRequest, Conflict, NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform_v1 as api
from google.protobuf import struct_pb2

from doubles import vertex

PARENT = "projects/p/locations/us-central1"
ENDPOINT = f"{PARENT}/endpoints/e"
IMAGE = "us-docker.pkg.dev/vertex-ai/prediction/tf2-cpu.2-15:latest"
MACHINE = {"machine_spec": {"machine_type": "n1-standard-2"}, "min_replica_count": 1}


@pytest.fixture
def cloud():
    with vertex.running() as double:
        double.service.storage.write("gs://bucket/m/saved_model.pb", b"x")
        yield double


@pytest.fixture
def clients(cloud):
    rest = {
        "credentials": AnonymousCredentials(),
        "transport": "rest",
        "client_options": {"api_endpoint": cloud.url},
    }
    kinds = (api.ModelServiceClient, api.EndpointServiceClient, api.PredictionServiceClient)
    return [kind(**rest) for kind in kinds]


def upload(models, image=IMAGE, uri="gs://bucket/m", **more):
    model = {"display_name": "m", "artifact_uri": uri, "container_spec": {"image_uri": image}, **more}
    return models.upload_model({"parent": PARENT, "model": model, "model_id": "m"}).result()


def create(endpoints):
    request = {"parent": PARENT, "endpoint": {"display_name": "e"}, "endpoint_id": "e"}
    return endpoints.create_endpoint(request).result()


def deploy(endpoints, split=None, resources=MACHINE, **more):
    deployed = {"model": f"{PARENT}/models/m@1", "dedicated_resources": resources, **more}
    request = {"endpoint": ENDPOINT, "deployed_model": deployed, "traffic_split": split or {"0": 100}}
    return endpoints.deploy_model(request).result()


def test_an_unknown_field_and_a_mistyped_value_are_refused(cloud):
    import requests

    for body in ({"displayNme": "e"}, {"displayName": 3}, {"displayName": "e", "trafficSplit": {"1": "all"}}):
        answer = requests.post(f"{cloud.url}/v1/{PARENT}/endpoints", json=body, timeout=5)
        assert answer.status_code == 400, body
        assert answer.json()["error"]["status"] == "INVALID_ARGUMENT"


def test_required_fields_are_required(clients):
    models, endpoints, _ = clients
    with pytest.raises(BadRequest, match=r"endpoint\.display_name"):
        endpoints.create_endpoint({"parent": PARENT, "endpoint": {"labels": {"a": "b"}}})
    with pytest.raises(BadRequest, match="image_uri"):
        upload(models, image="")
    upload(models)
    create(endpoints)
    with pytest.raises(BadRequest, match="min_replica_count"):
        deploy(endpoints, resources={"machine_spec": {"machine_type": "n1-standard-2"}})


@pytest.mark.parametrize("tag", ["tf2-cpu.2-16:latest", "tf2-cpu.2-15:v1"])
def test_an_image_that_does_not_exist_is_refused(clients, tag):
    with pytest.raises(BadRequest, match="not found"):
        upload(clients[0], image=f"us-docker.pkg.dev/vertex-ai/prediction/{tag}")


def test_an_image_can_be_used_until_the_day_before_its_date(cloud, clients):
    models, endpoints, _ = clients
    cloud.service.today = "2027-01-13"
    upload(models)
    create(endpoints)
    cloud.service.today = "2027-01-14"
    with pytest.raises(BadRequest, match="no longer available"):
        deploy(endpoints)


def test_ids_are_taken_once_and_labels_are_checked(clients):
    models, endpoints, _ = clients
    upload(models)
    create(endpoints)
    with pytest.raises(Conflict):
        upload(models)
    with pytest.raises(Conflict):
        create(endpoints)
    with pytest.raises(BadRequest, match="label"):
        upload(models, labels={"a": "Upper"})


def test_traffic_must_add_up_to_100_and_name_deployed_models(clients):
    models, endpoints, _ = clients
    upload(models)
    create(endpoints)
    for split in ({"0": 99}, {"0": 50, "77": 50}, {"0": 101}):
        with pytest.raises(BadRequest, match="raffic"):
            deploy(endpoints, split)


def test_a_version_is_deployed_once_and_what_is_in_use_is_not_deleted(cloud, clients):
    models, endpoints, predictions = clients
    with pytest.raises(NotFound):
        endpoints.get_endpoint(name=ENDPOINT)
    upload(models)
    create(endpoints)
    with pytest.raises(BadRequest, match="no deployed model"):
        predictions.predict(endpoint=ENDPOINT, instances=[struct_pb2.Value(number_value=1)])
    deployed = deploy(endpoints, id="5").deployed_model
    assert (deployed.id, deployed.model_version_id) == ("5", "1")
    with pytest.raises(Conflict):
        deploy(endpoints, {"0": 100}, id="5")
    with pytest.raises(BadRequest, match="deployed to this endpoint already"):
        deploy(endpoints, {"0": 50, "5": 50}, id="6")
    with pytest.raises(BadRequest, match="undeploy them first"):
        endpoints.delete_endpoint(name=ENDPOINT)
    with pytest.raises(BadRequest, match="undeploy it first"):
        models.delete_model(name=f"{PARENT}/models/m")
    endpoints.undeploy_model(endpoint=ENDPOINT, deployed_model_id="5").result()
    endpoints.delete_endpoint(name=ENDPOINT).result()
    assert not cloud.service.endpoints


def test_an_artifact_in_the_other_layout_fails_to_start(cloud, clients):
    models, endpoints, _ = clients
    cloud.service.storage.write("gs://bucket/base/1/saved_model.pb", b"x")
    upload(models, uri="gs://bucket/base")
    create(endpoints)
    with pytest.raises(Exception, match=r"no saved_model\.pb"):
        deploy(endpoints)


def test_rows_are_read_as_tensorflow_serving_reads_them(exported_bundle):
    from doubles.bindings import RefusalError
    from doubles.serving import Model

    model = Model(exported_bundle)
    row = {
        "tenure": 1.0,
        "Monthly__charge": 2.0,
        "contract": "monthly",
        "payment": "card",
        "customer_key": "k",
    }
    (answer,) = model([row])
    assert answer["customer_key"] == "k"
    assert 0 < answer["churn_probability"] < 1
    changes = ({"extra": 1.0}, {"tenure": [1.0]}, {"tenure": "1"}, {"tenure": None}, {"contract": 1.0})
    less = {name: value for name, value in row.items() if name != "tenure"}
    for bad in [less, [1.0], *(row | change for change in changes)]:
        with pytest.raises(RefusalError):
            model([bad])
