"""The rows of a table that is larger than memory, some row groups at a time."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from churn.config.root import Config
from churn.config.training import ModelName
from churn.data.dataset import Dataset, Finding, Schema
from churn.data.features import ArrowFeatures, DictionaryColumn, dictionary_column, to_arrow_features
from churn.data.load import build_dataset
from churn.data.sources import files
from churn.data.sources.chunk import Chunk
from churn.data.stream.counts import Counts, count_rows, sum_counts
from churn.data.stream.hash_split import TEST_PART, HashSplit
from churn.data.stream.row_groups import RowGroup, large_table_row_groups, read_row_group, sample_table
from churn.data.validate import to_features
from churn.errors import UserError


class StreamRows(NamedTuple):
    """Rows to learn from, before they are encoded."""

    features: ArrowFeatures
    churned: np.ndarray  # [n] float32
    fold: np.ndarray  # [n]

    def take(self, chosen: np.ndarray) -> StreamRows:
        """Some of them, in this order."""

        def of(column: np.ndarray | DictionaryColumn) -> np.ndarray | DictionaryColumn:
            return (
                DictionaryColumn(column.levels, column.codes[chosen])
                if isinstance(column, DictionaryColumn)
                else column[chosen]
            )

        picked = {name: of(column) for name, column in self.features.items()}
        return StreamRows(picked, self.churned[chosen], self.fold[chosen])


@dataclass(frozen=True)
class Stream:
    """A table that does not fit in memory, a sample of it, and how its rows are dealt out."""

    groups: list[RowGroup]
    sample: Dataset
    deal: HashSplit

    def rows(self, groups: Iterable[RowGroup]) -> StreamRows:
        """All rows of some groups but those of the test part; raises `UserError` for unusable cells."""
        schema = self.deal.schema
        names = [*schema.features, schema.target, *([schema.id] if schema.id else [])]
        tables = [(group, read_row_group(group, names)) for group in groups]
        table = pa.concat_tables([table for _, table in tables])
        found = to_arrow_features(table, schema)
        target = dictionary_column(table[schema.target], schema.missing)
        if found is None or (target.levels == "")[target.codes].any():
            raise _unusable_cells(tables, schema)
        keys = self.deal.keys(table, found)
        churned = np.isin(target.levels, schema.churned)[target.codes].astype(np.float32)
        everyone = StreamRows(found, churned, self.deal.fold_of(keys))
        return everyone.take(np.flatnonzero(self.deal.parts(keys) != TEST_PART))

    def count(self) -> Counts:
        """Exact counts of the rows to learn from; looks at every cell of the table."""
        with ThreadPoolExecutor(os.cpu_count()) as cores:
            return sum_counts(cores.map(self.count_of, self.groups))

    def count_of(self, group: RowGroup) -> Counts:
        """The counts of one group."""
        rows = self.rows([group])
        return count_rows(rows.features, rows.churned, self.deal.schema)

    def stretches(self, rows: int, seed: int, epoch: int) -> Iterator[list[RowGroup]]:
        """The groups in random order, so many together that they have about `rows` rows."""
        together: list[RowGroup] = []
        for i in np.random.default_rng([seed, epoch]).permutation(len(self.groups)):
            together.append(self.groups[i])
            if sum(group.rows for group in together) >= rows:
                yield together
                together = []
        if together:
            yield together


def open_stream(cfg: Config) -> Stream | None:
    """The table of the configuration where it is larger than `train.stream_rows`; None where it is not.

    What its columns mean, the encoding and the report come from a random sample.
    """
    groups = large_table_row_groups(cfg)
    if not groups:
        return None
    if cfg.model.name == ModelName.tutorial:
        raise UserError(
            "the tutorial's network is trained in memory only",
            "model=tutorial",
            "model=dense, or allow so many rows in memory: train.stream_rows=",
        )
    every = sum(group.rows for group in groups)
    data = build_dataset(sample_table(groups, cfg.train.sample_rows, cfg.seed, str(cfg.data.path)), cfg.data)
    deal = HashSplit(data.schema, cfg.split, cfg.model.folds, cfg.seed)
    data = replace(
        data,
        name=str(cfg.data.name),
        origin=f"a random sample of {data.origin}, which has {every:,} rows",
        findings=(_sample_finding(len(data), every), *data.findings),
        fingerprint=hashlib.sha256(f"{data.fingerprint} {_file_stamps(groups)}".encode()).hexdigest(),
    )
    return Stream(groups, data, deal)


def _sample_finding(sampled: int, every: int) -> Finding:
    """What a reader of the report must know about its numbers."""
    error = math.sqrt(math.log(200) / 2 / sampled)
    return Finding(
        f"the numbers of this report come from a random sample of {sampled:,} of {every:,} rows",
        "the network learns from all rows outside the test part; its encoding comes from the sample, whose "
        f"quantiles are off by less than {error:.2%} of the rows in 99 of 100 samples; exact copies stay",
        "a larger sample: train.sample_rows=",
    )


def _file_stamps(groups: list[RowGroup]) -> list[tuple[str, int, int]]:
    """Name, size and time of each file."""
    stats = {group.place.name: group.place.path.stat() for group in groups}
    return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()]


def _unusable_cells(tables: list[tuple[RowGroup, pa.Table]], schema: Schema) -> UserError:
    """The error that says which cells cannot be used."""
    for group, table in tables:
        lines = np.arange(len(table)) + group.first + 1
        to_features(
            files.to_raw_table(group.place.name, [Chunk(group.place.name, table, lines, "Parquet")]), schema
        )
        blank = np.flatnonzero(dictionary_column(table[schema.target], schema.missing).texts == "")
        if len(blank):
            return UserError(
                f"{len(blank):,} rows have a blank target",
                f"{group.place.name}, row {lines[blank[0]]}, column '{schema.target}'",
                "leave them out of the file",
            )
    raise AssertionError("unusable, but not why")
