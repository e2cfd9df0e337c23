# ruff: noqa: N802  methods have the names of the API's
"""Vertex AI's resources, and the rules by which the service changes them or refuses to.

Methods with capitals are those of the API: each takes its request message and returns its answer.
"""

import itertools
import re
from collections.abc import Callable
from typing import Any

import pyarrow as pa
from google.cloud.aiplatform_v1 import types as t
from google.longrunning import operations_pb2
from google.protobuf import json_format, timestamp_pb2
from google.rpc import status_pb2

from doubles import serving
from doubles.bindings import RefusalError, invalid
from doubles.jobs import Jobs
from doubles.permissions import granted
from doubles.pipelines import Pipelines
from doubles.storage import Storage

JobState = t.JobState


def precondition(message: str) -> RefusalError:
    return RefusalError(400, "FAILED_PRECONDITION", message)


def not_found(name: str) -> RefusalError:
    return RefusalError(404, "NOT_FOUND", f"The resource {name} does not exist.")


def exists(name: str) -> RefusalError:
    return RefusalError(409, "ALREADY_EXISTS", f"The resource {name} already exists.")


class Service(Jobs, Pipelines):
    """One project: its resources, and the API's methods."""

    def __init__(self, storage: Storage, today: str = "2026-11-24") -> None:
        Jobs.__init__(self)
        Pipelines.__init__(self)
        self.storage, self.today = storage, today
        self.models: dict[str, list[t.Model]] = {}  # versions by the model's name
        self.endpoints: dict[str, t.Endpoint] = {}
        self.monitors: dict[str, t.ModelDeploymentMonitoringJob] = {}
        self.operations: dict[str, operations_pb2.Operation] = {}
        self.effects: dict[str, tuple[int, Callable[[], Any]]] = {}  # polls until the effect, and the effect
        self.lag = 0  # polls per operation
        self.pending = 0  # looks at a new monitoring job before it is no longer PENDING; -1: it stays so
        self.looks: dict[str, int] = {}  # at each monitoring job
        self.labels_win = "version"  # where a version and its model have the same label; or "model"
        self.reluctance = 0  # refusals of DeleteModel after an undeployment
        self.refusals = 0  # of DeleteModel, still to come
        self.page = 2  # resources in a page of a list
        self.sleepers: dict[str, str] = {}  # deployed models that scale to zero, and after how long
        self.asleep = 0  # requests that are lost until a node has started
        self.monitors_hold = False  # an endpoint with a monitoring job keeps its deployed models
        self.prepared = {"churn"}  # by Terraform, beside the bucket: registry, accounts, workload identity
        self.denied: set[str] = set()  # the caller's missing permissions
        self.disabled: set[str] = set()  # APIs, by their names
        self.exhausted: set[str] = set()  # machine types without machines
        self.images = {"tf-serving:2.20.0", "training:latest"}  # in the project's own repository
        self.scarce: set[str] = set()  # machine types that the region lacks for the time being
        self.wrong: set[str] = set()  # deployed models with wrong answers
        self.violations: list[str] = []  # times when an endpoint lost its serving model
        self.requests = itertools.count()
        self.numbers = itertools.count(1)

    # -- operations

    def operate(self, parent: str, effect: Callable[[], Any]) -> operations_pb2.Operation:
        """Start a long-running operation; its effect appears when it is done."""
        name = f"{parent}/operations/{next(self.numbers)}"
        self.operations[name] = operations_pb2.Operation(name=name)
        self.effects[name] = (self.lag, effect)
        return self.advance(name, 0)

    def advance(self, name: str, polls: int = 1) -> operations_pb2.Operation:
        operation = self.operations[name]
        if name in self.effects:
            remaining, effect = self.effects[name]
            self.effects[name] = (remaining - polls, effect)
            if remaining - polls <= 0:
                del self.effects[name]
                operation.done = True
                try:
                    answer = effect()
                    operation.response.Pack(type(answer).pb(answer) if hasattr(answer, "_pb") else answer)
                except RefusalError as refused:
                    code = {"RESOURCE_EXHAUSTED": 8, "FAILED_PRECONDITION": 9, "INTERNAL": 13}[refused.status]
                    operation.error.CopyFrom(status_pb2.Status(code=code, message=str(refused)))
        return operation

    def pass_time(self, prefix: str) -> None:
        """Advance all operations below a name, as if somebody had polled them."""
        for name in [name for name in self.effects if name.startswith(prefix)]:
            self.advance(name)

    def is_busy(self, name: str) -> bool:
        """Whether an operation on the resource is running."""
        return any(other.startswith(f"{name}/operations/") for other in self.effects)

    def get_operation(self, name: str) -> operations_pb2.Operation:
        if name not in self.operations:
            raise not_found(name)
        return self.advance(name)

    def list_operations(self, parent: str) -> operations_pb2.ListOperationsResponse:
        names = [name for name in self.operations if name.startswith(f"{parent}/operations/")]
        return operations_pb2.ListOperationsResponse(operations=[self.operations[name] for name in names])

    def refuse_if_busy(self, name: str) -> None:
        if self.is_busy(name):
            raise precondition(f"Another operation is running on {name}.")

    @property
    def datasets(self) -> dict[str, dict[str, Any]]:
        """BigQuery's, by project.dataset."""
        return self.warehouse.datasets

    @datasets.setter
    def datasets(self, value: dict[str, dict[str, Any]]) -> None:
        self.warehouse.datasets = value

    # -- models

    def UploadModel(self, request: t.UploadModelRequest) -> operations_pb2.Operation:
        model = t.Model(request.model)
        if not re.fullmatch(r"([a-z_][a-z0-9_-]{0,62})?", request.model_id):
            raise invalid(f"Invalid model_id {request.model_id!r}")
        check_labels(model.labels)
        image = model.container_spec.image_uri
        if not image:
            raise invalid("Model.container_spec.image_uri is required.")
        if refusal := serving.image_refusal(image, self.today):
            raise invalid(refusal)
        if request.parent_model and request.parent_model not in self.models:
            raise not_found(request.parent_model)
        name = request.parent_model or f"{request.parent}/models/{request.model_id or next(self.numbers)}"
        if not request.parent_model and name in self.models:
            raise exists(name)
        if not self.storage.list(model.artifact_uri):
            raise invalid(f"There are no files under {model.artifact_uri}")

        def effect() -> t.UploadModelResponse:
            versions = self.models.setdefault(name, [])
            number = str(max((int(version.version_id) for version in versions), default=0) + 1)
            model.name, model.version_id = name, number
            model.supported_deployment_resources_types = [t.Model.DeploymentResourcesType.DEDICATED_RESOURCES]
            model.create_time = model.version_create_time = self.now()
            model.version_aliases = [*model.version_aliases, *(["default"] if number == "1" else [])]
            versions.append(model)
            return t.UploadModelResponse(model=name, model_version_id=number)

        return self.operate(name, effect)

    def GetModel(self, request: t.GetModelRequest) -> t.Model:
        return self.version(request.name)

    def version(self, name: str) -> t.Model:
        """A version by `model`, `model@3` or `model@alias`."""
        base, _, wanted = name.partition("@")
        wanted = wanted or "default"
        for model in self.models.get(base, []):
            if wanted == model.version_id or wanted in model.version_aliases:
                return model
        raise not_found(name)

    def ListModels(self, request: t.ListModelsRequest) -> t.ListModelsResponse:
        models = [v[-1] for name, v in self.models.items() if name.startswith(request.parent + "/")]
        return t.ListModelsResponse(models=[m for m in models if matches(m, request.filter)])

    def ListModelVersions(self, request: t.ListModelVersionsRequest) -> t.ListModelVersionsResponse:
        if request.name not in self.models:
            raise not_found(request.name)
        versions = [self.with_merged_labels(m) for m in self.models[request.name]]
        return t.ListModelVersionsResponse(models=[m for m in versions if matches(m, request.filter)])

    def with_merged_labels(self, version: t.Model) -> t.Model:
        """A version as the service returns it: with the model's labels, which are those of the first one."""
        merged, model = t.Model(version), dict(self.models[version.name][0].labels)
        own = dict(version.labels)
        merged.labels = model | own if self.labels_win == "version" else own | model
        return merged

    def DeleteModelVersion(self, request: t.DeleteModelVersionRequest) -> operations_pb2.Operation:
        version = self.version(request.name)
        if len(self.models[version.name]) == 1:
            raise precondition("The only version of a model can't be deleted; delete the model.")
        self.refuse_if_deployed(version.name, version.version_id)

        def effect() -> Any:
            from google.protobuf.empty_pb2 import Empty

            self.models[version.name].remove(version)
            if version.version_aliases:
                self.models[version.name][-1].version_aliases = version.version_aliases
            return Empty()

        return self.operate(version.name, effect)

    def refuse_if_deployed(self, model: str, number: str | None = None) -> None:
        """Raise `RefusalError` while a version is deployed, and for a while afterwards."""
        for endpoint in self.endpoints.values():
            for deployed in endpoint.deployed_models:
                if deployed.model == model and number in (None, deployed.model_version_id):
                    raise precondition(f"The model is deployed to {endpoint.name}; undeploy it first.")
        if self.refusals:
            self.refusals -= 1
            raise precondition("The model is deployed or being undeployed; undeploy it first.")

    def DeleteModel(self, request: t.DeleteModelRequest) -> operations_pb2.Operation:
        if request.name not in self.models:
            raise not_found(request.name)
        self.refuse_if_deployed(request.name)
        self.refuse_if_busy(request.name)
        return self.operate(request.name, lambda: self.remove(self.models, request.name))

    # -- endpoints

    def CreateEndpoint(self, request: t.CreateEndpointRequest) -> operations_pb2.Operation:
        endpoint = t.Endpoint(request.endpoint)
        if not re.fullmatch(r"([a-z]([a-z0-9-]{0,61}[a-z0-9])?|[1-9][0-9]{0,8})?", request.endpoint_id):
            raise invalid(f"Invalid endpoint_id {request.endpoint_id!r}")
        check_labels(endpoint.labels)
        if endpoint.deployed_models or endpoint.traffic_split:
            raise invalid("deployed_models is output only.")
        name = f"{request.parent}/endpoints/{request.endpoint_id or next(self.numbers)}"
        if name in self.endpoints:
            raise exists(name)
        table = endpoint.predict_request_response_logging_config.bigquery_destination.output_uri
        if table and table.removeprefix("bq://").rpartition(".")[0] not in self.datasets:
            raise invalid(f"The BigQuery dataset of {table} does not exist.")

        def effect() -> t.Endpoint:
            if name in self.endpoints:
                raise precondition(f"{name} exists")
            endpoint.name, endpoint.create_time = name, self.now()
            if endpoint.dedicated_endpoint_enabled:
                endpoint.dedicated_endpoint_dns = self.storage.address
            self.endpoints[name] = endpoint
            return endpoint

        return self.operate(name, effect)

    def GetEndpoint(self, request: t.GetEndpointRequest) -> t.Endpoint:
        return self.endpoint(request.name)

    def endpoint(self, name: str) -> t.Endpoint:
        if name not in self.endpoints:
            raise not_found(name)
        return self.endpoints[name]

    def ListEndpoints(self, request: t.ListEndpointsRequest) -> t.ListEndpointsResponse:
        endpoints = [e for name, e in self.endpoints.items() if name.startswith(request.parent + "/")]
        return t.ListEndpointsResponse(endpoints=[e for e in endpoints if matches(e, request.filter)])

    def DeployModel(self, request: t.DeployModelRequest) -> operations_pb2.Operation:
        endpoint, deployed = self.endpoint(request.endpoint), t.DeployedModel(request.deployed_model)
        model = self.version(deployed.model)
        deployed.model, deployed.model_version_id = model.name, model.version_id
        resources = deployed.dedicated_resources
        if not resources.machine_spec.machine_type:
            raise invalid("dedicated_resources.machine_spec.machine_type is required.")
        if resources.max_replica_count and resources.max_replica_count < resources.min_replica_count:
            raise invalid("max_replica_count must be at least min_replica_count.")
        if deployed.id and not re.fullmatch("[1-9][0-9]{0,9}", deployed.id):
            raise invalid(f"Invalid deployed model id {deployed.id!r}")
        if refusal := serving.image_refusal(model.container_spec.image_uri, self.today):
            raise precondition(refusal)
        if deployed.id in self.sleepers:
            resources.min_replica_count = 0
        deployed.id = deployed.id or str(next(self.numbers) + 10**9)
        deployed.display_name = deployed.display_name or model.display_name
        self.refuse_if_busy(endpoint.name)
        for other in endpoint.deployed_models:
            if other.id == deployed.id:
                raise exists(f"{endpoint.name}, deployed model {deployed.id}")
            if (other.model, other.model_version_id) == (model.name, model.version_id):
                raise precondition(
                    f"Version {model.version_id} of the model is deployed to this endpoint already."
                )
        split = {deployed.id if key == "0" else key: share for key, share in request.traffic_split.items()}
        split = split or ({} if endpoint.deployed_models else {deployed.id: 100})
        if split:
            check_split(split, {d.id for d in endpoint.deployed_models} | {deployed.id})

        def effect() -> t.DeployModelResponse:
            if resources.machine_spec.machine_type in self.exhausted:
                raise RefusalError(
                    429, "RESOURCE_EXHAUSTED", "The following quotas are exceeded: CustomModelServingCPUs"
                )
            if resources.machine_spec.machine_type in self.scarce:
                text = "Machine type temporarily unavailable, please use a different one or retry."
                raise RefusalError(429, "RESOURCE_EXHAUSTED", text)
            artifacts = self.storage.fetch(model.artifact_uri)
            if serving.is_ours(model.container_spec.image_uri):
                serving.start_ours(model.container_spec, artifacts)
            direct = serving.AVAILABLE_UNTIL.keys() & tag(model) or serving.is_ours(
                model.container_spec.image_uri
            )
            root = artifacts if direct else artifacts / "1"
            if not (root / "saved_model.pb").is_file():
                raise precondition(
                    "Model server exited unexpectedly: no saved_model.pb where it looks for one."
                )
            deployed.create_time = self.now()
            endpoint.deployed_models.append(deployed)
            if split:
                self.set_split(endpoint, split)
            return t.DeployModelResponse(deployed_model=deployed)

        return self.operate(endpoint.name, effect)

    def read_preview(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """A DeployModel of v1beta1 as one of v1; scaling to zero is remembered by the model's id."""
        from google.cloud.aiplatform_v1beta1 import types as preview

        try:
            json_format.ParseDict(body, preview.DeployModelRequest.pb(preview.DeployModelRequest()))
        except json_format.ParseError as error:
            raise invalid(f"Invalid JSON payload received. {error}") from None
        deployed = body["deployedModel"]
        resources = deployed["dedicatedResources"]
        resources.pop("initialReplicaCount", None)
        if spec := resources.pop("scaleToZeroSpec", None):
            if not self.endpoint(path.removeprefix("/v1/").partition(":")[0]).dedicated_endpoint_enabled:
                raise invalid("Only a dedicated endpoint scales to zero.")
            if not 300 <= int(spec["idleScaledownPeriod"].rstrip("s")) <= 28800:
                raise invalid("idle_scaledown_period must be from 5 minutes to 8 hours.")
            if resources.get("minReplicaCount"):
                raise invalid("min_replica_count must be 0 with a scale_to_zero_spec.")
            self.sleepers[deployed["id"]] = spec["idleScaledownPeriod"]
            resources["minReplicaCount"] = 1
        return body

    def show_preview(self, endpoints: list[dict[str, Any]]) -> None:
        """Endpoints as v1beta1 shows them: with the time after which a model scales to zero."""
        for model in (model for endpoint in endpoints for model in endpoint.get("deployedModels", ())):
            if period := self.sleepers.get(model["id"]):
                model["dedicatedResources"]["scaleToZeroSpec"] = {"idleScaledownPeriod": period}

    def UndeployModel(self, request: t.UndeployModelRequest) -> operations_pb2.Operation:
        endpoint = self.endpoint(request.endpoint)
        self.refuse_if_busy(endpoint.name)
        if self.monitors_hold and any(job.endpoint == endpoint.name for job in self.monitors.values()):
            raise precondition("The endpoint has a monitoring job; delete it first.")
        others = [d for d in endpoint.deployed_models if d.id != request.deployed_model_id]
        if len(others) == len(endpoint.deployed_models):
            raise not_found(f"{endpoint.name}, deployed model {request.deployed_model_id}")
        split = dict(request.traffic_split) or {
            key: share for key, share in endpoint.traffic_split.items() if key != request.deployed_model_id
        }
        if others and sum(split.values()):
            check_split(split, {d.id for d in others})
        elif others and endpoint.traffic_split[request.deployed_model_id]:
            raise invalid("The traffic of the other deployed models must add up to 100.")

        def effect() -> t.UndeployModelResponse:
            if others and endpoint.traffic_split[request.deployed_model_id] == 100:
                self.violations.append(
                    f"{request.deployed_model_id} was undeployed while it took all traffic"
                )
            endpoint.deployed_models = others
            endpoint.traffic_split = split if others else {}
            self.refusals = self.reluctance
            return t.UndeployModelResponse()

        return self.operate(endpoint.name, effect)

    def MutateDeployedModel(self, request: t.MutateDeployedModelRequest) -> operations_pb2.Operation:
        endpoint = self.endpoint(request.endpoint)
        self.refuse_if_busy(endpoint.name)
        deployed = [d for d in endpoint.deployed_models if d.id == request.deployed_model.id]
        if not deployed:
            raise not_found(f"{endpoint.name}, deployed model {request.deployed_model.id}")
        fields = [path.removeprefix("dedicated_resources.") for path in request.update_mask.paths]
        if fixed := set(fields) - {"min_replica_count", "max_replica_count"}:
            raise invalid(f"{fixed} can't be mutated.")
        wanted = request.deployed_model.dedicated_resources
        if not 1 <= wanted.min_replica_count <= wanted.max_replica_count:
            raise invalid("max_replica_count must be at least min_replica_count.")

        def effect() -> t.MutateDeployedModelResponse:
            for field in fields:
                setattr(deployed[0].dedicated_resources, field, getattr(wanted, field))
            return t.MutateDeployedModelResponse(deployed_model=deployed[0])

        return self.operate(endpoint.name, effect)

    def UpdateEndpoint(self, request: t.UpdateEndpointRequest) -> t.Endpoint:
        endpoint = self.endpoint(request.endpoint.name)
        self.refuse_if_busy(endpoint.name)
        if not request.update_mask.paths:
            raise invalid("update_mask is required.")
        for path in request.update_mask.paths:
            if path not in ("display_name", "description", "labels", "traffic_split"):
                raise invalid(f"{path} can't be updated.")
            if path == "traffic_split":
                if request.endpoint.traffic_split:  # an empty one: no traffic is accepted
                    check_split(request.endpoint.traffic_split, {d.id for d in endpoint.deployed_models})
                self.set_split(endpoint, dict(request.endpoint.traffic_split))
            else:
                setattr(endpoint, path, getattr(request.endpoint, path))
        return endpoint

    def set_split(self, endpoint: t.Endpoint, split: dict[str, int]) -> None:
        if sum(endpoint.traffic_split.values()) == 100 and sum(split.values()) != 100:
            self.violations.append(f"{endpoint.name} lost its traffic: {split}")
        endpoint.traffic_split = split

    def DeleteEndpoint(self, request: t.DeleteEndpointRequest) -> operations_pb2.Operation:
        endpoint = self.endpoint(request.name)
        self.refuse_if_busy(endpoint.name)
        if endpoint.deployed_models:
            raise precondition("The endpoint has deployed models; undeploy them first.")
        if any(job.endpoint == request.name for job in self.monitors.values()):
            raise precondition("The endpoint has a monitoring job; delete it first.")
        return self.operate(request.name, lambda: self.remove(self.endpoints, request.name))

    def Predict(self, request: t.PredictRequest) -> t.PredictResponse:
        endpoint = self.endpoint(request.endpoint)
        if not endpoint.traffic_split:
            raise precondition("The endpoint has no deployed model.")
        if self.asleep:
            self.asleep -= 1
            raise RefusalError(429, "RESOURCE_EXHAUSTED", "The model is scaled to zero.")
        shares = sorted(endpoint.traffic_split.items())
        ids = [model_id for model_id, share in shares for _ in range(share)]
        chosen = ids[next(self.requests) * 37 % 100]  # 37: the shares hold in any sequence of requests
        deployed = next(d for d in endpoint.deployed_models if d.id == chosen)
        model = self.version(f"{deployed.model}@{deployed.model_version_id}")
        instances = [json_format.MessageToDict(value) for value in type(request).pb(request).instances]
        rows = self.answer(model, instances)
        if deployed.id in self.wrong:
            rows = [row | {"churn_probability": row["churn_probability"] / 2} for row in rows]
        response = t.PredictResponse(
            deployed_model_id=chosen, model=model.name, model_version_id=model.version_id
        )
        for row in rows:
            json_format.ParseDict(row, t.PredictResponse.pb(response).predictions.add())
        return response

    def answer(self, model: t.Model, instances: list[Any]) -> list[dict[str, Any]]:
        artifacts = self.storage.fetch(model.artifact_uri)
        root = artifacts if (artifacts / "saved_model.pb").is_file() else artifacts / "1"
        if serving.is_ours(model.container_spec.image_uri):
            return serving.load_ours(root)(instances)
        return serving.load(root)(instances)

    # -- monitoring

    def CreateModelDeploymentMonitoringJob(self, request: Any) -> t.ModelDeploymentMonitoringJob:
        job = t.ModelDeploymentMonitoringJob(request.model_deployment_monitoring_job)
        check_labels(job.labels)
        endpoint = self.endpoint(job.endpoint)
        if any(other.endpoint == job.endpoint for other in self.monitors.values()):
            raise precondition("The endpoint has a monitoring job already.")
        self.check_objectives(job, endpoint)
        for uri in (job.analysis_instance_schema_uri, job.predict_instance_schema_uri):
            if uri and not self.storage.list(uri):
                raise invalid(f"{uri} does not exist.")
        job.name = f"{request.parent}/modelDeploymentMonitoringJobs/{next(self.numbers)}"
        job.state, job.create_time = JobState.JOB_STATE_PENDING, self.now()
        self.monitors[job.name] = job
        self.look(job)
        self.make_tables(job)
        return job

    def make_tables(self, job: t.ModelDeploymentMonitoringJob) -> None:
        """What a monitoring job makes by itself: a table, and files of statistics; none has a label."""
        endpoint = job.endpoint.rpartition("/")[2].replace("-", "_")
        name = f"p.model_deployment_monitoring_{endpoint}.serving_predict"
        self.warehouse.write(name, pa.table({"instance": ["{}"]}))
        job.bigquery_tables = [{"bigquery_table_path": f"bq://{name}"}]
        if folder := job.stats_anomalies_base_directory.output_uri_prefix:
            self.storage.write(f"{folder.rstrip('/')}/stats", b"1")

    def look(self, job: t.ModelDeploymentMonitoringJob) -> None:
        """Time passes for a PENDING job whenever somebody looks at it."""
        looks = self.looks[job.name] = self.looks.get(job.name, 0) + 1
        if job.state == JobState.JOB_STATE_PENDING and 0 <= self.pending < looks:
            job.state = JobState.JOB_STATE_RUNNING

    def refuse_if_pending(self, name: str) -> None:
        job = self.monitors[name]
        self.look(job)
        if job.state == JobState.JOB_STATE_PENDING:
            raise precondition("The monitoring job is PENDING; try again when it is RUNNING.")

    def check_objectives(self, job: t.ModelDeploymentMonitoringJob, endpoint: t.Endpoint) -> None:
        deployed = {d.id for d in endpoint.deployed_models}
        for objective in job.model_deployment_monitoring_objective_configs:
            if objective.deployed_model_id not in deployed:
                raise invalid(f"There is no deployed model {objective.deployed_model_id}.")
            config = objective.objective_config
            skew = config.training_prediction_skew_detection_config
            if skew.skew_thresholds and not config.training_dataset.target_field:
                raise invalid("Skew detection needs a training_dataset with a target_field.")

    def GetModelDeploymentMonitoringJob(self, request: Any) -> t.ModelDeploymentMonitoringJob:
        if request.name not in self.monitors:
            raise not_found(request.name)
        self.look(self.monitors[request.name])
        return self.monitors[request.name]

    def ListModelDeploymentMonitoringJobs(self, request: Any) -> Any:
        jobs = [
            j
            for n, j in self.monitors.items()
            if n.startswith(request.parent + "/") and matches(j, request.filter)
        ]
        for job in jobs:
            self.look(job)
        return t.ListModelDeploymentMonitoringJobsResponse(model_deployment_monitoring_jobs=jobs)

    def UpdateModelDeploymentMonitoringJob(self, request: Any) -> operations_pb2.Operation:
        update = request.model_deployment_monitoring_job
        if update.name not in self.monitors:
            raise not_found(update.name)
        self.refuse_if_pending(update.name)
        job = self.monitors[update.name]
        self.check_objectives(update, self.endpoint(job.endpoint))

        def effect() -> t.ModelDeploymentMonitoringJob:
            for path in request.update_mask.paths:
                setattr(job, path, getattr(update, path))
            return job

        return self.operate(job.name, effect)

    def PauseModelDeploymentMonitoringJob(self, request: Any) -> None:
        if request.name not in self.monitors:
            raise not_found(request.name)
        self.refuse_if_pending(request.name)
        self.monitors[request.name].state = JobState.JOB_STATE_PAUSED

    def DeleteModelDeploymentMonitoringJob(self, request: Any) -> operations_pb2.Operation:
        if request.name not in self.monitors:
            raise not_found(request.name)
        if self.monitors[request.name].state != JobState.JOB_STATE_PAUSED:
            raise precondition("The monitoring job is running; pause it first.")
        if self.is_busy(request.name):
            raise precondition("Another operation is running on this monitoring job.")
        return self.operate(request.name, lambda: self.remove(self.monitors, request.name))

    # -- projects

    def TestIamPermissions(self, request: Any) -> Any:
        from google.iam.v1.iam_policy_pb2 import TestIamPermissionsResponse

        if request.resource != "projects/p":
            raise RefusalError(403, "PERMISSION_DENIED", "The caller does not have permission")
        return TestIamPermissionsResponse(permissions=granted(request.permissions, self.denied))

    # -- helpers

    def now(self) -> timestamp_pb2.Timestamp:
        """Noon of the service's date."""
        stamp = timestamp_pb2.Timestamp()
        stamp.FromJsonString(f"{self.today}T12:00:00Z")
        return stamp

    def remove(self, resources: dict[str, Any], name: str) -> Any:
        from google.protobuf.empty_pb2 import Empty

        del resources[name]
        return Empty()


def tag(model: t.Model) -> set[str]:
    return {model.container_spec.image_uri.rpartition("/")[2].partition(":")[0]}


def check_labels(labels: Any) -> None:
    for key, value in labels.items():
        if not re.fullmatch("[a-z][a-z0-9_-]{0,62}", key) or not re.fullmatch("[a-z0-9_-]{0,63}", value):
            raise invalid(f"Invalid label {key}={value}")


def check_split(split: Any, deployed: set[str]) -> None:
    if unknown := set(split) - deployed:
        raise invalid(f"Traffic for models that are not deployed: {sorted(unknown)}")
    if sum(split.values()) != 100 or min(split.values()) < 0:
        raise invalid(f"The traffic split must add up to 100: {dict(split)}")


def matches(resource: Any, expression: str) -> bool:
    """Whether a resource satisfies `labels.key=value` and `display_name="x"` joined by AND."""
    for term in filter(None, expression.split(" AND ")):
        key, _, value = term.partition("=")
        value = value.strip('"')
        if key.startswith("labels.") and hasattr(resource, "labels"):
            if resource.labels.get(key.removeprefix("labels.")) != value:
                return False
        elif key in ("display_name", "endpoint"):
            if getattr(resource, key) != value:
                return False
        else:
            raise invalid(f"Unknown filter {term!r}")
    return True
