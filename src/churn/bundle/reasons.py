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
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from churn.backend import tensorflow
from churn.bundle.background import Background
from churn.data.dataset import Schema

if TYPE_CHECKING:
    from churn.data.coded import ArrowFeatures

TOP = 3  # reasons that a prediction carries, at most
Terms = Callable[[Any, Any], Any]  # numbers [n, F] float32, categories [n, C] -> [n, F + C, S]
Probability = Callable[[Any], Any]  # sums over all columns [n, S] -> [n]


@dataclass(frozen=True)
class Reasons:
    """The contributions to a probability as a function of raw tensors, a part of the serving graph.

    A model is given in two steps: what each column adds to some sums, and the probability that follows from
    the sums. So what reads the columns is computed for one row, not for each replacement.
    """

    terms: Terms
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
        tf, start, turn = tensorflow(), self._background_terms, self.background.turn
        own = self.terms(numbers[None], categories[None])[0]
        # [step, customer, sum] by how much each replacement changes the sums.
        change = tf.gather(own, np.argsort(turn, axis=1).T) - start
        forwards = self._gains(change)
        backwards = tf.reverse(self._gains(tf.reverse(change, [0])), [0])
        by_column = tf.gather(tf.transpose(forwards + backwards), turn, batch_dims=1)
        return tf.reduce_mean(by_column, axis=0) / 2

    def _gains(self, change: Any) -> Any:
        """[step, customer] what each step adds to the probability, from the changes of the sums."""
        tf, start = tensorflow(), self._background_terms.sum(axis=0)
        sums = tf.reshape(start + tf.cumsum(change, axis=0), [-1, start.shape[1]])
        after = tf.reshape(self.probability(sums), change.shape[:2])
        return after - tf.concat([self.probability(start)[None], after[:-1]], axis=0)

    @cached_property
    def _background_terms(self) -> np.ndarray:
        """[F + C, B, S] of each customer's columns in the order in which they are replaced: a constant."""
        tf, background = tensorflow(), self.background
        with tf.init_scope():
            categories = tf.constant(background.categories, shape=background.categories.shape)
            terms = self.terms(tf.constant(background.numbers), categories).numpy()
        order = np.argsort(background.turn, axis=1)
        return np.take_along_axis(terms, order[:, :, None], axis=1).swapaxes(0, 1)

    def __call__(self, numbers: Any, categories: Any) -> dict[str, Any]:
        """Named outputs, each [n]: the largest contributions, the sum of the others, and the average.

        `average_probability` + `contribution_1` + ... + `other_contributions` is the probability.
        """
        tf, outputs = tensorflow(), self._largest(self.contributions(numbers, categories))
        names = tf.constant(self.names)
        return {k: tf.gather(names, v) if k.startswith("reason_") else v for k, v in outputs.items()}

    def of_one(self, numbers: Any, categories: Any) -> dict[str, Any]:
        """The same for one row, [1, F] and [1, C], with positions in `names` in place of names."""
        return self._largest(self._row_contributions(numbers[0], categories[0])[None])

    def _largest(self, contributions: Any) -> dict[str, Any]:
        """The outputs from contributions [n, F + C]."""
        tf = tensorflow()
        _, position = tf.math.top_k(tf.abs(contributions), min(TOP, len(self.names)))
        largest = tf.gather(contributions, position, batch_dims=1)
        outputs = {}
        for i in range(position.shape[1]):
            outputs[f"reason_{i + 1}"], outputs[f"contribution_{i + 1}"] = position[:, i], largest[:, i]
        others = tf.reduce_sum(contributions, axis=1) - tf.reduce_sum(largest, axis=1)
        average = tf.reduce_mean(self.probability(self._background_terms.sum(axis=0)))
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
