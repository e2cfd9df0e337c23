"""A snapshot as a Parquet file that says what its columns are and what made them; its contents counted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from churn.config.events import EventsConfig
from churn.data.declared import KEY
from churn.errors import UserError
from churn.events.definition import label_days, to_json
from churn.events.names import CHURNED, CUSTOMER, CUTOFF, feature_roles
from churn.files import PERSONAL, atomic_write

SAMPLE = 20_000  # rows kept in memory for a look at single columns, about


@dataclass
class Contents:
    """What was written, counted on the way."""

    rows: int = 0
    by_cutoff: dict[str, list[int]] = field(default_factory=dict)  # ISO date -> rows, churned
    rows_of_customer: Counter[int] = field(default_factory=Counter)  # number of rows -> customers
    known: Counter[str] = field(default_factory=Counter)  # cells that are not missing, by column
    sample: list[pa.Table] = field(default_factory=list)

    @property
    def churned(self) -> int:
        """Rows of customers who churned."""
        return sum(churned for _, churned in self.by_cutoff.values())

    @property
    def customers(self) -> int:
        """Customers with a row."""
        return sum(self.rows_of_customer.values())

    def add(self, part: pa.Table, share: float, rng: np.random.Generator) -> None:
        """Count a part, all rows of its customers, and keep a share of its rows."""
        self.rows += len(part)
        labelled = CHURNED in part.column_names
        grouped = part.group_by(CUTOFF).aggregate(
            [([], "count_all"), *([(CHURNED, "sum")] if labelled else [])]
        )
        for row in grouped.to_pylist():
            counts = self.by_cutoff.setdefault(str(row[CUTOFF]), [0, 0])
            counts[0] += row["count_all"]
            counts[1] += row.get(f"{CHURNED}_sum", 0)
        self.rows_of_customer.update(
            part.group_by(CUSTOMER).aggregate([([], "count_all")])["count_all"].to_pylist()
        )
        for name in part.column_names:
            self.known[name] += len(part) - part[name].null_count
        self.sample.append(part.filter(pa.array(rng.random(len(part)) < share)))


def as_written(made: pa.Table) -> pa.Table:
    """What an engine made, with the types of the file: float32, string, date32, and int8 for 0 and 1."""
    columns = {}
    for name in made.column_names:
        column = made[name]
        if name == CUTOFF:
            column = column.cast(pa.int32()).cast(pa.date32())
        elif pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):  # 0.0 alone is decimal
            column = column.cast(pa.float32())
        elif pa.types.is_integer(column.type) and name != CUSTOMER:
            column = column.cast(pa.int8())
        columns[name] = column
    return pa.table(columns)


def write_snapshot(
    parts: Iterable[pa.Table], cfg: EventsConfig, file: Path, expected_rows: int, seed: int
) -> Contents:
    """Write the parts of a snapshot to a file that appears whole; raises `UserError` if there is no row.

    `expected_rows`: of which about `SAMPLE` are kept in memory; 0 keeps none.
    """
    contents, rng = Contents(), np.random.default_rng(seed)
    share, writer = min(1.0, SAMPLE / expected_rows) if expected_rows else 0.0, None
    with atomic_write(file, PERSONAL) as aside:
        for part in parts:
            writer = writer or _open_writer(aside, part.schema)
            writer.write_table(part)
            contents.add(part, share, rng)
        contents.by_cutoff = dict(sorted(contents.by_cutoff.items()))
        if not contents.rows or writer is None:
            what, do = "no customer is asked about at any cut-off", "see churn.table and the dates"
            raise UserError(what, "events.churn, events.cutoffs", do)
        writer.add_key_value_metadata({KEY.decode(): json.dumps(_facts(cfg, contents))})
        writer.close()
    return contents


def _open_writer(file: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """A Parquet file to write; features, of which few values repeat, get no dictionary and no statistics."""
    repeating = [one.name for one in schema if not pa.types.is_floating(one.type)]
    return pq.ParquetWriter(file, schema, use_dictionary=repeating, write_statistics=repeating)


def _facts(cfg: EventsConfig, contents: Contents) -> dict[str, Any]:
    """What the file says about itself: roles of its columns, and the definition that made it."""
    roles = feature_roles(cfg)
    empty = [name for names in roles.values() for name in names if not contents.known[name]]
    present = {role: [name for name in names if name not in empty] for role, names in roles.items()}
    own = {"id": CUSTOMER, "time": CUTOFF, "target": CHURNED, "churned": ["1"]}
    return {
        "name": cfg.name,
        "roles": {**own, **present, "drop": empty, "horizon": label_days(cfg.churn, cfg.horizon)},
        "events": to_json(cfg),
    }


def sample_table(contents: Contents) -> pa.Table:
    """The rows that were kept."""
    return pa.concat_tables(contents.sample)
