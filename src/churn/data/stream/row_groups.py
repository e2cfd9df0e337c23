"""A table in Parquet files, read one row group at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from churn.config.data import Source
from churn.config.root import Config
from churn.data.features import written_column
from churn.data.sources import columns, files, parquet
from churn.data.sources.chunk import Chunk
from churn.data.sources.formats import is_parquet
from churn.data.sources.paths import SourceFile, is_delta, local_files, partition_keys
from churn.data.table import RawTable
from churn.errors import UserError


@dataclass(frozen=True, order=True)
class ParquetFile:
    """A Parquet file, local or in a bucket."""

    path: str  # within its file system
    filesystem: fs.FileSystem = field(default_factory=fs.LocalFileSystem, compare=False)

    def open(self, **options: object) -> pq.ParquetFile:
        """The open file."""
        return pq.ParquetFile(self.path, filesystem=self.filesystem, **options)


class RowGroup(NamedTuple):
    """A row group of a file."""

    file: ParquetFile
    number: int  # within its file
    first: int  # rows of the file before it
    rows: int

    def chunk(self, table: pa.Table, positions: np.ndarray | None = None) -> Chunk:
        """Rows of the group as the readers of files give them: all, or those at some positions."""
        positions = np.arange(self.rows) if positions is None else positions
        return Chunk(self.file.path, table, self.first + positions + 1, "Parquet", unit="row")


def list_row_groups(tables: Iterable[ParquetFile]) -> list[RowGroup]:
    """The row groups of all files, in order; raises `UserError` for files that are not Parquet or damaged."""
    groups = []
    _read_metadata.cache_clear()  # files may have changed
    for file in tables:
        metadata, first = _read_metadata(file), 0
        for number in range(metadata.num_row_groups):
            groups.append(RowGroup(file, number, first, metadata.row_group(number).num_rows))
            first += groups[-1].rows
    return groups


@lru_cache(64)
def _read_metadata(file: ParquetFile) -> pq.FileMetaData:
    try:
        with file.open() as opened:
            return opened.metadata
    except (OSError, pa.ArrowInvalid) as error:
        do = "write it as Parquet, or export it again"
        raise UserError(f"the file is not Parquet, or damaged: {error}", file.path, do) from None


def read_row_group(group: RowGroup, names: list[str] | None = None) -> pa.Table:
    """The rows of a group in simple types, as the readers of files give them; all columns, or those named.

    The columns of folders KEY=VALUE are among them.

    Each call opens the file anew, because an open file is not for several threads.
    """
    metadata = _read_metadata(group.file)
    few = parquet.dictionary_columns(metadata)
    own = metadata.schema.to_arrow_schema().names  # a folder KEY=VALUE only adds a column
    inside = names and [name for name in names if name in own]
    with group.file.open(metadata=metadata, read_dictionary=few) as opened:
        table = columns.simplify_types(opened.read_row_group(group.number, inside, use_threads=False))
    table = files.with_partition_keys(table, partition_keys(group.file.path))
    return table if names is None else table.select(names)


def large_table_row_groups(cfg: Config) -> list[RowGroup]:
    """The row groups of the training table if it has more than `train.stream_rows` rows; otherwise none.

    Only local Parquet files are streamed; raises `UserError` if their columns differ.
    """
    path = cfg.data.path
    if cfg.data.source is not Source.file or path is None or "://" in path or is_delta(path):
        return []
    with local_files(path) as sources:
        copied = any(str(source.path) != source.name for source in sources)  # from an archive
        if copied or not all(map(is_parquet, sources)):
            return []
    groups = list_row_groups(ParquetFile(source.name) for source in sources)
    if sum(group.rows for group in groups) <= cfg.train.stream_rows:
        return []
    first = _column_names(sources[0])
    for source in sources:
        files.check_same_columns(_column_names(source), first, source.name, sources[0].name)
        columns.refuse_nested(pq.read_schema(source.path), cfg.data, source.name)
    return groups


def _column_names(source: SourceFile) -> list[str]:
    """The columns of a file, with those of its folders KEY=VALUE that it does not have itself."""
    own = pq.read_schema(source.path).names
    return [*own, *(key for key in source.keys if key not in own)]


def sample_table(groups: list[RowGroup], rows: int, seed: int, path: str, decimal: str = ".") -> RawTable:
    """A random sample of `rows` rows of the table, without replacement, in the order of the table.

    Each row draws a number that depends only on its place and the seed; the rows with the lowest numbers are
    the sample. So samples of parts of a table, made anywhere, merge into the sample of the whole. In a sample
    of n rows the rank of every quantile is off by less than sqrt(ln(200) / 2 n) in 99 of 100 samples
    (Dvoretzky, Kiefer, Wolfowitz; Massart 1990). `decimal`: as `join_tables` takes it.
    """
    limit = _sampling_limit(groups, rows, seed)
    names = read_row_group(groups[0]).column_names
    chunks = []
    for i, group in enumerate(groups):
        chosen = np.flatnonzero(_row_draws(group, i, seed) < limit)
        chunks.append(group.chunk(read_row_group(group, names).take(pa.array(chosen)), chosen))
    raw = files.to_raw_table(path, chunks, decimal)
    return replace(raw, is_sample=True, count_values=partial(_count_values, groups))


def _count_values(groups: list[RowGroup], name: str) -> pd.Series:
    """The rows of each value of a column in all groups, as written there; the commonest first."""
    columns = (written_column(read_row_group(group, [name])[name]) for group in groups)
    counts = [pd.Series(column.to_pandas(), dtype="str").value_counts() for column in columns]
    return pd.concat(counts).groupby(level=0).sum().sort_values(ascending=False, kind="stable")


def _sampling_limit(groups: list[RowGroup], rows: int, seed: int) -> float:
    """The number below which exactly `rows` rows of the table have drawn."""
    total = sum(group.rows for group in groups)
    if rows >= total:
        return 1.0
    likely = 2 * rows / total
    low = [draw[draw < likely] for i, group in enumerate(groups) for draw in [_row_draws(group, i, seed)]]
    return float(np.partition(np.concatenate(low), rows)[rows])


def _row_draws(group: RowGroup, position: int, seed: int) -> np.ndarray:
    """[n] the number that each row of the group draws, uniform in [0, 1); `position` is that of the group."""
    return np.random.default_rng([seed, position]).random(group.rows)
