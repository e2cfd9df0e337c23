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

from churn.columns import Coded, Columns, category, columns
from churn.config import Config, ModelName
from churn.data import files, understood
from churn.data.part import Part
from churn.errors import UserError
from churn.schema import Dataset, Finding, Schema
from churn.stream.counts import Counts, count, total
from churn.stream.deal import TEST, Deal
from churn.stream.table import Group, read, row_groups, sample
from churn.validate import features


class Rows(NamedTuple):
    """Rows to learn from, before they are encoded."""

    features: Columns
    churned: np.ndarray  # [n] float32
    fold: np.ndarray  # [n]

    def take(self, chosen: np.ndarray) -> Rows:
        """Some of them, in this order."""

        def of(column: np.ndarray | Coded) -> np.ndarray | Coded:
            return Coded(column.levels, column.codes[chosen]) if isinstance(column, Coded) else column[chosen]

        picked = {name: of(column) for name, column in self.features.items()}
        return Rows(picked, self.churned[chosen], self.fold[chosen])


@dataclass(frozen=True)
class Stream:
    """A table that does not fit in memory, a sample of it, and how its rows are dealt out."""

    groups: list[Group]
    sample: Dataset
    deal: Deal

    def rows(self, groups: Iterable[Group]) -> Rows:
        """All rows of some groups but those of the test part; raises `UserError` for unusable cells."""
        schema = self.deal.schema
        names = [*schema.features, schema.target, *([schema.id] if schema.id else [])]
        tables = [(group, read(group, names)) for group in groups]
        table = pa.concat_tables([table for _, table in tables])
        found = columns(table, schema)
        target = category(table[schema.target], schema.missing)
        if found is None or (target.levels == "")[target.codes].any():
            raise unusable(tables, schema)
        keys = self.deal.keys(table, found)
        churned = np.isin(target.levels, schema.churned)[target.codes].astype(np.float32)
        everyone = Rows(found, churned, self.deal.fold_of(keys))
        return everyone.take(np.flatnonzero(self.deal.parts(keys) != TEST))

    def count(self) -> Counts:
        """Exact counts of the rows to learn from; looks at every cell of the table."""
        with ThreadPoolExecutor(os.cpu_count()) as cores:
            return total(cores.map(self.count_of, self.groups))

    def count_of(self, group: Group) -> Counts:
        """The counts of one group."""
        rows = self.rows([group])
        return count(rows.features, rows.churned, self.deal.schema)

    def stretches(self, rows: int, seed: int, epoch: int) -> Iterator[list[Group]]:
        """The groups in random order, so many together that they have about `rows` rows."""
        together: list[Group] = []
        for i in np.random.default_rng([seed, epoch]).permutation(len(self.groups)):
            together.append(self.groups[i])
            if sum(group.rows for group in together) >= rows:
                yield together
                together = []
        if together:
            yield together


def opened(cfg: Config) -> Stream | None:
    """The table of the configuration where it is larger than `train.stream_rows`; None where it is not.

    What its columns mean, the encoding and the report come from a random sample.
    """
    groups = row_groups(cfg)
    if not groups:
        return None
    if cfg.model.name == ModelName.tutorial:
        raise UserError(
            "the tutorial's network is trained in memory only",
            "model=tutorial",
            "model=dense, or allow so many rows in memory: train.stream_rows=",
        )
    every = sum(group.rows for group in groups)
    data = understood(sample(groups, cfg.train.sample_rows, cfg.seed, str(cfg.data.path)), cfg.data)
    deal = Deal(data.schema, cfg.split, cfg.model.folds, cfg.seed)
    data = replace(
        data,
        name=str(cfg.data.name),
        origin=f"a random sample of {data.origin}, which has {every:,} rows",
        findings=(told(len(data), every), *data.findings),
        fingerprint=hashlib.sha256(f"{data.fingerprint} {stamps(groups)}".encode()).hexdigest(),
    )
    return Stream(groups, data, deal)


def told(sampled: int, every: int) -> Finding:
    """What a reader of the report must know about its numbers."""
    error = math.sqrt(math.log(200) / 2 / sampled)
    return Finding(
        f"the numbers of this report come from a random sample of {sampled:,} of {every:,} rows",
        "the network learns from all rows outside the test part; its encoding comes from the sample, whose "
        f"quantiles are off by less than {error:.2%} of the rows in 99 of 100 samples; exact copies stay",
        "a larger sample: train.sample_rows=",
    )


def stamps(groups: list[Group]) -> list[tuple[str, int, int]]:
    """Name, size and time of each file."""
    stats = {group.place.name: group.place.path.stat() for group in groups}
    return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()]


def unusable(tables: list[tuple[Group, pa.Table]], schema: Schema) -> UserError:
    """The error that says which cells cannot be used."""
    for group, table in tables:
        lines = np.arange(len(table)) + group.first + 1
        features(files.raw_table(group.place.name, [Part(group.place.name, table, lines, "Parquet")]), schema)
        blank = np.flatnonzero(category(table[schema.target], schema.missing).texts == "")
        if len(blank):
            return UserError(
                f"{len(blank):,} rows have a blank target",
                f"{group.place.name}, row {lines[blank[0]]}, column '{schema.target}'",
                "leave them out of the file",
            )
    raise AssertionError("unusable, but not why")
