"""What became of the customers: labels that come late and in parts, matched with what was predicted.

A file (CSV or Parquet) or a table of BigQuery with the columns

- `customer_key`: as it was sent with the request, or under the name of the training table's id column,
- `time`: for who left, when; for who had not, until when that is known,
- `churned`: 1 or 0, true or false, yes or no, or the words of the training table,
- `treated` (optional): 1 who was called, 0 who was held out as control, empty who was neither.

Or a file that `churn snapshot` wrote: what became, by the end of the horizon, of who was a customer at its
cut-offs.

A prediction made at t for a horizon h is settled as "left" by a label of its customer that left in (t, t +
h], as "stayed" by any label that reaches t + h. What is not settled yet waits for the next file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from churn.data.dataset import CUSTOMER_KEY, Schema
from churn.data.declared import facts_of
from churn.errors import UserError

TIME, CHURNED, TREATED = "time", "churned", "treated"
YES, NO = {"1", "1.0", "true", "yes", "y"}, {"0", "0.0", "false", "no", "n"}
UNKNOWN = -1  # a prediction without a label that settles it; a customer neither treated nor held out
SECONDS = 1 << 34  # more than any time since 1970: customer * SECONDS + time sorts by customer first


@dataclass
class Labels:
    """Labels sorted so that a batch of predictions finds its own. Times are seconds since 1970, UTC."""

    keys: np.ndarray  # [K] customers, sorted
    left: np.ndarray  # [n] customer * SECONDS + time of each leaving, sorted
    known: np.ndarray  # [K] until when something is known of each customer
    treated: np.ndarray  # [K] 1, 0 or UNKNOWN
    counted: np.ndarray = field(init=False)  # [K] whether a prediction was settled already

    def __post_init__(self) -> None:
        self.counted = np.zeros(len(self.keys), bool)

    @classmethod
    def of(cls, key: np.ndarray, time: np.ndarray, churned: np.ndarray, treated: np.ndarray) -> Labels:
        """From columns [n]: str, datetime64 (UTC), 0 or 1, and 1, 0 or UNKNOWN."""
        keys, code = np.unique(np.asarray(key, str), return_inverse=True)
        moment = _seconds(time)
        known, was_treated = np.full(len(keys), -1), np.full(len(keys), UNKNOWN)
        np.maximum.at(known, code, moment)
        np.maximum.at(was_treated, code, treated)
        gone = churned == 1
        return cls(keys, np.sort(code[gone] * SECONDS + moment[gone]), known, was_treated)

    def settle(self, key: np.ndarray, time: np.ndarray, horizon: int) -> tuple[np.ndarray, np.ndarray]:
        """[n] outcome of predictions for customers [n] at times [n] within `horizon` days, and treatment.

        UNKNOWN where nothing settles it. Of several predictions for one customer only the first that is
        settled counts: the others share its fate.
        """
        outcome, treated = np.full(len(key), UNKNOWN), np.full(len(key), UNKNOWN)
        if not len(self.keys) or not len(key):
            return outcome, treated
        code = np.searchsorted(self.keys, key).clip(max=len(self.keys) - 1)
        rows = np.flatnonzero(self.keys[code] == key)
        code, begin = code[rows], _seconds(time[rows])
        end = begin + horizon * 86_400
        before, until = (
            np.searchsorted(self.left, code * SECONDS + moment, "right") for moment in (begin, end)
        )
        gone = until > before
        settled = np.flatnonzero((gone | (self.known[code] >= end)) & ~self.counted[code])
        chosen = settled[np.unique(code[settled], return_index=True)[1]]
        self.counted[code[chosen]] = True
        outcome[rows[chosen]], treated[rows[chosen]] = gone[chosen], self.treated[code[chosen]]
        return outcome, treated


def _seconds(time: np.ndarray) -> np.ndarray:
    """Seconds since 1970; before that, 0."""
    return np.maximum(np.asarray(time).astype("datetime64[s]").astype(np.int64), 0)


def read_labels(place: str) -> pa.Table:
    """The table of labels in a file."""
    path = Path(place)
    if not path.is_file():
        raise UserError("there is no such file", f"monitor.labels={place}")
    if path.suffix != ".parquet":
        return _read_csv_text(path)
    table = pq.read_table(path)
    roles = facts_of(path).get("roles")
    return table if roles is None else _labels_of_snapshot(table, roles)


def _labels_of_snapshot(table: pa.Table, roles: dict[str, Any]) -> pa.Table:
    """Each row settles predictions that were made on the day of its cut-off: at the end of the horizon."""
    decided = pc.add(
        table[roles["time"]].cast(pa.timestamp("s")), pa.scalar(roles["horizon"] * 86_400, pa.duration("s"))
    )
    return pa.table({CUSTOMER_KEY: table[roles["id"]], TIME: decided, CHURNED: table[roles["target"]]})


def _read_csv_text(path: Path) -> pa.Table:
    """A CSV file with every cell as text, so that keys keep their zeros."""
    with pyarrow.csv.open_csv(path) as head:
        types = dict.fromkeys(head.schema.names, pa.string())
    return pyarrow.csv.read_csv(path, convert_options=pyarrow.csv.ConvertOptions(column_types=types))


def labels_from_table(table: pa.Table, place: str, schema: Schema, until: datetime) -> Labels:
    """Labels from a table with the columns that this module describes, as they were known at `until`.

    Raises `UserError` for columns that are missing and cells that are no label.
    """
    if CUSTOMER_KEY not in table.column_names and schema.id in table.column_names:
        table = table.rename_columns({str(schema.id): CUSTOMER_KEY})
    for name in (CUSTOMER_KEY, TIME, CHURNED):
        if name not in table.column_names:
            known = ", ".join(table.column_names)
            raise UserError(
                f"the labels have no column '{name}', but {known}", place, "see docs/monitoring.md"
            )
    churned = _yes_no_column(table[CHURNED], {word.lower() for word in schema.churned}, CHURNED, place)
    if (churned == UNKNOWN).any():
        raise UserError(
            "a label is empty", f"{place}, column '{CHURNED}'", "leave out whom nothing is known of"
        )
    held_out = (
        _yes_no_column(table[TREATED], set(), TREATED, place) if TREATED in table.column_names else None
    )
    treated = np.full(len(table), UNKNOWN) if held_out is None else held_out
    keys, time = table[CUSTOMER_KEY].cast(pa.string()).to_numpy(), _time_column(table[TIME], place)
    past = time <= np.datetime64(until.astimezone(UTC).replace(tzinfo=None), "s")
    return Labels.of(keys[past], time[past], churned[past], treated[past])


def _yes_no_column(column: pa.ChunkedArray, also_yes: set[str], name: str, place: str) -> np.ndarray:
    """[n] 1 for yes, 0 for no, UNKNOWN for empty cells."""
    coded = column.cast(pa.string()).combine_chunks().dictionary_encode()
    meaning = [UNKNOWN]
    for word in coded.dictionary.to_pylist():
        plain = word.strip().lower()
        if plain and plain not in YES | NO | also_yes:
            raise UserError(f"'{word}' is neither yes nor no", f"{place}, column '{name}'", "write 1 or 0")
        meaning.append(UNKNOWN if not plain else int(plain in also_yes or (plain in YES and plain not in NO)))
    return np.array(meaning)[coded.indices.fill_null(-1).to_numpy() + 1]


def _time_column(column: pa.ChunkedArray, place: str) -> np.ndarray:
    """[n] datetime64[s] in UTC; times without a zone are UTC."""
    for kind in (pa.timestamp("s"), pa.timestamp("s", "UTC")):
        try:
            return column.cast(kind, safe=False).cast(pa.timestamp("s")).to_numpy()
        except pa.ArrowInvalid:
            continue
    raise UserError(
        f"a cell of the column '{TIME}' is no time", place, "write 2026-11-24 or 2026-11-24T12:00:00Z"
    )
