"""Counting on many workers, by Apache Beam; options of its runners."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions, TestOptions
from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
from pyarrow import fs

from churn.config.root import Config
from churn.config.serving import BeamRunner
from churn.data.stream.counts import Counts
from churn.data.stream.rows import Stream
from churn.errors import UserError


class _SumCounts(beam.CombineFn):
    """The counts of all row groups; the order in which workers finish does not matter."""

    def create_accumulator(self) -> Counts | None:
        """Nothing yet."""
        return None

    def add_input(self, mutable_accumulator: Counts | None, element: Counts) -> Counts:
        """One row group more."""
        return element if mutable_accumulator is None else mutable_accumulator + element

    def merge_accumulators(self, accumulators: Iterable[Counts | None]) -> Counts | None:
        """What several workers counted."""
        merged = None
        for part in accumulators:
            merged = merged if part is None else self.add_input(merged, part)
        return merged

    def extract_output(self, accumulator: Counts | None) -> Counts | None:
        """The sum."""
        return accumulator


def count_with_beam(stream: Stream, cfg: Config) -> Counts:
    """The same as `Stream.count`, by workers on this machine."""
    with tempfile.TemporaryDirectory(prefix="churn-") as folder:
        file = f"{folder}/counts"

        def keep(counts: Counts) -> None:
            Path(file).write_bytes(pickle.dumps(counts))

        with beam.Pipeline(options=pipeline_options(cfg)) as pipeline:
            groups = pipeline | beam.Create(stream.groups) | beam.Reshuffle()
            _ = groups | beam.Map(stream.count_of) | beam.CombineGlobally(_SumCounts()) | beam.Map(keep)
        return pickle.loads(Path(file).read_bytes())


def locate(path: str) -> tuple[fs.FileSystem, str]:
    """A folder and its file system."""
    return (
        fs.FileSystem.from_uri(path) if "://" in path else (fs.LocalFileSystem(), str(Path(path).resolve()))
    )


def pipeline_options(cfg: Config) -> PipelineOptions:
    """What the runner is told; raises `UserError` where Dataflow lacks or would refuse something."""
    asked, place = cfg.beam, cfg.deploy
    if asked.runner is not BeamRunner.dataflow:
        mode = "multi_processing" if asked.workers > 1 else "in_memory"
        told: dict[str, Any] = {"direct_num_workers": asked.workers, "direct_running_mode": mode}
        return PipelineOptions(flags=[], runner="DirectRunner", **told)
    needed = {"deploy.project": place.project, "deploy.bucket": place.bucket, "beam.image": asked.image}
    if absent := [key for key, value in needed.items() if not value]:
        raise UserError(
            "Dataflow cannot start", ", ".join(absent), "name them; beam.image holds churn itself"
        )
    if not (str(cfg.input).startswith("gs://") and str(cfg.output).startswith("gs://")):
        raise UserError("Dataflow's workers see gs:// only", "input, output", "name places there")
    bucket = str(place.bucket).removeprefix("gs://")
    told_dataflow = PipelineOptions(
        flags=[],
        runner="DataflowRunner",
        project=place.project,
        region=place.region,
        temp_location=f"gs://{bucket}/beam/temp",
        staging_location=f"gs://{bucket}/beam/staging",
        max_num_workers=asked.workers,
        machine_type=asked.machine_type,
        service_account_email=place.service_account,
        dataflow_kms_key=place.kms_key,
        sdk_container_image=asked.image,
        save_main_session=False,
    )
    if errors := _validation_errors(told_dataflow):
        raise UserError(f"Beam refuses the options: {' '.join(errors)}", "deploy.*, beam.*")
    return told_dataflow


def _validation_errors(told: PipelineOptions) -> list[str]:
    """What Beam's own validator says against options for Dataflow, without asking Google anything."""
    from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner

    validator = PipelineOptionsValidator(told, DataflowRunner())
    if errors := validator.validate_gcs_path(told.view_as(GoogleCloudOptions), "temp_location"):
        return errors
    told.view_as(TestOptions).dry_run = True
    errors = validator.validate()
    told.view_as(TestOptions).dry_run = False
    return errors
