"""How many customers have a value: what only a few have may name them, in however many rows it stands."""

from __future__ import annotations

import numpy as np
import pandas as pd


def number_customers(ids: np.ndarray | None, rows: int) -> np.ndarray:
    """[rows] a number for the customer of each row; `ids` [rows], or None: each row is one."""
    return np.arange(rows) if ids is None else pd.factorize(ids)[0]


def count_customers(values: pd.Series, ids: np.ndarray | None) -> pd.Series:
    """The customers that have each value, by the value, most first; `ids` [n], or None: each row is one.

    >>> count_customers(train.frame["plan"], train.ids)
    """
    if ids is None:
        return values.value_counts()
    pairs = pd.DataFrame({"value": values.to_numpy(), "id": ids})
    return pairs.drop_duplicates()["value"].value_counts()
