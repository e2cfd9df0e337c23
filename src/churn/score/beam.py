"""Scoring and counting on many workers, by Apache Beam: on this machine, and the same code on Dataflow.

The unit of work is a row group of a Parquet file, local or gs://. If a worker dies, another one scores its
row groups. Files of scores appear whole, and those that are there are not written again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from churn.bundle.bundle import Bundle
from churn.config.root import Config
from churn.data.features import to_arrow_features
from churn.data.sources import parquet
from churn.data.sources.chunk import Chunk
from churn.data.sources.paths import list_cloud_objects, list_files
from churn.data.stream.beam import locate, pipeline_options
from churn.errors import UserError
from churn.score.answer import score_chunk


class RowGroupTask(NamedTuple):
    """A row group of a file, and which one it is of the whole table."""

    number: int
    path: str  # within its file system
    group: int
    first: int  # rows of the file before it
    rows: int


class _ScoreRowGroup(beam.DoFn):
    """Writes the scores of a row group to the file with its number; yields the number of rows."""

    def __init__(self, bundle: Bundle, source: fs.FileSystem, output: str, reasons: bool) -> None:
        files = [file for file in bundle.path.rglob("*") if file.is_file()]
        self.bundle = {str(file.relative_to(bundle.path)): file.read_bytes() for file in files}
        self.source, self.reasons = source, reasons
        self.target, self.folder = locate(output)

    def setup(self) -> None:
        """Unpack the bundle, which is sent along with the work, once per worker."""
        folder = Path(tempfile.mkdtemp(prefix="churn-bundle-"))
        for name, content in self.bundle.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        self.loaded = Bundle.load(folder)

    def process(self, work: RowGroupTask) -> Iterator[int]:
        """Score one row group, unless its file is there."""
        file = f"{self.folder}/part-{work.number:05d}.parquet"
        if self.target.get_file_info(file).type == fs.FileType.NotFound:
            with self.source.open_input_file(work.path) as opened:
                table = parquet.simplify_types(pq.ParquetFile(opened).read_row_group(work.group))
            chunk = Chunk(work.path, table, np.arange(len(table)) + work.first + 1, "Parquet")
            features = to_arrow_features(table, self.loaded.schema)
            scored = score_chunk(self.loaded, chunk, features, self.reasons)
            aside = f"{self.folder}/.part-{work.number:05d}-{id(self):x}"
            pq.write_table(scored, aside, filesystem=self.target)
            self.target.move(aside, file)
        yield work.rows


def score_with_beam(bundle: Bundle, cfg: Config) -> int:
    """Score every row group of `cfg.input` into a file of the folder `cfg.output`; gives the number of rows.

    The files in the order of their names hold the rows in input order. Raises `UserError` if the input is not
    Parquet.
    """
    source, paths = _list_tables(str(cfg.input))
    work = list(_list_row_groups(source, paths))
    target, folder = locate(str(cfg.output))
    target.create_dir(folder)
    scoring = beam.ParDo(_ScoreRowGroup(bundle, source, str(cfg.output), cfg.score.reasons))
    with beam.Pipeline(options=pipeline_options(cfg)) as pipeline:
        _ = pipeline | beam.Create(work) | beam.Reshuffle() | scoring
    return sum(item.rows for item in work)


def _list_row_groups(source: fs.FileSystem, paths: list[str]) -> Iterator[RowGroupTask]:
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
            yield RowGroupTask(number, path, group, first, rows)
            number, first = number + 1, first + rows


def _list_tables(path: str) -> tuple[Any, list[str]]:
    """The file system and the files of a table, local or gs://."""
    if path.startswith("gs://"):
        return list_cloud_objects(path)
    return fs.LocalFileSystem(), [str(Path(file).resolve()) for file in list_files(path)]
