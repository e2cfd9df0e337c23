"""How many customers stand in more than one row of what is scored."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from churn.errors import count

MOST_ROWS = 20_000_000  # that are remembered, 8 bytes each; the rest of a larger table is not counted


class RepeatedCustomers:
    """Counts the customers of a table, chunk by chunk.

    >>> repeated = RepeatedCustomers("customerID")
    >>> for table in repeated.counted(scored): ...
    >>> repeated.describe()
    """

    def __init__(self, column: str | None) -> None:
        self.column, self.keys, self.rows = column, list[np.ndarray](), 0

    def counted(self, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """The same tables, whose ids are whole numbers or texts; blank ids are nobody's."""
        for table in tables:
            if self.column in table.column_names and self.rows < MOST_ROWS:
                self.keys.append(_keys_of(table[self.column].drop_null()))
                self.rows += table.num_rows
            yield table

    def describe(self) -> list[str]:
        """A line about those who stand there more than once; none if there are none."""
        keys = np.concatenate([np.zeros(0, np.int64), *self.keys])
        times = np.unique(keys, return_counts=True)[1]
        repeated = times[times > 1]
        if not len(repeated):
            return []
        who = f"{count(len(repeated), 'customer')} {'stands' if len(repeated) == 1 else 'stand'}"
        return [f"{who} in {repeated.sum():,} rows: each row has its score; top=N lists each customer once"]


def _keys_of(ids: pa.ChunkedArray) -> np.ndarray:
    """[k] int64: a number for each id; two texts have the same with a chance of 2^-64."""
    if pa.types.is_integer(ids.type):
        return ids.to_numpy().astype(np.int64)
    return np.fromiter((hash(text) for text in ids.to_pylist() if text), np.int64)
