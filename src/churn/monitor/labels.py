"""Labels, which come late and in parts, matched with predictions.

They are a file, as `churn train` reads it, or a table of BigQuery with the columns

- `customer_key`: as it was sent with the request; the name of the training table's id column works, too,
- `time`: when a customer left; for one who had not left, the last moment for which this is known. A day
  without a time counts to its end,
- `churned`: 1 or 0, true or false, yes or no, or the word of the training table for "left",
- `treated` (optional): 1 for a called customer, 0 for the control group, empty for all others.

Or a Parquet file that `churn snapshot` wrote (`churn.monitor.label_files`).

A prediction made at t for a horizon h is settled once its window (t, t + h] is closed, that is, once labels
of customers who stayed reach its end: as "left" if its customer left in the window, and as "stayed" by any
label of the customer at or after t + h. `churn.monitor.closed_windows` says which settled predictions count.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from churn.data.contract import CUSTOMER_KEY
from churn.data.dataset import Schema
from churn.data.features import id_column
from churn.data.id_hash import IdHash
from churn.data.infer.cells import are_days, as_written, to_ids, to_times
from churn.data.sources.columns import simplify_types, to_pandas
from churn.data.spelling import one_spelling
from churn.data.table import RawTable
from churn.errors import UserError, count
from churn.events.calendar import days_of, first_moments
from churn.monitor.vocabulary import NO, YES, check_one_meaning

if TYPE_CHECKING:
    import pandas as pd

TIME, CHURNED, TREATED = "time", "churned", "treated"
SNAPSHOT = "row of a snapshot"  # a column that only labels of `churn snapshot` have
SHOWN = 5  # wrong cells that a message lists
UNKNOWN = -1  # no label settles the prediction; the customer is neither called nor in the control group
DAY = 86_400  # seconds
LAST_SECOND = np.timedelta64(DAY - 1, "s")  # of a day, since its beginning
SECONDS = 1 << 34  # more than any time since 1970, so that customer * SECONDS + time sorts by customer


@dataclass
class Labels:
    """Labels, sorted for a quick look-up of many predictions. Times are seconds since 1970, UTC."""

    keys: np.ndarray  # [K] customers, sorted
    left: np.ndarray  # [n] customer * SECONDS + time of each churn, sorted
    known: np.ndarray  # [K] the last time that a label of each customer covers
    treated: np.ndarray  # [K] 1, 0 or UNKNOWN
    closed: int  # the last time for which it is known who had stayed: later windows are open; or UNKNOWN
    stayed: np.ndarray | None = None  # [m] as `left`, of a snapshot, whose rows settle one day; None: others
    hash_id: IdHash | None = None  # by which `keys` are hashed; None: they are as they were sent
    met: bool = False  # whether there was a prediction about a customer with a label
    others: int = 0  # predictions about customers
    foreign: int = 0  # those of them whose ids another key has hashed
    zone: str = "UTC"  # whose days the rows of a snapshot settle

    @classmethod
    def of(
        cls,
        key: np.ndarray,
        time: np.ndarray,
        churned: np.ndarray,
        treated: np.ndarray,
        hash_id: IdHash | None = None,
        of_snapshot: bool = False,
    ) -> Labels:
        """From columns [n]: str, datetime64 (UTC), 0 or 1, and 1, 0 or UNKNOWN.

        Rows without a key are left out: all requests without one would be the same customer.
        """
        named = np.asarray(key, str) != ""
        key, time, churned, treated = (column[named] for column in (key, time, churned, treated))
        key = key if hash_id is None else hash_id.each(key)
        keys, code = np.unique(np.asarray(key, str), return_inverse=True)
        moment = to_seconds(time)
        known, was_treated = np.full(len(keys), -1), np.full(len(keys), UNKNOWN)
        np.maximum.at(known, code, moment)
        np.maximum.at(was_treated, code, treated)
        left = churned == 1
        leaves, stays = (np.sort(code[rows] * SECONDS + moment[rows]) for rows in (left, ~left))
        closed = int(moment[~left].max(initial=UNKNOWN))
        return cls(keys, leaves, known, was_treated, closed, stays if of_snapshot else None, hash_id)

    def customers_of(self, rows: pa.Table) -> np.ndarray:
        """[n] str: the customers of predictions from the log, in the form of `keys`."""
        column = id_column(rows[CUSTOMER_KEY])
        if self.hash_id is None:
            return column.texts.astype(str)
        return self.hash_id.each(column.levels).astype(str)[column.codes]

    def is_closed(self, time: np.ndarray, horizon: int) -> np.ndarray:
        """[n] whether the outcome windows of predictions made at times [n] are closed."""
        return to_seconds(time) + horizon * DAY <= self.closed

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
        end = begin + horizon * DAY
        if self.stayed is None:
            left = _is_between(self.left, code, begin, end)
            settled = left | (self.known[code] >= end)
        else:  # by the row of its own day alone: one of another day may say otherwise
            day = first_moments(days_of(time[rows], self.zone), self.zone)
            end = to_seconds(day) + horizon * DAY
            left = _is_between(self.left, code, end - 1, end)
            settled = left | _is_between(self.stayed, code, end, end + DAY + 3600)  # clocks put back
        rows, code, left = rows[settled], code[settled], left[settled]
        outcome[rows], treated[rows] = left, self.treated[code]
        return outcome, treated

    def meet(self, key: np.ndarray) -> None:
        """Take note of the customers [n] that some predictions were about, whichever model made them."""
        if not self.met:
            self.others += len(key)
            self.foreign += sum(map(self.hash_id.is_foreign, map(str, key))) if self.hash_id else 0
        self.met = self.met or bool(np.isin(key, self.keys).any())

    def check_met(self, path: str) -> None:
        """Raise `UserError` if there were predictions, and none about a customer with a label.

        No id is shown: messages end in logs.
        """
        if self.met or not len(self.keys) or not self.others:
            return
        what = f"none of its {count(len(self.keys), 'customer')} is in the log"
        do = "write the ids as they were sent in `customer_key`; or leave monitor.labels out"
        if self.foreign:
            what += f", where another key has hashed {self.foreign:,} of {count(self.others, 'id')}"
            do = "use the server's key: CHURN_ID_KEY, or privacy.key_file=FILE"
        raise UserError(what, f"monitor.labels={path}", do)


def to_seconds(time: np.ndarray) -> np.ndarray:
    """Seconds since 1970, at least 0."""
    return np.maximum(np.asarray(time).astype("datetime64[s]").astype(np.int64), 0)


def _is_between(moments: np.ndarray, code: np.ndarray, after: np.ndarray, until: np.ndarray) -> np.ndarray:
    """[n] whether each customer has one of the sorted moments in (after, until]."""
    before = np.searchsorted(moments, code * SECONDS + after, "right")
    return np.searchsorted(moments, code * SECONDS + until, "right") > before


def labels_from_table(
    table: RawTable | pa.Table,
    path: str,
    schema: Schema,
    until: datetime,
    hash_id: IdHash | None = None,
) -> Labels:
    """Labels from a table with the columns that the docstring of this module names, as known at `until`.

    Raises `UserError` for missing columns and for cells that are not a label, with their lines.
    """
    raw = table if isinstance(table, RawTable) else RawTable(to_pandas(simplify_types(table)), path)
    frame = _with_columns(raw.frame, path, schema)
    churned = _yes_no_column(frame[CHURNED], {word.lower() for word in schema.churned}, raw)
    _refuse_cells(
        churned == UNKNOWN, "a label is empty", frame[CHURNED], raw, "leave out whom nothing is known of"
    )
    treated = np.full(len(frame), UNKNOWN)
    if TREATED in frame:
        treated = _yes_no_column(frame[TREATED], set(), raw)
    time, wrong = to_times(frame[TIME])
    _refuse_cells(wrong, "a cell is no time", frame[TIME], raw, "write 2026-11-24 or 2026-11-24T12:00:00Z")
    now = np.datetime64(until.astimezone(UTC).replace(tzinfo=None), "s")
    past = time <= now
    if SNAPSHOT not in frame:  # its times are moments
        for rows in (churned == 1, churned == 0):  # where only stayers have days, these may be midnight
            day = np.flatnonzero(rows)[are_days(frame[TIME][rows], time[rows])]
            time[day] = np.minimum(time[day] + LAST_SECOND, now)
    keys = to_ids(frame[CUSTOMER_KEY]).to_numpy(object)
    known = Labels.of(keys[past], time[past], churned[past], treated[past], hash_id, SNAPSHOT in frame)
    return replace(known, zone=str(frame[SNAPSHOT].iloc[0])) if SNAPSHOT in frame and len(frame) else known


def _with_columns(frame: pd.DataFrame, path: str, schema: Schema) -> pd.DataFrame:
    """The table with its column of keys named `customer_key`; raises `UserError` if a column is missing."""
    if CUSTOMER_KEY not in frame and schema.id in frame:
        frame = frame.rename(columns={schema.id: CUSTOMER_KEY})
    for name in (CUSTOMER_KEY, TIME, CHURNED):
        if name not in frame:
            fault = f"the labels have no column '{name}', but {', '.join(map(str, frame))}"
            raise UserError(fault, path, "see docs/monitoring.md")
    return frame


def _yes_no_column(column: pd.Series, also_yes: set[str], raw: RawTable) -> np.ndarray:
    """[n] 1 for yes, 0 for no, UNKNOWN for empty cells."""
    import pandas as pd

    codes, words = pd.factorize(as_written(column))
    check_one_meaning(
        {_known_word(word) for word in words} - {""},
        {_known_word(word) for word in also_yes} - {""},
        f"{raw.origin}, column '{column.name}'",
    )
    meaning = [_meaning(str(word).lower(), also_yes) for word in words]
    neither = np.array([one is None for one in meaning], bool)[codes]
    _refuse_cells(neither, "a cell is neither yes nor no", column, raw, "write 1 or 0")
    return np.array([UNKNOWN if one is None else one for one in meaning], int)[codes]


def _known_word(word: str) -> str:
    """A word in lower case; in its one spelling where the usual vocabulary has only that."""
    lower = str(word).lower()
    return lower if lower in YES | NO else one_spelling(lower)


def _meaning(word: str, also_yes: set[str]) -> int | None:
    """1 for yes, 0 for no, UNKNOWN for an empty cell, None for any other word."""
    plain = one_spelling(word)
    if word in also_yes or plain in YES:
        return 1
    return UNKNOWN if not plain else 0 if plain in NO else None


def _refuse_cells(wrong: np.ndarray, what: str, column: pd.Series, raw: RawTable, do: str) -> None:
    """Raise `UserError` that names the lines of the first wrong cells."""
    rows = np.flatnonzero(wrong)
    if len(rows):
        numbers = rows + 1 if raw.lines is None else raw.lines[rows]
        cells = as_written(column.iloc[rows[:SHOWN]])
        listed = ", ".join(f"{raw.unit} {n}: '{cell}'" for n, cell in zip(numbers, cells, strict=False))
        more = f" and {count(len(rows) - SHOWN, 'more cell')}" * (len(rows) > SHOWN)
        raise UserError(what, f"{raw.origin}, column '{column.name}', {listed}{more}", do)
