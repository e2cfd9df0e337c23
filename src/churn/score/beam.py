"""Scoring on many workers by Apache Beam: on this machine, or with the same code on Dataflow.

The unit of work is a row group of a Parquet file, local or gs://. If a worker dies, its row groups are scored
again; files of scores appear whole, and existing ones are not written again.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path, PurePosixPath

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from churn.bundle.bundle import Bundle
from churn.bundle.choice import check_columns
from churn.bundle.model import Model
from churn.bundle.unseen import UnseenCells
from churn.config.root import Config
from churn.config.serving import ScoreConfig
from churn.data.coded import ArrowFeatures
from churn.data.features import to_arrow_features
from churn.data.sources.columns import common_types, conform, refuse_nested, simplify_types
from churn.data.sources.files import check_same_columns, with_partition_keys
from churn.data.sources.paths import list_cloud_objects, list_files, partition_keys
from churn.data.stream.beam import locate, pipeline_options
from churn.data.stream.row_groups import ParquetFile, RowGroup, list_row_groups, read_row_group
from churn.data.table import NoRowsError
from churn.errors import count
from churn.files import PARTIAL, PERSONAL, atomic_write
from churn.score.answer import refuse, score_chunk
from churn.score.folder import FINGERPRINT_FILE, check_claim, claim_folder, fingerprint_of
from churn.score.kept import add_kept, check_kept
from churn.scratch import scratch_folder

STOP_FILE = "_stop"  # in the folder, while workers end: some rows cannot be used


class _ScoreRowGroup(beam.DoFn):
    """Writes the scores of a row group to the file with its number."""

    def __init__(self, bundle: Bundle, output: str, cfg: ScoreConfig, types: dict[str, pa.DataType]) -> None:
        """`types` are those of the columns that are read, the same for all files of the table."""
        files = [file for file in bundle.path.rglob("*") if file.is_file()]
        self.bundle = {str(file.relative_to(bundle.path)): file.read_bytes() for file in files}
        self.reasons, self.runtime, self.keep = cfg.reasons, cfg.runtime, list(cfg.keep)
        self.types = types
        self.filesystem, self.folder = locate(output)

    def setup(self) -> None:
        """Unpack the bundle, which each worker gets with the work."""
        self.scratch = ExitStack()
        folder = self.scratch.enter_context(scratch_folder())
        for name, content in self.bundle.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        self.model = Model(Bundle.load(folder), self.runtime)

    def teardown(self) -> None:
        """Remove what `setup` unpacked."""
        self.scratch.close()

    def process(self, numbered: tuple[int, RowGroup]) -> None:
        """Score a row group with its number in the table, if its file does not exist yet.

        Rows that cannot be used end the work of all workers, but not by an error: Beam would repeat it, with
        many tracebacks.
        """
        number, group = numbered
        file, stop = _part(self.folder, number), f"{self.folder}/{STOP_FILE}"
        if _exists(self.filesystem, file) or _exists(self.filesystem, stop):
            return
        read = read_row_group(group)
        schema = self.model.bundle.schema
        table = conform(read, self.types, schema.decimal)
        features = to_arrow_features(read, schema)  # numbers stay as they were typed
        if features is None:
            self.filesystem.open_output_stream(stop).close()
            return
        chunk = group.chunk(table)._replace(typed=True)
        self._write(add_kept(score_chunk(self.model, chunk, features, self.reasons), chunk, self.keep), file)

    def _write(self, scored: pa.Table, file: str) -> None:
        """Write a file that appears whole; on this machine not for others, as all files of scores."""
        if isinstance(self.filesystem, fs.LocalFileSystem):
            with atomic_write(Path(file), PERSONAL) as aside:
                pq.write_table(scored, aside)
            return
        temporary = f"{self.folder}/.{PurePosixPath(file).name}-{id(self):x}{PARTIAL}"
        pq.write_table(scored, temporary, filesystem=self.filesystem)
        self.filesystem.move(temporary, file)


def score_with_beam(bundle: Bundle, cfg: Config, unseen: UnseenCells) -> int:
    """Score every row group of `cfg.input` to a file in the folder `cfg.output`; gives the number of rows.

    The files, in order of their names, have the rows in input order. `unseen` counts the cells of the first
    row group, here and before the work: a file that spells something otherwise does so from its first rows.
    Raises `UserError` if the input is not Parquet, has no rows or lacks a column, for cells that cannot be
    used, and if the folder holds something else.
    """
    tables, output = _list_tables(str(cfg.input)), str(cfg.output)
    groups = [group for group in list_row_groups(tables) if group.rows]
    if not groups:
        raise NoRowsError(_without_rows(tables[0]).column_names, str(cfg.input))
    heads = [_without_rows(table) for table in tables]
    for table, head in zip(tables, heads, strict=True):
        check_same_columns(head.column_names, heads[0].column_names, table.path, tables[0].path)
        refuse_nested(head.schema, cfg.data, table.path)
        check_columns(bundle, head.column_names, table.path, cfg)
        check_kept(cfg.score.keep, RowGroup(table, 0, 0, 0).chunk(head), bundle)
    types = _types_of_all([simplify_types(head).schema for head in heads], bundle, cfg)
    unseen.add_features(_usable_features(groups[0], bundle))
    _claim(output, fingerprint_of(bundle, cfg))
    print(
        f"Scoring ... remarks are about the cells of the first {count(groups[0].rows, 'row')} only",
        flush=True,
    )
    filesystem, folder = locate(output)
    _clear_stop(filesystem, folder)  # of a killed process
    scoring = beam.ParDo(_ScoreRowGroup(bundle, output, cfg.score, types))
    with beam.Pipeline(options=pipeline_options(cfg)) as pipeline:
        _ = pipeline | beam.Create(enumerate(groups)) | beam.Reshuffle() | scoring
    if _clear_stop(filesystem, folder):
        missing = [n for n, _ in enumerate(groups) if not _exists(filesystem, _part(folder, n))]
        for number in missing:
            _usable_features(groups[number], bundle)
        if missing:
            raise RuntimeError(f"a worker ended the work, and no cell says why: {_part(folder, missing[0])}")
    return sum(group.rows for group in groups)


def _usable_features(group: RowGroup, bundle: Bundle) -> ArrowFeatures:
    """The features of a row group; raises the `UserError` that names cells that cannot be used."""
    table = read_row_group(group)
    features = to_arrow_features(table, bundle.schema)
    return refuse(group.chunk(table), bundle.schema) if features is None else features


def _clear_stop(filesystem: fs.FileSystem, folder: str) -> bool:
    """Whether a worker met rows that cannot be used; the file that says so is removed."""
    stop = f"{folder}/{STOP_FILE}"
    if found := _exists(filesystem, stop):
        filesystem.delete_file(stop)
    return found


def _part(folder: str, number: int) -> str:
    """The file with the scores of a row group."""
    return f"{folder}/part-{number:05d}.parquet"


def _exists(filesystem: fs.FileSystem, file: str) -> bool:
    return filesystem.get_file_info(file).type != fs.FileType.NotFound


def _types_of_all(files: list[pa.Schema], bundle: Bundle, cfg: Config) -> dict[str, pa.DataType]:
    """The type of each column that is read, for all files: text where theirs differ."""
    schema = bundle.schema
    read = {*schema.features, *cfg.score.keep} | ({schema.id} if schema.id else set())
    types = common_types(files)
    return {name: types[name] for name in files[0].names if name in read}


def _without_rows(file: ParquetFile) -> pa.Table:
    """The columns of a file, with those of its folders KEY=VALUE."""
    with file.open() as opened:
        return with_partition_keys(opened.schema_arrow.empty_table(), partition_keys(file.path))


def _claim(output: str, fingerprint: str) -> None:
    """Make the folder, local or gs://, belong to one scoring; raises `UserError` if it is not free."""
    if "://" not in output:
        claim_folder(Path(output), fingerprint)
        return
    filesystem, folder = locate(output)
    filesystem.create_dir(folder)
    names = [
        info.base_name for info in filesystem.get_file_info(fs.FileSelector(folder, allow_not_found=True))
    ]
    file, written = f"{folder}/{FINGERPRINT_FILE}", None
    if FINGERPRINT_FILE in names:
        with filesystem.open_input_stream(file) as stream:
            written = stream.read()
    check_claim(names, written, fingerprint, output)
    if written is None:
        with filesystem.open_output_stream(file) as stream:
            stream.write(fingerprint.encode())


def _list_tables(path: str) -> list[ParquetFile]:
    """The files of a table, local or gs://."""
    if path.startswith("gs://"):
        filesystem, keys = list_cloud_objects(path)
        return [ParquetFile(key, filesystem) for key in keys]
    return [ParquetFile(str(Path(file).resolve())) for file in list_files(path)]
