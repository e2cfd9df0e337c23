"""The background of reasons: average customers, with whom a prediction is compared.

Each is the average of train rows of at least `ALIKE` customers, so that no customer's row stands in the
graph. On Telco such customers give contributions as near to those against 900 real ones as real customers
do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from churn.backend import tensorflow
from churn.data.dataset import Schema

if TYPE_CHECKING:
    import pandas as pd

    from churn.network.encoder import Encoder

ALIKE = 5  # customers, one train row of each, that are averaged to one background customer
NEAR = 50  # train rows like it, of which it may have a level that keeps it from being a customer


@dataclass(frozen=True)
class Background:
    """The B customers that a prediction is compared with."""

    numbers: np.ndarray  # [B, F] float32
    categories: np.ndarray  # [B, C] object, or the int32 codes that the graph has for them
    turn: np.ndarray  # [B, F + C] int32: the step that replaces each column

    def coded(self, encoder: Encoder) -> Background:
        """The same customers, with codes in place of texts."""
        texts = tensorflow().constant(self.categories, "string", self.categories.shape)
        return replace(self, categories=encoder.codes(texts).numpy())


def choose_background(
    frame: pd.DataFrame,
    probability: np.ndarray,
    schema: Schema,
    size: int,
    seed: int,
    customers: np.ndarray | None = None,
) -> Background:
    """`size` average customers whose probabilities are distributed about as those of all, `probability` [n].

    Each is the mean of the numbers, and the most frequent levels, of the middle one of `size` equally large
    groups by probability and of the rows most like it, each of another one of the `customers` [n].
    """
    from churn.data.customers import number_customers

    size = min(size, len(frame))
    middles = ((np.arange(size) + 0.5) * len(frame) / size).astype(int)
    middles = np.argsort(probability, kind="stable")[middles]
    customer = number_customers(customers, len(frame))
    numbers, categories = _average_customers(frame, probability, schema, middles, customer)
    random = np.random.default_rng(seed)
    turn = np.array([random.permutation(len(schema.features)) for _ in range(size)], np.int32)
    return Background(numbers, categories, turn)


def _average_customers(
    frame: pd.DataFrame, probability: np.ndarray, schema: Schema, middles: np.ndarray, customer: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers and categories of the rows at `middles`, each averaged with the rows most like it."""
    import pandas as pd

    numbers = frame[list(schema.numeric)]
    scaled = ((numbers - numbers.mean()) / numbers.std()).fillna(0.0).to_numpy()
    codes = [pd.factorize(frame[name].to_numpy(object))[0] for name in schema.categorical]
    levels = np.column_stack(codes) if codes else np.empty((len(frame), 0), int)
    ranked = probability / (probability.std() or 1.0)
    means, texts = [], []
    for row in middles:
        distance = ((scaled - scaled[row]) ** 2).sum(axis=1) + 2 * (levels != levels[row]).sum(axis=1)
        distance += len(schema.features) * (ranked - ranked[row]) ** 2
        order = np.argsort(distance, kind="stable")
        nearest = np.sort(np.unique(customer[order], return_index=True)[1])  # of each customer
        mean, chosen = _average_of(numbers, levels, order[nearest[:NEAR]], customer)
        means.append(mean)
        texts.append([frame[name].iat[i] for name, i in zip(schema.categorical, chosen, strict=True)])
    size = len(middles)
    return np.array(means, np.float32).reshape(size, -1), np.array(texts, object).reshape(size, -1)


def _average_of(
    numbers: pd.DataFrame, levels: np.ndarray, near: np.ndarray, customer: np.ndarray
) -> tuple[np.ndarray, list[int]]:
    """Mean numbers [F] of the nearest rows, and for each category the row whose level goes with them.

    `near` are the rows to average, the nearest first: `ALIKE` of them, or more where the average of fewer
    would be somebody's row, whatever its levels.
    """
    values = numbers.to_numpy(np.float32)
    for size in range(min(ALIKE, len(near)), len(near) + 1):
        mean = numbers.iloc[near[:size]].mean().to_numpy(np.float32)
        equal = (values == mean) | (np.isnan(values) & np.isnan(mean))
        same = np.flatnonzero(equal.all(axis=1))
        chosen = _shared_levels(levels, near, same, customer)
        if not _is_somebodys(levels, same, chosen, customer):
            break
    return mean, chosen


def _shared_levels(levels: np.ndarray, near: np.ndarray, same: np.ndarray, customer: np.ndarray) -> list[int]:
    """For each category the row whose level a background customer gets: the most frequent of the rows alike.

    `near` are the nearest rows, `same` those with the same numbers. Where some customers of these, but fewer
    than `ALIKE`, have all these levels, one column gets another level of a near row, so that nobody's row
    stands in the graph.
    """
    alike = near[:ALIKE]
    most = [alike[np.argmax(np.bincount(of_column)[of_column])] for of_column in levels[alike].T]
    others = (
        [*most[:column], near[first], *most[column + 1 :]]
        for column in range(len(most))
        for first in np.sort(np.unique(levels[near, column], return_index=True)[1])
    )
    chosen = chain([most], others)
    return next((rows for rows in chosen if not _is_somebodys(levels, same, rows, customer)), most)


def _is_somebodys(levels: np.ndarray, same: np.ndarray, rows: list[int], customer: np.ndarray) -> bool:
    """Whether some customers of the rows `same`, but fewer than `ALIKE`, have the levels of `rows`."""
    own = levels[rows, np.arange(len(rows))]
    people = np.unique(customer[same[(levels[same] == own).all(axis=1)]])
    return 0 < len(people) < ALIKE
