"""Counting on many workers by Apache Beam, and the options of its runners."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions, TestOptions
from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
from pyarrow import fs

from churn.config.root import Config
from churn.config.serving import BeamRunner
from churn.data.stream.counts import Counts, sum_counts
from churn.data.stream.rows import Stream
from churn.errors import UserError
from churn.scratch import scratch_folder


class _SumCounts(beam.CombineFn):
    """The sum of the counts of all row groups, in any order."""

    def create_accumulator(self) -> Counts | None:
        """No counts."""
        return None

    def add_input(self, mutable_accumulator: Counts | None, element: Counts) -> Counts:
        """Add the counts of one row group."""
        return element if mutable_accumulator is None else mutable_accumulator + element

    def merge_accumulators(self, accumulators: Iterable[Counts | None]) -> Counts | None:
        """Add the counts of several workers."""
        counts = [part for part in accumulators if part is not None]
        return sum_counts(counts) if counts else None

    def extract_output(self, accumulator: Counts | None) -> Counts | None:
        """The sum."""
        return accumulator


def count_with_beam(stream: Stream, cfg: Config) -> Counts:
    """The counts of `Stream.count`, by workers on this machine."""
    with scratch_folder() as folder:
        file = folder / "counts"

        def keep(counts: Counts) -> None:
            file.write_bytes(pickle.dumps(counts))

        with beam.Pipeline(options=pipeline_options(cfg)) as pipeline:
            groups = pipeline | beam.Create(stream.groups) | beam.Reshuffle()
            _ = groups | beam.Map(stream.count_of) | beam.CombineGlobally(_SumCounts()) | beam.Map(keep)
        return pickle.loads(file.read_bytes())


def locate(path: str) -> tuple[fs.FileSystem, str]:
    """The file system of a folder, and the folder's path in it."""
    return (
        fs.FileSystem.from_uri(path) if "://" in path else (fs.LocalFileSystem(), str(Path(path).resolve()))
    )


def pipeline_options(cfg: Config) -> PipelineOptions:
    """The options of the configured runner; raises `UserError` if some for Dataflow are missing or wrong."""
    if cfg.beam.runner is BeamRunner.dataflow:
        return _dataflow_options(cfg)
    mode = "multi_processing" if cfg.beam.workers > 1 else "in_memory"
    direct: dict[str, Any] = {"direct_num_workers": cfg.beam.workers, "direct_running_mode": mode}
    return PipelineOptions(flags=[], runner="DirectRunner", **direct)


def _dataflow_options(cfg: Config) -> PipelineOptions:
    chosen, deploy = cfg.beam, cfg.deploy
    needed = {"deploy.project": deploy.project, "deploy.bucket": deploy.bucket, "beam.image": chosen.image}
    if absent := [key for key, value in needed.items() if not value]:
        raise UserError("Dataflow cannot start", ", ".join(absent), "set them; beam.image must contain churn")
    if not (str(cfg.input).startswith("gs://") and str(cfg.output).startswith("gs://")):
        raise UserError("Dataflow's workers can read gs:// only", "input, output", "name gs:// paths")
    bucket = str(deploy.bucket).removeprefix("gs://")
    options = PipelineOptions(
        flags=[],
        runner="DataflowRunner",
        project=deploy.project,
        region=deploy.region,
        temp_location=f"gs://{bucket}/beam/temp",
        staging_location=f"gs://{bucket}/beam/staging",
        max_num_workers=chosen.workers,
        machine_type=chosen.machine_type,
        service_account_email=deploy.service_account,
        dataflow_kms_key=deploy.kms_key,
        sdk_container_image=chosen.image,
        save_main_session=False,
    )
    if errors := _validation_errors(options):
        raise UserError(f"Beam refuses the options: {' '.join(errors)}", "deploy.*, beam.*")
    return options


def _validation_errors(options: PipelineOptions) -> list[str]:
    """The errors that Beam's validator finds in options for Dataflow, without a call to Google."""
    from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner

    validator = PipelineOptionsValidator(options, DataflowRunner())
    if errors := validator.validate_gcs_path(options.view_as(GoogleCloudOptions), "temp_location"):
        return errors
    options.view_as(TestOptions).dry_run = True
    errors = validator.validate()
    options.view_as(TestOptions).dry_run = False
    return errors
