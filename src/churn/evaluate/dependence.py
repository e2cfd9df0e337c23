"""How the probability changes with one column, all others left as they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

DRAWN_FEATURES = 6  # the most important ones are drawn
CUSTOMERS = 300  # that each value is given to, in turn
POINTS = 15  # values of a number, at most
LEVELS = 10  # of a category, at most: the commonest


@dataclass(frozen=True)
class Dependence:
    """Mean probability of the same customers by the value that all of them are given in one column."""

    feature: str
    values: np.ndarray  # [G] numbers, ascending, or levels, commonest first
    probability: np.ndarray  # [G]
    own: np.ndarray  # what customers have: the known numbers, or [G] the share with each level


def partial_dependence(
    predict: Callable[[pd.DataFrame], np.ndarray], frame: pd.DataFrame, name: str
) -> Dependence:
    """Partial dependence on the column `name`, which has a known value, over rows of `frame` (Friedman 2001).

    It mixes values that do not occur together where columns go together; look at it where customers are.
    """
    few = frame.iloc[np.unique(np.linspace(0, len(frame) - 1, CUSTOMERS).astype(int))]
    column = frame[name]
    if pd.api.types.is_numeric_dtype(column):
        own = column.dropna().to_numpy(float)
        values = np.unique(np.quantile(own, np.linspace(0, 1, POINTS)))
    else:
        counts = column.value_counts()[:LEVELS]
        values, own = counts.index.to_numpy(object), counts.to_numpy() / len(column)
    given = [few.assign(**{name: value}) for value in values]
    probability = predict(pd.concat(given)).reshape(len(values), -1).mean(axis=1)
    return Dependence(name, values, probability, own)
