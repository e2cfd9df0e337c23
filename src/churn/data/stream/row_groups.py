"""A table in Parquet files that is read a row group at a time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from churn.config.data import Source
from churn.config.root import Config
from churn.data.sources import files, parquet
from churn.data.sources.chunk import Chunk
from churn.data.sources.formats import is_parquet
from churn.data.sources.paths import SourceFile, local_files
from churn.data.table import RawTable


class RowGroup(NamedTuple):
    """A row group of a file."""

    place: SourceFile
    number: int  # within its file
    first: int  # rows of the file before it
    rows: int


def large_table_row_groups(cfg: Config) -> list[RowGroup]:
    """The row groups of the table where it has more than `train.stream_rows` rows; else none.

    Only local Parquet files are streamed; raises `UserError` if their columns differ.
    """
    path = cfg.data.path
    if cfg.data.source is not Source.file or path is None or "://" in path:
        return []
    with local_files(path) as places:
        if not all(map(is_parquet, places)):
            return []
        found = list(_list_row_groups(places))
    if sum(group.rows for group in found) <= cfg.train.stream_rows:
        return []
    first = pq.read_schema(places[0].path)
    for place in places:
        schema = pq.read_schema(place.path)
        files.check_same_columns(schema.names, first.names, place, places[0])
        parquet.refuse_nested(schema, cfg.data, place.name)
    return found


def _list_row_groups(places: list[SourceFile]) -> Iterator[RowGroup]:
    """The row groups of all files, in order."""
    for place in places:
        metadata, first = pq.read_metadata(place.path), 0
        for number in range(metadata.num_row_groups):
            rows = metadata.row_group(number).num_rows
            yield RowGroup(place, number, first, rows)
            first += rows


def read_row_group(group: RowGroup, columns: list[str] | None = None) -> pa.Table:
    """The rows of a group, as the readers of `churn.data` give them; all columns, or those named."""
    with _open_parquet(group.place.path) as file:
        return parquet.simplify_types(file.read_row_group(group.number, columns, use_threads=False))


def _open_parquet(path: Path) -> pq.ParquetFile:
    """A file whose metadata were read once. Opened anew each time: readers are not for several threads."""
    metadata, few = _file_facts(path)
    return pq.ParquetFile(path, metadata=metadata, read_dictionary=few)


@lru_cache(64)
def _file_facts(path: Path) -> tuple[pq.FileMetaData, list[str]]:
    """The metadata of a file and its columns of few texts."""
    return pq.read_metadata(path), parquet.dictionary_columns(SourceFile(path, str(path)))


def sample_table(groups: list[RowGroup], rows: int, seed: int, path: str) -> RawTable:
    """`rows` rows of the table, each as likely as any other, in the order of the table.

    Every row draws a number that depends on its place alone, and the least `rows` of them are taken: samples
    of parts of a table, made anywhere, merge into this one. In a sample of n rows the rank of every quantile
    is off by less than sqrt(ln(200) / 2 n) in 99 of 100 samples (Dvoretzky, Kiefer, Wolfowitz; Massart 1990).
    """
    limit, first_columns = _sampling_limit(groups, rows, seed), pq.read_schema(groups[0].place.path).names
    parts = []
    for i, group in enumerate(groups):
        chosen = np.flatnonzero(_row_draws(group, i, seed) < limit)
        table = read_row_group(group, first_columns).take(pa.array(chosen))
        parts.append(Chunk(group.place.name, table, group.first + chosen + 1, "Parquet"))
    return files.to_raw_table(path, parts)


def _sampling_limit(groups: list[RowGroup], rows: int, seed: int) -> float:
    """The number below which exactly `rows` rows of the table have drawn."""
    total = sum(group.rows for group in groups)
    if rows >= total:
        return 1.0
    likely = 2 * rows / total
    low = [draw[draw < likely] for i, group in enumerate(groups) for draw in [_row_draws(group, i, seed)]]
    return float(np.partition(np.concatenate(low), rows)[rows])


def _row_draws(group: RowGroup, position: int, seed: int) -> np.ndarray:
    """[n] what the rows of the group at this position in the table draw, uniform in [0, 1)."""
    return np.random.default_rng([seed, position]).random(group.rows)
