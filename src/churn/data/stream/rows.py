"""The rows of a table that is larger than memory, a few row groups at a time."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from churn.config.root import Config
from churn.config.training import ModelName
from churn.data.coded import ArrowFeatures, DictionaryColumn
from churn.data.dataset import Dataset, Finding
from churn.data.declared import declared_facts
from churn.data.features import are_usable_ids, dictionary_column, id_column, to_arrow_features
from churn.data.forgotten import Forgotten, without_forgotten
from churn.data.infer.target import left_and_blank
from churn.data.load import build_dataset
from churn.data.sources import files
from churn.data.sources.columns import join_tables
from churn.data.spelling import spelling_steps
from churn.data.stream.counts import Counts, count_rows, sum_counts
from churn.data.stream.hash_split import TEST_PART, HashSplit
from churn.data.stream.row_groups import RowGroup, large_table_row_groups, read_row_group, sample_table
from churn.data.validate import unusable_cells
from churn.errors import UserError


class StreamRows(NamedTuple):
    """Rows to learn from, before they are encoded."""

    features: ArrowFeatures
    churned: np.ndarray  # [n] float32, 1 = left
    fold: np.ndarray  # [n]

    def take(self, positions: np.ndarray) -> StreamRows:
        """The rows at some positions, in this order."""

        def take_from(column: np.ndarray | DictionaryColumn) -> np.ndarray | DictionaryColumn:
            if isinstance(column, DictionaryColumn):
                return DictionaryColumn(column.levels, column.codes[positions])
            return column[positions]

        features = {name: take_from(column) for name, column in self.features.items()}
        return StreamRows(features, self.churned[positions], self.fold[positions])


@dataclass(frozen=True)
class Stream:
    """A table that does not fit in memory, a sample of it, and its split.

    >>> stream = open_stream(cfg)
    >>> for groups in stream.shuffled_groups(cfg.train.shuffle_rows, cfg.seed, epoch=0):
    ...     rows = stream.rows(groups)
    """

    groups: list[RowGroup]
    sample: Dataset
    split: HashSplit
    forgotten: Forgotten = field(default_factory=Forgotten)

    def rows(self, groups: Iterable[RowGroup]) -> StreamRows:
        """The rows of some groups, without those of the test part; raises `UserError` for unusable cells."""
        schema = self.split.schema
        names = [*schema.features, schema.target, *([schema.id] if schema.id else [])]
        tables = [(group, read_row_group(group, names)) for group in groups]
        table = join_tables([table for _, table in tables], schema.decimal)
        features = to_arrow_features(table, schema)
        target = dictionary_column(table[schema.target], spelling_steps(schema))
        left, blank = left_and_blank(target.levels, schema)
        ids = None if schema.id is None else id_column(table[schema.id])
        usable = ids is None or are_usable_ids(table[schema.id], ids)
        if features is None or blank[target.codes].any() or not usable:
            raise self._unusable_cells(tables)
        keys = self.split.stream_keys(ids, features)
        churned = left[target.codes].astype(np.float32)
        rows = StreamRows(features, churned, self.split.fold_of(keys))
        kept = self.split.parts(keys) != TEST_PART
        if ids is not None and self.forgotten.hashes:
            kept &= ~self.forgotten.rows_of(ids.levels)[ids.codes]
        return rows.take(np.flatnonzero(kept))

    def _unusable_cells(self, tables: list[tuple[RowGroup, pa.Table]]) -> UserError:
        """The error that names the cells that cannot be used."""
        schema = replace(self.split.schema, time=None)
        for group, table in tables:
            chunk = group.chunk(table)
            if error := unusable_cells(files.to_raw_table(chunk.file, [chunk]), schema):
                return error
        raise AssertionError("some cells cannot be used, but it is unknown why")

    def count(self) -> Counts:
        """Exact counts of the rows to learn from; reads every cell of the table, on all cores."""
        with ThreadPoolExecutor(os.cpu_count()) as cores:
            return sum_counts(cores.map(self.count_of, self.groups))

    def count_of(self, group: RowGroup) -> Counts:
        """The counts of one group."""
        rows = self.rows([group])
        return count_rows(rows.features, rows.churned, self.split.schema)

    def shuffled_groups(self, rows: int, seed: int, epoch: int) -> Iterator[list[RowGroup]]:
        """All groups in random order, in lists of groups that have at least `rows` rows together."""
        groups: list[RowGroup] = []
        for i in np.random.default_rng([seed, epoch]).permutation(len(self.groups)):
            groups.append(self.groups[i])
            if sum(group.rows for group in groups) >= rows:
                yield groups
                groups = []
        if groups:
            yield groups


def open_stream(cfg: Config) -> Stream | None:
    """The table of the configuration if it has more than `train.stream_rows` rows; otherwise None.

    The roles of the columns, the encoding and the report come from a random sample. Raises `UserError` for
    the tutorial's network, which is trained in memory only.
    """
    groups = large_table_row_groups(cfg)
    if not groups:
        return None
    if cfg.model.name == ModelName.tutorial:
        raise UserError(
            "the tutorial's network is trained in memory only",
            "model=tutorial",
            "model=dense, or allow more rows in memory: train.stream_rows=",
        )
    total = sum(group.rows for group in groups)
    sample = sample_table(groups, cfg.train.sample_rows, cfg.seed, str(cfg.data.path), cfg.data.decimal)
    data = build_dataset(sample, cfg.data, declared_facts(cfg.data))
    forgotten = Forgotten.of(cfg)
    data = without_forgotten(data, forgotten)
    split = HashSplit(data.schema, cfg.split, cfg.model.folds, cfg.seed)
    data = replace(
        data,
        name=str(cfg.data.name),
        origin=f"a random sample of {data.origin}, which has {total:,} rows",
        findings=(_sample_finding(len(data), total), *data.findings),
        fingerprint=hashlib.sha256(
            f"{data.fingerprint} {_file_stamps(groups)}{sorted(forgotten.hashes) or ''}".encode()
        ).hexdigest(),
    )
    return Stream(groups, data, split, forgotten)


def _sample_finding(sampled: int, total: int) -> Finding:
    error = math.sqrt(math.log(200) / 2 / sampled)
    return Finding(
        f"the numbers of this report come from a random sample of {sampled:,} of {total:,} rows",
        "the network learns from all rows outside the test part; its encoding comes from the sample, whose "
        f"quantiles are off by less than {error:.2%} of the rows in 99 of 100 samples; exact copies are kept",
        "a larger sample: train.sample_rows=",
    )


def _file_stamps(groups: list[RowGroup]) -> list[tuple[str, int, int]]:
    """The path, size and modification time of each file."""
    stats = {group.file.path: Path(group.file.path).stat() for group in groups}
    return [(path, stat.st_size, stat.st_mtime_ns) for path, stat in stats.items()]
