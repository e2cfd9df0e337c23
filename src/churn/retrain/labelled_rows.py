"""Rows whose outcome is known by now: of the table that `data` names, and of the log with its labels.

All have the columns of the champion's training table, so that challenger and champion read the same inputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from churn.bundle.bundle import Bundle
from churn.config.root import Config
from churn.data.contract import CUSTOMER_KEY
from churn.data.dataset import Dataset
from churn.data.features import DictionaryColumn, id_column, logged_column
from churn.data.load import load_dataset
from churn.errors import UserError
from churn.monitor import source
from churn.monitor.collect import configured_labels
from churn.monitor.labels import UNKNOWN, Labels
from churn.monitor.period import parse_time

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class LabelledRows:
    """n labelled rows. `a + b` is both."""

    frame: pd.DataFrame  # features as in `Dataset.frame`
    churned: np.ndarray  # [n] int8, 1 = left
    customers: np.ndarray  # [n] str
    times: np.ndarray  # [n] datetime64[s], UTC
    treated: np.ndarray  # [n] int8: 1 called, 0 held out as control, UNKNOWN

    def __len__(self) -> int:
        return len(self.frame)

    def take(self, rows: np.ndarray) -> LabelledRows:
        """The rows at the positions `rows`, or where the mask `rows` is true."""
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        frame = self.frame.iloc[rows].reset_index(drop=True)
        return LabelledRows(
            frame, self.churned[rows], self.customers[rows], self.times[rows], self.treated[rows]
        )

    def __add__(self, other: LabelledRows) -> LabelledRows:
        arrays = {
            name: np.concatenate([getattr(self, name), getattr(other, name)])
            for name in vars(self)
            if name != "frame"
        }
        return LabelledRows(pd.concat([self.frame, other.frame], ignore_index=True), **arrays)


def settled_rows(cfg: Config, champion: Bundle) -> LabelledRows:
    """Rows whose horizon is over: of the table and, with `monitor.labels`, of the prediction log.

    Raises `UserError` if the table does not have the champion's features, or the log has no rows.
    """
    data = load_dataset(cfg.data, cfg.seed)
    if data.schema.features != champion.schema.features:
        raise UserError(
            "the table does not have the features of the champion", data.origin, "churn train, churn promote"
        )
    rows = _rows_of_dataset(data, last_seen(champion))
    now = parse_time(cfg.retrain.now, "retrain.now")
    if known := configured_labels(cfg, champion, now):
        rows += _rows_of_log(cfg, champion, known, now)
    return rows.take(np.asarray(rows.times + np.timedelta64(cfg.data.horizon, "D") <= to_datetime64(now)))


def last_seen(bundle: Bundle) -> np.datetime64:
    """The time of the newest row that a model was made from; without times, when the model was made."""
    time = bundle.facts["data"].get("until") or bundle.facts["created"].removesuffix("Z")
    return np.datetime64(time, "s")


def _rows_of_dataset(data: Dataset, seen: np.datetime64) -> LabelledRows:
    """Rows of a table; without times, they count as old as the champion's newest."""
    n = len(data)
    customers = np.array([f"row {i}" for i in range(n)], object) if data.ids is None else data.ids
    times = np.full(n, seen) if data.times is None else data.times
    treated = np.full(n, UNKNOWN, np.int8)
    return LabelledRows(data.frame, data.churned, customers, times.astype("datetime64[s]"), treated)


def _rows_of_log(cfg: Config, champion: Bundle, known: Labels, until: datetime) -> LabelledRows:
    """Rows of the log that labels settle, whichever version answered them."""
    rows = []
    for chunk in source.read_predictions(cfg, until - timedelta(days=cfg.monitor.label_days), until):
        keys, times = id_column(chunk[CUSTOMER_KEY]).texts.astype(str), chunk["time"].to_numpy()
        known.meet(keys)
        rows.append(_rows_of_chunk(chunk, *known.settle(keys, times, cfg.data.horizon), champion))
    if not rows:
        raise UserError("the log has no rows", source.log_location(cfg), "see docs/monitoring.md")
    known.check_met(str(cfg.monitor.labels))
    return reduce(add, rows)


def _rows_of_chunk(table: pa.Table, outcome: np.ndarray, treated: np.ndarray, bundle: Bundle) -> LabelledRows:
    """The rows whose outcome [n] is 1 or 0, from a chunk of `churn.serve.log.read`."""
    known = np.flatnonzero(outcome != UNKNOWN)
    table = table.take(known)
    columns = {}
    for field in bundle.facts["inputs"]:
        cells = logged_column(table[f"inputs.{field['input']}"], field["kind"] == "number", bundle.schema)
        columns[field["column"]] = cells.texts if isinstance(cells, DictionaryColumn) else cells.astype(float)
    frame = pd.DataFrame(columns)[list(bundle.schema.features)]
    times = table["time"].to_numpy().astype("datetime64[s]")
    customers = id_column(table[CUSTOMER_KEY]).texts
    return LabelledRows(
        frame, outcome[known].astype(np.int8), customers, times, treated[known].astype(np.int8)
    )


def to_datetime64(moment: datetime) -> np.datetime64:
    """The moment in UTC, to the second."""
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "s")
