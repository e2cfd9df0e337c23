# ruff: noqa: N802  methods have the names of the API's
"""Batch prediction and custom jobs of the double: checked when created, run when first read."""

import hashlib
import json
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
from google.cloud.aiplatform_v1 import types as t
from google.longrunning import operations_pb2

from doubles import serving
from doubles.bindings import RefusalError, invalid
from doubles.sql import Warehouse

JobState = t.JobState
DONE = (JobState.JOB_STATE_SUCCEEDED, JobState.JOB_STATE_FAILED, JobState.JOB_STATE_CANCELLED)


class Jobs:
    """The part of `doubles.service.Service` with the jobs."""

    def __init__(self) -> None:
        self.jobs: dict[str, Any] = {}
        self.environment: dict[str, str] | None = None  # of the containers of custom jobs
        self.warehouse = Warehouse()  # BigQuery
        self.warehouse.predict = self.predict_rows

    def new_job(self, job: Any, parent: str, collection: str) -> Any:
        from doubles.service import check_labels

        check_labels(job.labels)
        job.name = f"{parent}/{collection}/{next(self.numbers)}"
        job.state, job.create_time = JobState.JOB_STATE_PENDING, self.now()
        self.jobs[job.name] = job
        return job

    def job(self, name: str) -> Any:
        from doubles.service import not_found

        if name not in self.jobs:
            raise not_found(name)
        return self.jobs[name]

    def finish(self, name: str) -> Any:
        """The job in a final state; a pending one is run first."""
        job = self.job(name)
        if job.state == JobState.JOB_STATE_CANCELLING:
            job.state = JobState.JOB_STATE_CANCELLED
        if job.state not in DONE:
            try:
                self.run_batch(job) if "/batchPredictionJobs/" in name else self.run_custom(job)
                job.state = JobState.JOB_STATE_SUCCEEDED
            except RefusalError as refused:
                job.state, job.error = JobState.JOB_STATE_FAILED, {"code": 3, "message": str(refused)}
        return job

    def list_jobs(self, request: Any, collection: str) -> list[Any]:
        from doubles.service import matches

        prefix = f"{request.parent}/{collection}/"
        self.pass_time(prefix)
        return [j for n, j in self.jobs.items() if n.startswith(prefix) and matches(j, request.filter)]

    def cancel(self, name: str) -> None:
        job = self.job(name)
        if job.state not in DONE:
            job.state = JobState.JOB_STATE_CANCELLING

    def delete(self, name: str) -> operations_pb2.Operation:
        from doubles.service import not_found, precondition

        if self.job(name).state not in DONE:
            raise precondition("The job is running; cancel it first.")
        if self.is_busy(name):
            raise not_found(name)
        return self.operate(name, lambda: self.remove(self.jobs, name))

    # -- batch prediction

    def CreateBatchPredictionJob(self, request: t.CreateBatchPredictionJobRequest) -> t.BatchPredictionJob:
        job = t.BatchPredictionJob(request.batch_prediction_job)
        model = self.version(job.model)
        if refusal := serving.image_refusal(model.container_spec.image_uri, self.today):
            raise invalid(refusal)
        source, output, instances = job.input_config, job.output_config, job.instance_config
        if not job.dedicated_resources.machine_spec.machine_type:
            raise invalid("dedicated_resources.machine_spec.machine_type is required.")
        for format, chosen in (
            (source.instances_format, source._pb.WhichOneof("source")),
            (output.predictions_format, output._pb.WhichOneof("destination")),
        ):
            if format not in ("jsonl", "bigquery"):
                raise invalid(f"Unsupported format {format!r}")
            if (format == "bigquery") != (chosen or "").startswith("bigquery"):
                raise invalid(f"The format {format} does not go with {chosen}")
        if instances.instance_type not in ("", "object", "array"):
            raise invalid(f"Unsupported instance_type {instances.instance_type!r}")
        if instances.included_fields and instances.excluded_fields:
            raise invalid("included_fields and excluded_fields exclude each other.")
        for uri in source.gcs_source.uris:
            if not self.storage.list(uri):
                raise invalid(f"{uri} does not exist.")
        if (table := output.bigquery_destination.output_uri.removeprefix("bq://")).count("."):
            self.warehouse.check_dataset(f"{table}.predictions")
        return self.new_job(job, request.parent, "batchPredictionJobs")

    def GetBatchPredictionJob(self, request: Any) -> t.BatchPredictionJob:
        return self.finish(request.name)

    def ListBatchPredictionJobs(self, request: Any) -> t.ListBatchPredictionJobsResponse:
        jobs = self.list_jobs(request, "batchPredictionJobs")
        return t.ListBatchPredictionJobsResponse(batch_prediction_jobs=jobs)

    def CancelBatchPredictionJob(self, request: Any) -> None:
        self.cancel(request.name)

    def DeleteBatchPredictionJob(self, request: Any) -> operations_pb2.Operation:
        return self.delete(request.name)

    def run_batch(self, job: t.BatchPredictionJob) -> None:
        config, from_table = job.instance_config, job.input_config.instances_format == "bigquery"
        rows = self.table(job.input_config.bigquery_source.input_uri) if from_table else self.lines(job)
        hidden = {config.key_field, *config.excluded_fields}
        visible = [{name: value for name, value in row.items() if name not in hidden} for row in rows]
        if config.instance_type == "array" or (from_table and config.instance_type == ""):
            visible = [list(row.values()) for row in visible]
        answers = self.answer(self.version(job.model), visible)
        keys = [{"key": row[config.key_field]} if config.key_field else {"instance": row} for row in rows]
        results = [key | {"prediction": answer} for key, answer in zip(keys, answers, strict=True)]
        number = f"{job.name.rpartition('/')[2]}"
        if job.output_config.predictions_format == "jsonl":
            directory = job.output_config.gcs_destination.output_uri_prefix.rstrip("/")
            directory += f"/prediction-{self.version(job.model).display_name}-{number}"
            content = "".join(json.dumps(result) + "\n" for result in results)
            self.storage.write(f"{directory}/prediction.results-00000-of-00001", content.encode())
            job.output_info.gcs_output_directory = directory
            return
        dataset = job.output_config.bigquery_destination.output_uri.removeprefix("bq://")
        table = f"predictions_{number}"
        cells = [{n: json.dumps(v) if isinstance(v, dict) else v for n, v in r.items()} for r in results]
        self.warehouse.write(f"{dataset}.{table}", pa.Table.from_pylist(cells))
        job.output_info.bigquery_output_dataset = f"bq://{dataset}"
        job.output_info.bigquery_output_table = table

    def lines(self, job: t.BatchPredictionJob) -> list[Any]:
        files = (self.storage.read(uri) for uri in job.input_config.gcs_source.uris)
        return [json.loads(line) for content in files for line in content.splitlines()]

    def table(self, uri: str) -> list[dict[str, Any]]:
        return self.warehouse.read(uri.removeprefix("bq://")).to_pylist()

    def predict_rows(self, uri: str, rows: list[Any]) -> list[dict[str, Any]]:
        """Answers of the SavedModel at an address, for ML.PREDICT."""
        model = serving.load(self.storage.fetch(uri))
        return model([{name: row[name] for name in model.inputs if name in row} for row in rows])

    def describe_table(self, project: str, dataset: str, name: str) -> dict[str, Any]:
        """BigQuery's description of a table; the time of change depends on its content."""
        key = f"{project}.{dataset}.{name}"
        rows = self.table(key)
        return {
            "tableReference": {"projectId": project, "datasetId": dataset, "tableId": name},
            "type": "TABLE",
            "lastModifiedTime": str(int(hashlib.sha256(repr(rows).encode()).hexdigest()[:10], 16)),
            "schema": {"fields": self.warehouse.schema(key)},
            "labels": self.warehouse.labels.get(key, {}),
            "location": self.warehouse.datasets[f"{project}.{dataset}"].get("location", "us-central1"),
            "numBytes": str(self.warehouse.read(key).nbytes),
        }

    # -- custom jobs

    def CreateCustomJob(self, request: t.CreateCustomJobRequest) -> t.CustomJob:
        job = t.CustomJob(request.custom_job)
        for pool in job.job_spec.worker_pool_specs:
            if pool._pb.WhichOneof("task") is None:
                raise invalid("A worker pool needs a container_spec or a python_package_spec.")
            if not pool.machine_spec.machine_type or pool.replica_count < 1:
                raise invalid("A worker pool needs a machine_type and a replica_count.")
            if "/vertex-ai/training/" in pool.container_spec.image_uri:
                raise invalid(f"The image {pool.container_spec.image_uri} is no longer available.")
        return self.new_job(job, request.parent, "customJobs")

    def GetCustomJob(self, request: Any) -> t.CustomJob:
        return self.finish(request.name)

    def ListCustomJobs(self, request: Any) -> t.ListCustomJobsResponse:
        return t.ListCustomJobsResponse(custom_jobs=self.list_jobs(request, "customJobs"))

    def CancelCustomJob(self, request: Any) -> None:
        self.cancel(request.name)

    def DeleteCustomJob(self, request: Any) -> operations_pb2.Operation:
        return self.delete(request.name)

    def run_custom(self, job: t.CustomJob) -> None:
        """Run the container's command on this machine; a directory stands for /gcs."""
        container = job.job_spec.worker_pool_specs[0].container_spec
        with tempfile.TemporaryDirectory() as root:
            inputs = {
                name: Path(root) / "gcs" / "bucket" / name
                for name in self.storage.list("gs://bucket/")
                if not name.endswith("/")
            }
            for name, file in inputs.items():
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(self.storage.read(f"gs://bucket/{name}"))
            words = (*container.command, *container.args)
            command = [re.sub("/(gcs|tmp)/", rf"{root}/\1/", word) for word in words]
            (Path(root) / "gcs" / "bucket").mkdir(parents=True, exist_ok=True)
            done = subprocess.run(
                command, cwd=root, env=self.environment, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise invalid(f"The replica exited with status {done.returncode}. {done.stderr}")
            self.copy_changes(Path(root) / "gcs" / "bucket", inputs)

    def copy_changes(self, folder: Path, inputs: dict[str, Path]) -> None:
        """Write new and changed files to the bucket, and delete those that are gone.

        Each new folder is an object, too, whose name ends with "/": so does Cloud Storage FUSE make them
        (its docs/semantics.md). Theirs are empty, which the emulator of the storage cannot be sent.
        """
        for file in (file for file in folder.rglob("*") if file.is_dir()):
            if not any(file in one.parents for one in inputs.values()):
                self.storage.write(f"gs://bucket/{file.relative_to(folder).as_posix()}/", b" ")
        for name in (name for name, file in inputs.items() if not file.is_file()):
            self.storage.delete(f"gs://bucket/{name}")
        for file in (file for file in folder.rglob("*") if file.is_file()):
            name, content = file.relative_to(folder).as_posix(), file.read_bytes()
            if name not in inputs or self.storage.read(f"gs://bucket/{name}") != content:
                self.storage.write(f"gs://bucket/{name}", content)
