"""Partial dependence: how the probability changes with one column if all others stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from churn.data.contract import SHOWN_FROM
from churn.data.customers import count_customers

DRAWN_FEATURES = 6  # the most important ones are drawn
CUSTOMERS = 300  # that are given each value in turn
POINTS = 15  # values of a number, at most
LEVELS = 10  # of a category, at most: the most frequent ones


@dataclass(frozen=True)
class Dependence:
    """The mean probability of the same customers, by the value that all of them are given in one column."""

    feature: str
    values: np.ndarray  # [G] numbers, ascending, or levels, most frequent first
    probability: np.ndarray  # [G]
    observed: np.ndarray  # the customers' own values: the known numbers, or [G] the share of each level


def partial_dependence(
    predict: Callable[[pd.DataFrame], np.ndarray],
    frame: pd.DataFrame,
    name: str,
    ids: np.ndarray | None = None,
) -> Dependence:
    """The partial dependence on the column `name` over rows of `frame`, of customers `ids` (Friedman 2001).

    The column needs a value that is shown (`has_shown_values`). Where columns are correlated, the curve mixes
    values that do not occur together: read it where customers are.

    >>> partial_dependence(trained.predict, test.frame, "tenure").probability
    """
    sample = frame.iloc[np.unique(np.linspace(0, len(frame) - 1, CUSTOMERS).astype(int))]
    column = frame[name]
    if pd.api.types.is_numeric_dtype(column):
        observed = column.dropna().to_numpy(float)
        values = np.unique(np.quantile(observed, np.linspace(0, 1, POINTS)))
    else:
        counts = _shown_levels(column, ids)[:LEVELS]
        values, observed = counts.index.to_numpy(object), counts.to_numpy() / len(column)
    changed = [sample.assign(**{name: value}) for value in values]
    probability = predict(pd.concat(changed)).reshape(len(values), -1).mean(axis=1)
    return Dependence(name, values, probability, observed)


def has_shown_values(column: pd.Series, ids: np.ndarray | None = None) -> bool:
    """Whether a column has a known number, or a level that enough customers (`ids`) share."""
    if pd.api.types.is_numeric_dtype(column):
        return bool(column.notna().any())
    return len(_shown_levels(column, ids)) > 0


def _shown_levels(column: pd.Series, ids: np.ndarray | None) -> pd.Series:
    """The rows of each level that enough customers share, most frequent first."""
    counts = column.value_counts()
    customers = count_customers(column, ids).reindex(counts.index)
    return counts[(customers >= SHOWN_FROM) | (counts.index == "")]
