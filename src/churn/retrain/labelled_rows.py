"""Rows whose outcome is known by now: of the table that `data` names, and of the log with its labels.

All have the columns of the champion's training table, so that challenger and champion read the same inputs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from churn.bundle.bundle import Bundle
from churn.config.root import Config
from churn.data.coded import DictionaryColumn
from churn.data.dataset import Dataset
from churn.data.declared import with_declared_roles
from churn.data.features import logged_column
from churn.data.forgotten import Forgotten
from churn.data.id_hash import IdHash, id_hash
from churn.data.load import load_dataset
from churn.errors import UserError, count
from churn.monitor import source
from churn.monitor.closed_windows import ClosedWindows
from churn.monitor.collect import configured_labels, label_horizon
from churn.monitor.labels import UNKNOWN, Labels
from churn.monitor.period import parse_time
from churn.monitor.wording import describe_labels

if TYPE_CHECKING:
    import pyarrow as pa

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)  # before any log


@dataclass(frozen=True)
class LabelledRows:
    """n labelled rows. `a + b` is both."""

    frame: pd.DataFrame  # features as in `Dataset.frame`
    churned: np.ndarray  # [n] int8, 1 = left
    customers: np.ndarray  # [n] str, hashed ids
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
    """Rows whose outcome window is closed: of the table and, with `monitor.labels`, of the prediction log.

    Raises `UserError` if the table does not have the champion's features, or the log has no rows.
    """
    cfg = replace(cfg, data=with_declared_roles(cfg.data))
    data = load_dataset(cfg.data, cfg.seed)
    _check_features(data, champion)
    rows, now = _rows_of_dataset(data, champion, id_hash(cfg)), parse_time(cfg.retrain.now, "retrain.now")
    closed = to_datetime64(now) - np.timedelta64(label_horizon(champion, cfg), "D")
    if data.times is not None:  # a table without times has only customers whose outcome is known
        rows = _up_to(closed, rows, data.origin)
    if known := configured_labels(cfg, champion, now):
        rows = replace(rows, treated=_treated(known, rows.customers))
        rows += _up_to(closed, _rows_of_log(cfg, champion, known, now), "the log")
    return rows.take(~Forgotten.of(cfg).rows_of(rows.customers))


def _up_to(closed: np.datetime64, rows: LabelledRows, origin: str) -> LabelledRows:
    """The rows up to a time; says how many are later: what became of them is not known yet."""
    settled = np.asarray(rows.times <= closed)
    if late := int((~settled).sum()):
        print(f"{origin}: {count(late, 'row')} later than {closed}, whose outcome windows are open, left out")
    return rows.take(settled)


def _check_features(data: Dataset, champion: Bundle) -> None:
    """Raise `UserError` if the table lacks features of the champion, or has others, or of another kind."""
    own, table = (
        dict.fromkeys(schema.numeric, "a number") | dict.fromkeys(schema.categorical, "a category")
        for schema in (champion.schema, data.schema)
    )
    problems = [
        f"{name!r} is {own.get(name, 'missing')} in the champion, {table.get(name, 'missing')} in the table"
        for name in sorted({*own, *table})
        if own.get(name) != table.get(name)
    ]
    if problems:
        raise UserError(
            f"the table does not have the features of the champion: {'; '.join(problems)}",
            data.origin,
            "data.drop, data.numeric and data.categorical choose features; or churn train, churn promote",
        )


def _treated(known: Labels, customers: np.ndarray) -> np.ndarray:
    """[n] int8: what the labels say of the treatment of customers, by their hashed ids."""
    where = pd.Index(known.keys).get_indexer(pd.Index(customers))
    return np.append(known.treated, UNKNOWN)[where].astype(np.int8)


def last_seen(bundle: Bundle) -> np.datetime64:
    """The time of the newest row that a model was made from; without times, when the model was made."""
    time = bundle.facts["data"].get("until") or bundle.facts["created"].removesuffix("Z")
    return np.datetime64(time, "s")


def _rows_of_dataset(data: Dataset, champion: Bundle, hash_id: IdHash) -> LabelledRows:
    """Rows of a table; without times, they count as old as the champion's newest."""
    n = len(data)
    customers = (
        np.array([f"row {i}" for i in range(n)], object) if data.ids is None else hash_id.each(data.ids)
    )
    times = np.full(n, last_seen(champion)) if data.times is None else data.times
    treated = np.full(n, UNKNOWN, np.int8)
    frame = data.frame[list(champion.schema.features)]
    return LabelledRows(frame, data.churned, customers, times.astype("datetime64[s]"), treated)


def _rows_of_log(cfg: Config, champion: Bundle, known: Labels, until: datetime) -> LabelledRows:
    """Rows of the log that count, whichever version with the champion's inputs answered them."""
    closed, parts, others = ClosedWindows(known, label_horizon(champion, cfg)), list[LabelledRows](), 0
    for chunk in source.read_predictions(cfg, _oldest_needed(cfg, closed.horizon, until), until):
        if not has_inputs(chunk, champion):
            others += chunk.num_rows
            continue
        keys = known.customers_of(chunk)
        known.meet(keys)
        parts.append(_settled_of_chunk(chunk, keys, closed, champion))
        if (kept := closed.compact()) is not None:
            parts = [reduce(add, parts).take(kept)]
    if others:
        print(f"{others:,} answers of versions with other inputs are left out")
    for line in describe_labels(closed.to_json()):
        print(line)
    if not parts:
        raise UserError("the log has no rows", source.log_location(cfg), "see docs/monitoring.md")
    known.check_met(str(cfg.monitor.labels))
    return reduce(add, parts).take(closed.once_a_period())


def _oldest_needed(cfg: Config, horizon: int, until: datetime) -> datetime:
    """When the oldest prediction was made that may be trained on, or on which models may be compared.

    Fresh rows, and those of a probation, may be older than their own days by the horizon. A second horizon
    lets labels come late.
    """
    keys = cfg.retrain
    if keys.window_days is None:
        return BEGINNING
    compared = max(keys.fresh_days, keys.probation_days) + 2 * horizon
    return until - timedelta(days=max(keys.window_days, compared))


def _settled_of_chunk(
    table: pa.Table, keys: np.ndarray, closed: ClosedWindows, bundle: Bundle
) -> LabelledRows:
    """The rows whose outcome is known, from a chunk of `churn.serve.log.read` about the customers `keys`."""
    times = table["time"].to_numpy()
    before = len(closed.settled)
    known = closed.add(keys, times, np.zeros(len(keys)))
    added = closed.settled.take(np.arange(before, before + len(known)))
    table = table.take(known)
    churned, treated = (values.astype(np.int8) for values in (added.churned, added.treated))
    moments = times[known].astype("datetime64[s]")
    return LabelledRows(frame_of_log(table, bundle), churned, keys[known].astype(object), moments, treated)


def has_inputs(table: pa.Table, bundle: Bundle) -> bool:
    """Whether rows of the log have all inputs of a bundle."""
    return {f"inputs.{field['input']}" for field in bundle.facts["inputs"]} <= set(table.column_names)


def frame_of_log(table: pa.Table, bundle: Bundle) -> pd.DataFrame:
    """The features of a bundle, as in `Dataset.frame`, from a chunk of `churn.serve.log.read`."""
    columns = {}
    for field in bundle.facts["inputs"]:
        cells = logged_column(table[f"inputs.{field['input']}"], field["kind"] == "number", bundle.schema)
        columns[field["column"]] = cells.texts if isinstance(cells, DictionaryColumn) else cells.astype(float)
    return pd.DataFrame(columns)[list(bundle.schema.features)]


def to_datetime64(moment: datetime) -> np.datetime64:
    """The moment in UTC, to the second."""
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "s")
