"""Labels, which come late and in parts, matched with predictions.

They are a file (CSV or Parquet) or a table of BigQuery with the columns

- `customer_key`: as it was sent with the request; the name of the training table's id column works, too,
- `time`: when a customer left; for one who had not left, the last moment for which this is known,
- `churned`: 1 or 0, true or false, yes or no, or the word of the training table for "left",
- `treated` (optional): 1 for a called customer, 0 for the control group, empty for all others.

Or a Parquet file that `churn snapshot` wrote: its rows are labels at the end of the horizon.

A prediction made at t for a horizon h is settled once its window (t, t + h] is closed, that is, once labels
of customers who stayed reach its end: as "left" if its customer left in the window, and as "stayed" by any
label of the customer at or after t + h. `churn.monitor.closed_windows` says which settled predictions count.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from churn.data.contract import CUSTOMER_KEY
from churn.data.dataset import Schema
from churn.data.declared import facts_of
from churn.errors import UserError
from churn.monitor.vocabulary import NO, YES, check_one_meaning

TIME, CHURNED, TREATED = "time", "churned", "treated"
UNKNOWN = -1  # no label settles the prediction; the customer is neither called nor in the control group
SECONDS = 1 << 34  # more than any time since 1970, so that customer * SECONDS + time sorts by customer


@dataclass
class Labels:
    """Labels, sorted for a quick look-up of many predictions. Times are seconds since 1970, UTC."""

    keys: np.ndarray  # [K] customers, sorted
    left: np.ndarray  # [n] customer * SECONDS + time of each churn, sorted
    known: np.ndarray  # [K] the last time that a label of each customer covers
    treated: np.ndarray  # [K] 1, 0 or UNKNOWN
    closed: int  # the last time for which it is known who had stayed: later windows are open; or UNKNOWN

    @classmethod
    def of(cls, key: np.ndarray, time: np.ndarray, churned: np.ndarray, treated: np.ndarray) -> Labels:
        """From columns [n]: str, datetime64 (UTC), 0 or 1, and 1, 0 or UNKNOWN."""
        keys, code = np.unique(np.asarray(key, str), return_inverse=True)
        moment = to_seconds(time)
        known, was_treated = np.full(len(keys), -1), np.full(len(keys), UNKNOWN)
        np.maximum.at(known, code, moment)
        np.maximum.at(was_treated, code, treated)
        left = churned == 1
        closed = int(moment[~left].max(initial=UNKNOWN))
        return cls(keys, np.sort(code[left] * SECONDS + moment[left]), known, was_treated, closed)

    def is_closed(self, time: np.ndarray, horizon: int) -> np.ndarray:
        """[n] whether the outcome windows of predictions made at times [n] are closed."""
        return to_seconds(time) + horizon * 86_400 <= self.closed

    def settle(self, key: np.ndarray, time: np.ndarray, horizon: int) -> tuple[np.ndarray, np.ndarray]:
        """[n] outcome and [n] treatment for predictions about customers [n] at times [n], `horizon` in days.

        Both are 1, 0 or UNKNOWN, which is also the outcome of every prediction whose window is not closed.
        """
        outcome, treated = np.full(len(key), UNKNOWN), np.full(len(key), UNKNOWN)
        if not len(self.keys) or not len(key):
            return outcome, treated
        code = np.searchsorted(self.keys, key).clip(max=len(self.keys) - 1)
        rows = np.flatnonzero((self.keys[code] == key) & self.is_closed(time, horizon))
        code, begin = code[rows], to_seconds(time[rows])
        end = begin + horizon * 86_400
        before = np.searchsorted(self.left, code * SECONDS + begin, "right")
        left = np.searchsorted(self.left, code * SECONDS + end, "right") > before
        settled = left | (self.known[code] >= end)
        rows, code, left = rows[settled], code[settled], left[settled]
        outcome[rows], treated[rows] = left, self.treated[code]
        return outcome, treated


def to_seconds(time: np.ndarray) -> np.ndarray:
    """Seconds since 1970, at least 0."""
    return np.maximum(np.asarray(time).astype("datetime64[s]").astype(np.int64), 0)


def read_labels(path: str) -> pa.Table:
    """The table in a CSV or Parquet file; raises `UserError` if there is no such file."""
    file = Path(path)
    if not file.is_file():
        raise UserError("there is no such file", f"monitor.labels={path}")
    if file.suffix != ".parquet":
        return _read_csv_text(file)
    table, roles = pq.read_table(file), facts_of(file).get("roles")
    return table if roles is None else _labels_of_snapshot(table, roles)


def _labels_of_snapshot(table: pa.Table, roles: dict[str, Any]) -> pa.Table:
    """Labels for predictions that were made on the day of a cut-off, known at the end of the horizon."""
    days = pa.scalar(roles["horizon"] * 86_400, pa.duration("s"))
    decided = pc.add(table[roles["time"]].cast(pa.timestamp("s")), days)
    return pa.table({CUSTOMER_KEY: table[roles["id"]], TIME: decided, CHURNED: table[roles["target"]]})


def _read_csv_text(file: Path) -> pa.Table:
    """A CSV file with every cell as text, so that keys keep their leading zeros."""
    with pyarrow.csv.open_csv(file) as head:
        types = dict.fromkeys(head.schema.names, pa.string())
    return pyarrow.csv.read_csv(file, convert_options=pyarrow.csv.ConvertOptions(column_types=types))


def labels_from_table(table: pa.Table, path: str, schema: Schema, until: datetime) -> Labels:
    """Labels from a table with the columns that the docstring of this module names, as known at `until`.

    Raises `UserError` for missing columns and for cells that are not a label.
    """
    table = _with_columns(table, path, schema)
    churned = _yes_no_column(table[CHURNED], {word.lower() for word in schema.churned}, CHURNED, path)
    if (churned == UNKNOWN).any():
        where = f"{path}, column '{CHURNED}'"
        raise UserError("a label is empty", where, "leave out customers of whom nothing is known")
    treated = np.full(len(table), UNKNOWN)
    if TREATED in table.column_names:
        treated = _yes_no_column(table[TREATED], set(), TREATED, path)
    keys, time = table[CUSTOMER_KEY].cast(pa.string()).to_numpy(), _time_column(table[TIME], path)
    past = time <= np.datetime64(until.astimezone(UTC).replace(tzinfo=None), "s")
    return Labels.of(keys[past], time[past], churned[past], treated[past])


def _with_columns(table: pa.Table, path: str, schema: Schema) -> pa.Table:
    """The table with its column of keys named `customer_key`; raises `UserError` if a column is missing."""
    if CUSTOMER_KEY not in table.column_names and schema.id in table.column_names:
        table = table.rename_columns({str(schema.id): CUSTOMER_KEY})
    for name in (CUSTOMER_KEY, TIME, CHURNED):
        if name not in table.column_names:
            fault = f"the labels have no column '{name}', but {', '.join(table.column_names)}"
            raise UserError(fault, path, "see docs/monitoring.md")
    return table


def _yes_no_column(column: pa.ChunkedArray, also_yes: set[str], name: str, path: str) -> np.ndarray:
    """[n] 1 for yes, 0 for no, UNKNOWN for empty cells."""
    coded = column.cast(pa.string()).combine_chunks().dictionary_encode()
    words = [word.strip().lower() for word in coded.dictionary.to_pylist()]
    check_one_meaning(set(words), also_yes, f"{path}, column '{name}'")
    meaning = [UNKNOWN]
    for word, plain in zip(coded.dictionary.to_pylist(), words, strict=True):
        if plain and plain not in YES | NO | also_yes:
            raise UserError(f"'{word}' is neither yes nor no", f"{path}, column '{name}'", "write 1 or 0")
        meaning.append(UNKNOWN if not plain else int(plain in also_yes | YES))
    return np.array(meaning)[coded.indices.fill_null(-1).to_numpy() + 1]


def _time_column(column: pa.ChunkedArray, path: str) -> np.ndarray:
    """[n] datetime64[s] in UTC; times without a zone are UTC."""
    for kind in (pa.timestamp("s"), pa.timestamp("s", "UTC")):
        try:
            return column.cast(kind, safe=False).cast(pa.timestamp("s")).to_numpy()
        except pa.ArrowInvalid:
            continue
    do = "write 2026-11-24 or 2026-11-24T12:00:00Z"
    raise UserError(f"a cell of the column '{TIME}' is no time", path, do)
