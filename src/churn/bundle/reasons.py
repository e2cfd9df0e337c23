"""The reasons for a probability: signed contributions of the raw columns, computed inside the graph.

The method is Shapley sampling against a background (Castro, Gómez and Tejada 2009; Štrumbelj and
Kononenko 2014; antithetic pairs as in Mitchell et al. 2022). The columns of a background customer are
replaced, one after the other in random order, by those of the customer to explain; a column's contribution
is the mean change of the probability at its replacement. Each order is used forwards and backwards.
Properties:

- the contributions of all columns sum to the probability minus the background's mean, up to rounding;
- a column that the model ignores gets 0;
- additive models and interactions of two columns are exact for the background, since each order is reversed;
- background and orders are constants of the graph: the same customer always gets the same reasons.

A background customer is the average of train rows of at least `ALIKE` customers, so that no customer's row
stands in the graph. On Telco such customers give contributions as near to those against 900 real ones as real
customers do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from churn.backend import tensorflow
from churn.data.dataset import Schema

if TYPE_CHECKING:
    import pandas as pd

    from churn.data.coded import ArrowFeatures
    from churn.network.encoder import Encoder

TOP = 3  # reasons that a prediction carries, at most
ALIKE = 5  # customers, one train row of each, that are averaged to one background customer
NEAR = 50  # train rows like it, of which it may have a level that keeps it from being a customer
Probability = Callable[[Any, Any], Any]  # numbers [n, F] float32, categories [n, C] -> [n]


@dataclass(frozen=True)
class Background:
    """The B customers that a prediction is compared with."""

    numbers: np.ndarray  # [B, F] float32
    categories: np.ndarray  # [B, C] object, or the int32 codes that the graph has for them
    turn: np.ndarray  # [2 B, F + C] int32: the step that replaces each column, forwards and backwards

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
    columns = len(schema.features)
    forwards = np.array([random.permutation(columns) for _ in range(size)], np.int32)
    return Background(numbers, categories, np.concatenate([forwards, columns - 1 - forwards]))


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


@dataclass(frozen=True)
class Reasons:
    """The contributions to a probability as a function of raw tensors, a part of the serving graph."""

    probability: Probability
    names: tuple[str, ...]  # of the columns, numbers first
    background: Background

    def contributions(self, numbers: Any, categories: Any) -> Any:
        """[n, F + C] float32 contributions; computed row by row, so that memory does not grow with n."""
        tf = tensorflow()
        return tf.map_fn(
            lambda row: self._row_contributions(*row), (numbers, categories), fn_output_signature=tf.float32
        )

    def _row_contributions(self, numbers: Any, categories: Any) -> Any:
        """[F + C] of one row: one batch holds every step of every order."""
        tf, turn = tensorflow(), self.background.turn
        steps = tf.range(turn.shape[1] + 1)[:, None]
        replaced = turn[:, None, :] < steps  # [order, step, column]: whether the column is the row's already
        width = len(self.background.numbers[0])

        def mix(row: Any, others: np.ndarray, replaced: Any, kind: Any) -> Any:
            start = tf.constant(np.concatenate([others, others]), kind, [len(turn), 1, others.shape[1]])
            return tf.reshape(tf.where(replaced, row, start), [-1, others.shape[1]])

        probability = self.probability(
            mix(numbers, self.background.numbers, replaced[:, :, :width], tf.float32),
            mix(categories, self.background.categories, replaced[:, :, width:], categories.dtype),
        )
        by_step = tf.reshape(probability, [len(turn), -1])
        change = tf.gather(by_step[:, 1:] - by_step[:, :-1], turn, batch_dims=1)
        return tf.reduce_mean(change, axis=0)

    def __call__(self, numbers: Any, categories: Any) -> dict[str, Any]:
        """Named outputs, each [n]: the largest contributions, the sum of the others, and the average.

        `average_probability` + `contribution_1` + ... + `other_contributions` is the probability.
        """
        tf, outputs = tensorflow(), self._largest(self.contributions(numbers, categories), categories.dtype)
        names = tf.constant(self.names)
        return {k: tf.gather(names, v) if k.startswith("reason_") else v for k, v in outputs.items()}

    def of_one(self, numbers: Any, categories: Any) -> dict[str, Any]:
        """The same for one row, [1, F] and [1, C], with positions in `names` in place of names."""
        return self._largest(self._row_contributions(numbers[0], categories[0])[None], categories.dtype)

    def _largest(self, contributions: Any, kind: Any) -> dict[str, Any]:
        """The outputs from contributions [n, F + C]."""
        tf, background = tensorflow(), self.background
        _, position = tf.math.top_k(tf.abs(contributions), min(TOP, len(self.names)))
        largest = tf.gather(contributions, position, batch_dims=1)
        outputs = {}
        for i in range(position.shape[1]):
            outputs[f"reason_{i + 1}"], outputs[f"contribution_{i + 1}"] = position[:, i], largest[:, i]
        others = tf.reduce_sum(contributions, axis=1) - tf.reduce_sum(largest, axis=1)
        levels = tf.constant(background.categories, kind, background.categories.shape)
        average = tf.reduce_mean(self.probability(background.numbers, levels))
        return outputs | {
            "other_contributions": others,
            "average_probability": tf.fill([tf.shape(contributions)[0]], average),
        }


def reason_outputs(schema: Schema) -> dict[str, str]:
    """The names and meanings of the outputs of `Reasons`, for bundle.json."""
    numbered = {}
    for i in range(1, min(TOP, len(schema.features)) + 1):
        numbered[f"reason_{i}"] = f"column that contributes most, number {i}"
        numbered[f"contribution_{i}"] = "what it adds to the probability, negative if it lowers it"
    return numbered | {
        "other_contributions": "what all other columns add to the probability",
        "average_probability": "what the contributions are added to: the average customer's probability",
    }


def reason_in_words(column: str, value: Any, contribution: float) -> str:
    """A reason as a text: the column, its value, and what it adds to the probability.

    >>> reason_in_words("Contract", "month-to-month", 0.12)
    'Contract is month-to-month (+0.12)'
    """
    return f"{column} is {value_in_words(value)} ({contribution:+.2f})"


def value_in_words(value: Any) -> str:
    """A cell as people read it.

    >>> value_in_words(1234.0), value_in_words(float("nan"))
    ('1,234', 'missing')
    """
    if isinstance(value, float | np.floating):
        return "missing" if np.isnan(value) else f"{value:,.6g}"
    return value or "missing"


def reason_columns(outputs: dict[str, np.ndarray], rows: ArrowFeatures) -> dict[str, list[str]]:
    """Columns `reason_1`, ... with sentences, from the outputs with the reasons for the rows."""
    values = {
        name: column if isinstance(column, np.ndarray) else column.texts for name, column in rows.items()
    }
    columns = {}
    for i in range(1, sum(name.startswith("reason_") for name in outputs) + 1):
        names, contributions = outputs[f"reason_{i}"], outputs[f"contribution_{i}"]
        cells = [values[name][row] for row, name in enumerate(names)]
        columns[f"reason_{i}"] = list(map(reason_in_words, names, cells, contributions))
    return columns
