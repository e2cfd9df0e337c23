"""The labelled rows of a retraining: the table that `data` names, and the log with its labels.

All in the columns of the champion's training table, so that challenger and champion read the same inputs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from churn.bundle.bundle import Bundle
from churn.config.data import DataConfig, Source
from churn.config.loop import RetrainConfig, Treated
from churn.data.dataset import CUSTOMER_KEY, Dataset, Schema
from churn.data.features import DictionaryColumn, id_column, logged_column
from churn.data.infer.target import ANY

if TYPE_CHECKING:
    import pyarrow as pa

TIME = "predicted_at"  # names of id and time where the training table has none
LEFT, STAYED = "left", "stayed"  # the words for who left, where the table has none, and who did not
UNKNOWN = -1  # neither treated nor held out
DAY = 86_400  # seconds


@dataclass(frozen=True)
class LabelledRows:
    """Labelled rows, n of them."""

    frame: pd.DataFrame  # features as in `Dataset.frame`
    churned: np.ndarray  # [n] int8, 1 = left
    customers: np.ndarray  # [n] str
    times: np.ndarray  # [n] datetime64[s], UTC
    treated: np.ndarray  # [n] int8: 1 called, 0 held out as control, UNKNOWN

    def __len__(self) -> int:
        return len(self.frame)

    def take(self, rows: np.ndarray) -> LabelledRows:
        """The rows at some positions, or where a mask holds."""
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        frame = self.frame.iloc[rows].reset_index(drop=True)
        return LabelledRows(
            frame, self.churned[rows], self.customers[rows], self.times[rows], self.treated[rows]
        )

    def __add__(self, other: LabelledRows) -> LabelledRows:
        joined = {
            k: np.concatenate([getattr(self, k), getattr(other, k)]) for k in vars(self) if k != "frame"
        }
        return LabelledRows(pd.concat([self.frame, other.frame], ignore_index=True), **joined)


def rows_of_dataset(data: Dataset, seen: np.datetime64) -> LabelledRows:
    """Rows of a table; where it has no times, they are as old as the champion's."""
    n = len(data)
    customers = np.array([f"row {i}" for i in range(n)], object) if data.ids is None else data.ids
    times = np.full(n, seen) if data.times is None else data.times
    treated = np.full(n, UNKNOWN, np.int8)
    return LabelledRows(data.frame, data.churned, customers, times.astype("datetime64[s]"), treated)


def rows_of_log(table: pa.Table, outcome: np.ndarray, treated: np.ndarray, bundle: Bundle) -> LabelledRows:
    """The answered rows whose outcome [n] is 1 or 0, from a chunk of `churn.serve.log.read`."""
    known = np.flatnonzero(outcome != UNKNOWN)
    table = table.take(known)
    columns = {}
    for field in bundle.facts["inputs"]:
        cells = logged_column(table[f"inputs.{field['input']}"], field["kind"] == "number", bundle.schema)
        columns[field["column"]] = cells.texts if isinstance(cells, DictionaryColumn) else cells.astype(float)
    frame = pd.DataFrame(columns)[list(bundle.schema.features)]
    times = table["time"].to_numpy().astype("datetime64[s]")
    customers = id_column(table["customer_key"]).texts
    return LabelledRows(
        frame, outcome[known].astype(np.int8), customers, times, treated[known].astype(np.int8)
    )


def split_fresh(
    rows: LabelledRows, seen: np.datetime64, now: np.datetime64, cfg: RetrainConfig, seed: int
) -> tuple[LabelledRows, LabelledRows]:
    """The rows to train on and the fresh ones to compare on; no customer is in both.

    Fresh are the newest rows of a share of the customers, later than what the champion has seen; a customer
    has the same fate in every retraining. Old rows leave by the window, or are thinned by their half-life.
    """
    rows = _without_treatment(rows, cfg.treated)
    newest = rows.times.max() if len(rows) else seen
    later = (rows.times > seen) & (rows.times > newest - np.timedelta64(round(cfg.fresh_days * DAY), "s"))
    chosen = pd.util.hash_array(rows.customers) / 2.0**64 < cfg.fresh_share
    fresh = later & chosen
    held_back = np.isin(rows.customers, np.unique(rows.customers[fresh]))
    kept = ~held_back
    age = (now - rows.times).astype(float) / DAY
    if cfg.window_days is not None:
        kept &= age <= cfg.window_days
    if cfg.half_life_days is not None:
        kept &= np.random.default_rng(seed).random(len(rows)) < 0.5 ** (age / cfg.half_life_days)
    return rows.take(kept), rows.take(fresh)


def _without_treatment(rows: LabelledRows, treated: Treated) -> LabelledRows:
    """Rows whose labels say what happens to customers who are not called.

    `keep_out` drops the treated. `correct` drops them too, and lets those held out as control stand for them:
    who is held out was drawn by lot from the same list. Copies differ by a second and belong to one customer,
    so that they stay together.
    """
    if treated is Treated.keep:
        return rows
    untreated = rows.take(rows.treated != 1)
    control = np.flatnonzero(untreated.treated == 0)
    if treated is Treated.keep_out or not len(control):
        return untreated
    copies = round((len(rows) - len(untreated)) / len(control))
    for number in range(copies):
        copy = rows.take(np.flatnonzero(rows.treated == 0))
        untreated += replace(copy, times=copy.times + np.timedelta64(number + 1, "s"))
    return untreated


def write_rows(rows: LabelledRows, schema: Schema, path: Path) -> None:
    """A Parquet file that `data_config` describes."""
    columns = {
        schema.id or CUSTOMER_KEY: rows.customers,
        schema.time or TIME: rows.times,
        schema.target: np.where(rows.churned == 1, _left_word(schema), STAYED),
    }
    rows.frame.assign(**columns).to_parquet(path, index=False)


def _left_word(schema: Schema) -> str:
    """A word for "left" that a file can hold: that of the champion's table, unless it is blank or any."""
    return next((word for word in schema.churned if word not in ("", ANY)), LEFT)


def data_config(cfg: DataConfig, schema: Schema, path: Path) -> DataConfig:
    """How to load the file that `write` made: every role as the champion has it."""
    return DataConfig(
        name=cfg.name,
        source=Source.file,
        path=str(path),
        cache=cfg.cache,
        target=schema.target,
        churned=[_left_word(schema)],
        id=schema.id or CUSTOMER_KEY,
        time=schema.time or TIME,
        horizon=cfg.horizon,
        numeric=list(schema.numeric),
        categorical=list(schema.categorical),
    )


def to_datetime64(moment: datetime) -> np.datetime64:
    """The same as numpy has it, without a zone."""
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "s")
