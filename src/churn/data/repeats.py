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
    >>> repeated.describe("each row has its score")
    """

    def __init__(self, column: str | None) -> None:
        self.column, self.keys, self.rows = column, list[np.ndarray](), 0

    def counted(self, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """The same tables."""
        for table in tables:
            if self.column in table.column_names:
                self.add(table[self.column])
            yield table

    def add(self, ids: pa.ChunkedArray | pa.Array) -> None:
        """Count the customers of some rows by their ids: whole numbers or texts, blank ones are nobody's."""
        if self.rows < MOST_ROWS:
            self.keys.append(_keys_of(ids.drop_null()))
            self.rows += len(ids)

    def describe(self, then: str) -> list[str]:
        """A line about those who stand there more than once, and what then; none if there are none."""
        keys = np.concatenate([np.zeros(0, np.int64), *self.keys])
        times = np.unique(keys, return_counts=True)[1]
        repeated = times[times > 1]
        if not len(repeated):
            return []
        who = f"{count(len(repeated), 'customer')} {'stands' if len(repeated) == 1 else 'stand'}"
        return [f"{who} in {repeated.sum():,} rows: {then}"]


def _keys_of(ids: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """[k] int64: a number for each id; two texts have the same with a chance of 2^-64."""
    if pa.types.is_integer(ids.type):
        return np.asarray(ids).astype(np.int64)
    return np.fromiter((hash(text) for text in ids.to_pylist() if text), np.int64)
