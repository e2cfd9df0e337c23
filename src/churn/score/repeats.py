"""How many customers stand in more than one row of what is scored."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from churn.data.features import id_column
from churn.errors import count

MOST_ROWS = 20_000_000  # that are remembered, 8 bytes each; the rest of a larger table is not counted


class RepeatedCustomers:
    """Counts the customers of a table, chunk by chunk, by hashes of their ids.

    >>> repeated = RepeatedCustomers("customerID")
    >>> repeated.add(table)
    >>> repeated.describe()
    """

    def __init__(self, column: str | None) -> None:
        self.column, self.hashes, self.rows = column, list[np.ndarray](), 0

    def add(self, table: pa.Table) -> None:
        """Count the rows of a chunk; blank ids are nobody's."""
        if self.column not in table.column_names or self.rows >= MOST_ROWS:
            return
        ids = id_column(table[self.column])
        hashes = pd.util.hash_array(ids.levels, categorize=False)[ids.codes]
        self.hashes.append(hashes[(ids.levels != "")[ids.codes]])
        self.rows += table.num_rows

    def describe(self) -> list[str]:
        """A line about those who stand there more than once; none if there are none."""
        hashes = np.concatenate([np.zeros(0, np.uint64), *self.hashes])
        times = np.unique(hashes, return_counts=True)[1]
        repeated = times[times > 1]
        if not len(repeated):
            return []
        who = f"{count(len(repeated), 'customer')} {'stands' if len(repeated) == 1 else 'stand'}"
        return [f"{who} in {repeated.sum():,} rows: each row has its score; top=N lists each customer once"]
