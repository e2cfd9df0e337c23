"""The double refuses what the service refuses, tested with the real SDK."""

import pyarrow as pa
import pytest
import requests
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
    kinds = (
        api.ModelServiceClient, api.EndpointServiceClient, api.PredictionServiceClient, api.JobServiceClient
    )  # fmt: skip
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


def test_a_permission_that_does_not_exist_is_refused(cloud):
    wanted = ["aiplatform.models.delete", "aiplatform.modelVersions.delete"]
    project = f"{cloud.url}/v3/projects/p:testIamPermissions"
    for names, code in ((wanted, 400), (wanted[:1], 200)):
        assert requests.post(project, json={"permissions": names}, timeout=5).status_code == code
    bucket = f"{cloud.url}/storage/v1/b/bucket/iam/testPermissions?permissions=storage.objects.write"
    assert requests.get(bucket, timeout=5).status_code == 400


def test_an_unknown_field_and_a_mistyped_value_are_refused(cloud):
    for body in ({"displayNme": "e"}, {"displayName": 3}, {"displayName": "e", "trafficSplit": {"1": "all"}}):
        answer = requests.post(f"{cloud.url}/v1/{PARENT}/endpoints", json=body, timeout=5)
        assert answer.status_code == 400, body
        assert answer.json()["error"]["status"] == "INVALID_ARGUMENT"


@pytest.mark.parametrize("kind", ["NO_SUCH_TYPE", 99])
def test_an_unknown_enum_value_is_refused(cloud, kind):
    model = {"displayName": "m", "containerSpec": {"imageUri": IMAGE}, "artifactUri": "gs://bucket/m"}
    body = {"model": model | {"supportedDeploymentResourcesTypes": [kind]}}
    answer = requests.post(f"{cloud.url}/v1/{PARENT}/models:upload", json=body, timeout=5)
    assert answer.status_code == 400


def test_jobs_that_cannot_run_are_refused(cloud, clients):
    upload(clients[0])
    source = {"instances_format": "jsonl", "gcs_source": {"uris": ["gs://bucket/m/saved_model.pb"]}}
    output = {"predictions_format": "jsonl", "gcs_destination": {"output_uri_prefix": "gs://bucket/o"}}
    job = {
        "display_name": "j", "model": f"{PARENT}/models/m@1", "input_config": source, "output_config": output,
        "dedicated_resources": {"machine_spec": {"machine_type": "n1-standard-4"}},
    }  # fmt: skip
    wrong = (
        {"dedicated_resources": {"machine_spec": {}}},
        {"input_config": source | {"instances_format": "bigquery"}},
        {"input_config": source | {"gcs_source": {"uris": ["gs://bucket/none"]}}},
        {"output_config": output | {"predictions_format": "xml"}},
        {"instance_config": {"instance_type": "dictionary"}},
        {"instance_config": {"included_fields": ["a"], "excluded_fields": ["b"]}},
    )
    for change in wrong:
        with pytest.raises(BadRequest):
            clients[3].create_batch_prediction_job({"parent": PARENT, "batch_prediction_job": job | change})
    expired = "us-docker.pkg.dev/vertex-ai/training/tf-cpu.2-17.py310:latest"
    machine = {"machine_spec": {"machine_type": "n1-standard-4"}, "replica_count": 1}
    for pool in (machine, {"container_spec": {"image_uri": "x"}},
                 machine | {"container_spec": {"image_uri": expired}}):  # fmt: skip
        spec = {"display_name": "t", "job_spec": {"worker_pool_specs": [pool]}}
        with pytest.raises(BadRequest):
            clients[3].create_custom_job({"parent": PARENT, "custom_job": spec})
    assert not cloud.service.jobs


def test_rows_of_bigquery_are_arrays_unless_objects_are_requested(cloud, clients, exported_bundle):
    for file in filter(lambda path: path.is_file(), exported_bundle.rglob("*")):
        name = file.relative_to(exported_bundle).as_posix()
        cloud.service.storage.write(f"gs://bucket/b/{name}", file.read_bytes())
    upload(clients[0], uri="gs://bucket/b")
    row = {
        "tenure": 1.0,
        "Monthly__charge": 2.0,
        "contract": "monthly",
        "payment": "card",
        "customer_key": "k",
    }
    cloud.service.warehouse.write("p.d.t", pa.Table.from_pylist([row]))
    states = {}
    for kind in ("", "array", "object"):
        job = {
            "display_name": "j", "model": f"{PARENT}/models/m@1", "instance_config": {"instance_type": kind},
            "input_config": {"instances_format": "bigquery", "bigquery_source": {"input_uri": "bq://p.d.t"}},
            "output_config": {
                "predictions_format": "bigquery", "bigquery_destination": {"output_uri": "bq://p.d"},
            },
            "dedicated_resources": {"machine_spec": {"machine_type": "n1-standard-4"}},
        }  # fmt: skip
        created = clients[3].create_batch_prediction_job({"parent": PARENT, "batch_prediction_job": job})
        states[kind] = clients[3].get_batch_prediction_job({"name": created.name}).state.name
    assert states == {"": "JOB_STATE_FAILED", "array": "JOB_STATE_FAILED", "object": "JOB_STATE_SUCCEEDED"}


def test_required_fields_are_required(clients):
    models, endpoints, *_ = clients
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
    models, endpoints, *_ = clients
    cloud.service.today = "2027-01-13"
    upload(models)
    create(endpoints)
    cloud.service.today = "2027-01-14"
    with pytest.raises(BadRequest, match="no longer available"):
        deploy(endpoints)


def test_ids_are_unique_and_labels_are_checked(clients):
    models, endpoints, *_ = clients
    upload(models)
    create(endpoints)
    with pytest.raises(Conflict):
        upload(models)
    with pytest.raises(Conflict):
        create(endpoints)
    with pytest.raises(BadRequest, match="label"):
        upload(models, labels={"a": "Upper"})


def test_traffic_must_add_up_to_100_and_name_deployed_models(clients):
    models, endpoints, *_ = clients
    upload(models)
    create(endpoints)
    for split in ({"0": 99}, {"0": 50, "77": 50}, {"0": 101}):
        with pytest.raises(BadRequest, match="raffic"):
            deploy(endpoints, split)


def test_a_version_is_deployed_once_and_resources_in_use_are_not_deleted(cloud, clients):
    models, endpoints, predictions, _ = clients
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


def test_an_artifact_in_the_wrong_layout_fails_to_start(cloud, clients):
    models, endpoints, *_ = clients
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
