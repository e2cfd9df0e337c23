# ruff: noqa: N802  methods have the names of the API's
"""Pipelines and schedules of the double: it checks them as the service does, and runs nothing."""

import re
from typing import Any

from google.cloud.aiplatform_v1 import types as t
from google.longrunning import operations_pb2
from google.protobuf import json_format

from doubles.bindings import RefusalError, invalid

FINISHED = (
    t.PipelineState.PIPELINE_STATE_SUCCEEDED,
    t.PipelineState.PIPELINE_STATE_FAILED,
    t.PipelineState.PIPELINE_STATE_CANCELLED,
)
CRON = re.compile(r"(TZ=\S+ )?" + r" ".join([r"[\d*/,-]+"] * 5))


class Pipelines:
    """The part of `doubles.service.Service` with pipelines and schedules."""

    def __init__(self) -> None:
        self.pipelines: dict[str, t.PipelineJob] = {}
        self.schedules: dict[str, t.Schedule] = {}

    def CreatePipelineJob(self, request: t.CreatePipelineJobRequest) -> t.PipelineJob:
        job = self.copy_checked(request.pipeline_job)
        if not re.fullmatch(r"([a-z][a-z0-9-]{0,127})?", request.pipeline_job_id):
            raise invalid(f"Invalid pipeline_job_id {request.pipeline_job_id!r}")
        name = f"{request.parent}/pipelineJobs/{request.pipeline_job_id or next(self.numbers)}"
        if name in self.pipelines:
            raise RefusalError(409, "ALREADY_EXISTS", f"The resource {name} already exists.")
        job.name, job.create_time, job.state = name, self.now(), t.PipelineState.PIPELINE_STATE_RUNNING
        self.pipelines[name] = job
        return job

    def copy_checked(self, wanted: t.PipelineJob) -> t.PipelineJob:
        """A copy of the job; raises `RefusalError` if it cannot run."""
        from doubles.service import check_labels

        job = t.PipelineJob(wanted)
        check_labels(job.labels)
        spec = json_format.MessageToDict(t.PipelineJob.pb(job).pipeline_spec)
        if not {"deploymentSpec", "root", "schemaVersion"} <= set(spec):
            raise invalid("pipeline_spec is not a pipeline of KFP's version 2.")
        root = job.runtime_config.gcs_output_directory
        bucket = re.match(r"gs://([^/]+)/", root)
        if bucket is None or bucket[1] != "bucket":
            raise invalid(f"runtime_config.gcs_output_directory {root!r} is in no bucket of the project.")
        inputs = spec["root"].get("inputDefinitions", {}).get("parameters", {})
        given = set(job.runtime_config.parameter_values)
        if unknown := given - set(inputs):
            raise invalid(f"Unknown parameters: {sorted(unknown)}")
        needed = {n for n, i in inputs.items() if "defaultValue" not in i and not i.get("isOptional")}
        if absent := needed - given:
            raise invalid(f"Parameters without a value: {sorted(absent)}")
        for executor in spec["deploymentSpec"]["executors"].values():
            image = executor["container"]["image"]
            if not re.match(r"[a-z0-9-]+-docker\.pkg\.dev/", image):
                raise invalid(f"The image {image} can't be pulled.")
        return job

    def GetPipelineJob(self, request: Any) -> t.PipelineJob:
        job = find(self.pipelines, request.name)
        if job.state == t.PipelineState.PIPELINE_STATE_CANCELLING:
            job.state = t.PipelineState.PIPELINE_STATE_CANCELLED
        return job

    def CancelPipelineJob(self, request: Any) -> None:
        job = find(self.pipelines, request.name)
        if job.state not in FINISHED:
            job.state = t.PipelineState.PIPELINE_STATE_CANCELLING

    def DeletePipelineJob(self, request: Any) -> operations_pb2.Operation:
        from doubles.service import not_found, precondition

        if find(self.pipelines, request.name).state not in FINISHED:
            raise precondition("The pipeline job is running; cancel it first.")
        if self.is_busy(request.name):
            raise not_found(request.name)
        return self.operate(request.name, lambda: self.remove(self.pipelines, request.name))

    def ListPipelineJobs(self, request: Any) -> t.ListPipelineJobsResponse:
        from doubles.service import matches

        self.pass_time(f"{request.parent}/pipelineJobs/")
        jobs = [j for n, j in self.pipelines.items() if n.startswith(f"{request.parent}/pipelineJobs/")]
        return t.ListPipelineJobsResponse(pipeline_jobs=[j for j in jobs if matches(j, request.filter)])

    def CreateSchedule(self, request: t.CreateScheduleRequest) -> t.Schedule:
        schedule = t.Schedule(request.schedule)
        if not CRON.fullmatch(schedule.cron):
            raise invalid(f"Invalid cron {schedule.cron!r}")
        if schedule.max_concurrent_run_count < 1:
            raise invalid("max_concurrent_run_count must be at least 1.")
        self.copy_checked(schedule.create_pipeline_job_request.pipeline_job)
        schedule.name = f"{request.parent}/schedules/{next(self.numbers)}"
        schedule.create_time, schedule.state = self.now(), t.Schedule.State.ACTIVE
        self.schedules[schedule.name] = schedule
        return schedule

    def GetSchedule(self, request: Any) -> t.Schedule:
        return find(self.schedules, request.name)

    def ListSchedules(self, request: Any) -> t.ListSchedulesResponse:
        from doubles.service import matches

        self.pass_time(f"{request.parent}/schedules/")
        schedules = [s for n, s in self.schedules.items() if n.startswith(f"{request.parent}/schedules/")]
        return t.ListSchedulesResponse(schedules=[s for s in schedules if matches(s, request.filter)])

    def DeleteSchedule(self, request: Any) -> operations_pb2.Operation:
        from doubles.service import not_found

        find(self.schedules, request.name)
        if self.is_busy(request.name):
            raise not_found(request.name)
        return self.operate(request.name, lambda: self.remove(self.schedules, request.name))


def find(resources: dict[str, Any], name: str) -> Any:
    if name not in resources:
        raise RefusalError(404, "NOT_FOUND", f"The resource {name} does not exist.")
    return resources[name]
