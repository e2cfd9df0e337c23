"""Why a customer has this probability: signed contributions of the raw columns, computed inside the graph.

The method is Shapley sampling against real customers (Castro, Gómez and Tejada 2009; Štrumbelj and Kononenko
2014; antithetic pairs as in Mitchell et al. 2022). A customer of the background is turned into the one to
explain, one column after the other in random order; a column's contribution is the mean change of the
probability at its turn. Each order is used forwards and backwards. Properties:

- the contributions of all columns sum to the probability minus the background's mean, up to rounding;
- a column that the model ignores gets 0;
- additive models, and interactions of two columns, are exact for the background: backwards undoes forwards;
- background and orders are constants of the graph: the same customer always gets the same reasons.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from churn.backend import tensorflow
from churn.data.dataset import Schema

if TYPE_CHECKING:
    from churn.network.encoding import Encoder

TOP = 3  # reasons that a prediction carries, at most
Probability = Callable[[Any, Any], Any]  # numbers [n, F] float32, categories [n, C] -> [n]


@dataclass(frozen=True)
class Background:
    """The customers that a prediction is compared with."""

    numbers: np.ndarray  # [B, F] float32
    categories: np.ndarray  # [B, C] object, or the int32 codes that the graph has for them
    turn: np.ndarray  # [2 B, F + C] int32: when each column's turn comes, forwards and backwards

    def coded(self, encoder: Encoder) -> Background:
        """The same customers with codes for texts."""
        texts = tensorflow().constant(self.categories, "string", self.categories.shape)
        return replace(self, categories=encoder.codes(texts).numpy())


def choose_background(
    frame: pd.DataFrame, probability: np.ndarray, schema: Schema, size: int, seed: int
) -> Background:
    """`size` customers of the train part whose probabilities [n] spread, and average, as all of them do.

    One from each of `size` equally large groups by probability, the one in its middle.
    """
    size = min(size, len(frame))
    middles = ((np.arange(size) + 0.5) * len(frame) / size).astype(int)
    chosen = frame.iloc[np.argsort(probability, kind="stable")[middles]]
    random = np.random.default_rng(seed)
    columns = len(schema.features)
    forwards = np.array([random.permutation(columns) for _ in range(size)], np.int32)
    return Background(
        chosen[list(schema.numeric)].to_numpy(np.float32),
        chosen[list(schema.categorical)].to_numpy(object),
        np.concatenate([forwards, columns - 1 - forwards]),
    )


@dataclass(frozen=True)
class Reasons:
    """The contributions to `probability` as a function of raw tensors."""

    probability: Probability
    names: tuple[str, ...]  # of the columns, numbers first
    background: Background

    def contributions(self, numbers: Any, categories: Any) -> Any:
        """[n, F + C] float32, in probability. Works row by row: memory does not grow with n."""
        tf = tensorflow()
        return tf.map_fn(
            lambda row: self._of_one(*row), (numbers, categories), fn_output_signature=tf.float32
        )

    def _of_one(self, numbers: Any, categories: Any) -> Any:
        """[F + C] of one row: all its paths through all their steps as one batch."""
        tf, turn = tensorflow(), self.background.turn
        steps = tf.range(turn.shape[1] + 1)[:, None]
        own = turn[:, None, :] < steps  # [path, step, column]: whether the column is the row's own already
        width = len(self.background.numbers[0])

        def mixed(row: Any, others: np.ndarray, own: Any, kind: Any) -> Any:
            start = tf.constant(np.concatenate([others, others]), kind, [len(turn), 1, others.shape[1]])
            return tf.reshape(tf.where(own, row, start), [-1, others.shape[1]])

        chance = self.probability(
            mixed(numbers, self.background.numbers, own[:, :, :width], tf.float32),
            mixed(categories, self.background.categories, own[:, :, width:], categories.dtype),
        )
        path = tf.reshape(chance, [len(turn), -1])
        change = tf.gather(path[:, 1:] - path[:, :-1], turn, batch_dims=1)
        return tf.reduce_mean(change, axis=0)

    def __call__(self, numbers: Any, categories: Any) -> dict[str, Any]:
        """Named outputs, each [n]: the columns that contribute most, the rest, and what they add to.

        `average_probability` + `contribution_1` + ... + `other_contributions` is the probability.
        """
        tf = tensorflow()
        all_of_them = self.contributions(numbers, categories)
        _, position = tf.math.top_k(tf.abs(all_of_them), min(TOP, len(self.names)))
        greatest = tf.gather(all_of_them, position, batch_dims=1)
        name = tf.gather(tf.constant(self.names), position)
        found = {}
        for i in range(position.shape[1]):
            found[f"reason_{i + 1}"], found[f"contribution_{i + 1}"] = name[:, i], greatest[:, i]
        others = tf.reduce_sum(all_of_them, axis=1) - tf.reduce_sum(greatest, axis=1)
        others_of = self.background.categories
        theirs = tf.constant(others_of, categories.dtype, others_of.shape)
        average = tf.reduce_mean(self.probability(self.background.numbers, theirs))
        return found | {
            "other_contributions": others,
            "average_probability": tf.fill([tf.shape(numbers)[0]], average),
        }


def reason_outputs(schema: Schema) -> dict[str, str]:
    """What the outputs of `Reasons` mean, for bundle.json."""
    numbered = {}
    for i in range(1, min(TOP, len(schema.features)) + 1):
        numbered[f"reason_{i}"] = f"column that contributes most, number {i}"
        numbered[f"contribution_{i}"] = "what it adds to the probability, negative if it lowers it"
    return numbered | {
        "other_contributions": "what all other columns add to the probability",
        "average_probability": "what the contributions are added to: the average customer's probability",
    }


def reason_in_words(column: str, value: Any, contribution: float) -> str:
    """A reason for people, such as "Contract is month-to-month (+0.12)": what it adds to the probability."""
    if isinstance(value, float):
        said = "missing" if np.isnan(value) else f"{value:,.6g}"
    else:
        said = value or "missing"
    return f"{column} is {said} ({contribution:+.2f})"
