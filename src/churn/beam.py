"""Scoring and counting on many workers, by Apache Beam: on this machine, and the same code on Dataflow.

The unit of work is a row group of a Parquet file, local or gs://. A worker that dies is given its row groups
again; files of scores appear whole, and those that are there are not made again.
"""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions, TestOptions
from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
from pyarrow import fs

from churn.bundle import Bundle
from churn.columns import columns
from churn.config import BeamRunner, Config
from churn.data import parquet
from churn.data.part import Part
from churn.data.places import cloud_objects, found
from churn.errors import UserError
from churn.score import answer
from churn.stream.counts import Counts
from churn.stream.rows import Stream


class Work(NamedTuple):
    """A row group of a file, and which one it is of the whole table."""

    number: int
    path: str  # within its file system
    group: int
    first: int  # rows of the file before it
    rows: int


class Score(beam.DoFn):
    """Writes the scores of a row group to the file with its number; gives the number of rows."""

    def __init__(self, bundle: Bundle, source: fs.FileSystem, output: str, reasons: bool) -> None:
        files = [file for file in bundle.path.rglob("*") if file.is_file()]
        self.bundle = {str(file.relative_to(bundle.path)): file.read_bytes() for file in files}
        self.source, self.reasons = source, reasons
        self.target, self.folder = located(output)

    def setup(self) -> None:
        """Unpack the bundle, which travels with the work, once a worker."""
        folder = Path(tempfile.mkdtemp(prefix="churn-bundle-"))
        for name, content in self.bundle.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        self.loaded = Bundle.load(folder)

    def process(self, work: Work) -> Iterator[int]:
        """Score one row group, if that was not done before."""
        file = f"{self.folder}/part-{work.number:05d}.parquet"
        if self.target.get_file_info(file).type == fs.FileType.NotFound:
            with self.source.open_input_file(work.path) as opened:
                table = parquet.simple(pq.ParquetFile(opened).read_row_group(work.group))
            part = Part(work.path, table, np.arange(len(table)) + work.first + 1, "Parquet")
            scored = answer(self.loaded, part, columns(table, self.loaded.schema), self.reasons)
            aside = f"{self.folder}/.part-{work.number:05d}-{id(self):x}"
            pq.write_table(scored, aside, filesystem=self.target)
            self.target.move(aside, file)
        yield work.rows


class Total(beam.CombineFn):
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


def score(bundle: Bundle, cfg: Config) -> int:
    """Score every row group of `cfg.input` into the folder `cfg.output`, a file each; gives the rows.

    The files in order hold the rows in input order. Raises `UserError` if the input is not Parquet.
    """
    source, paths = tables(str(cfg.input))
    work = list(row_groups(source, paths))
    target, folder = located(str(cfg.output))
    target.create_dir(folder)
    scoring = beam.ParDo(Score(bundle, source, str(cfg.output), cfg.score.reasons))
    with beam.Pipeline(options=options(cfg)) as pipeline:
        _ = pipeline | beam.Create(work) | beam.Reshuffle() | scoring
    return sum(item.rows for item in work)


def counted(stream: Stream, cfg: Config) -> Counts:
    """The same as `Stream.count`, by workers on this machine."""
    with tempfile.TemporaryDirectory(prefix="churn-") as folder:
        file = f"{folder}/counts"

        def keep(counts: Counts) -> None:
            Path(file).write_bytes(pickle.dumps(counts))

        with beam.Pipeline(options=options(cfg)) as pipeline:
            groups = pipeline | beam.Create(stream.groups) | beam.Reshuffle()
            _ = groups | beam.Map(stream.count_of) | beam.CombineGlobally(Total()) | beam.Map(keep)
        return pickle.loads(Path(file).read_bytes())


def row_groups(source: fs.FileSystem, paths: list[str]) -> Iterator[Work]:
    """The row groups of all files, in order."""
    number = 0
    for path in paths:
        with source.open_input_file(path) as file:
            try:
                metadata = pq.read_metadata(file)
            except (OSError, pa.ArrowInvalid) as error:
                raise UserError(f"Beam scores Parquet files: {error}", path, "write it as Parquet") from None
        first = 0
        for group in range(metadata.num_row_groups):
            rows = metadata.row_group(group).num_rows
            yield Work(number, path, group, first, rows)
            number, first = number + 1, first + rows


def tables(path: str) -> tuple[Any, list[str]]:
    """The file system and the files of a table, local or gs://."""
    if path.startswith("gs://"):
        return cloud_objects(path)
    return fs.LocalFileSystem(), [str(Path(file).resolve()) for file in found(path)]


def located(path: str) -> tuple[fs.FileSystem, str]:
    """A folder and its file system."""
    return (
        fs.FileSystem.from_uri(path) if "://" in path else (fs.LocalFileSystem(), str(Path(path).resolve()))
    )


def options(cfg: Config) -> PipelineOptions:
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
    if errors := refused(told_dataflow):
        raise UserError(f"Beam refuses the options: {' '.join(errors)}", "deploy.*, beam.*")
    return told_dataflow


def refused(told: PipelineOptions) -> list[str]:
    """What Beam's own validator says against options for Dataflow, without asking Google anything."""
    from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner

    validator = PipelineOptionsValidator(told, DataflowRunner())
    if errors := validator.validate_gcs_path(told.view_as(GoogleCloudOptions), "temp_location"):
        return errors
    told.view_as(TestOptions).dry_run = True
    errors = validator.validate()
    told.view_as(TestOptions).dry_run = False
    return errors
