"""Boosted symmetric trees as constants of a graph.

All nodes of one level of a symmetric tree ask the same question, so that a tree of depth d is d questions,
and their answers are the bits of the leaf's number (Prokhorenkova et al. 2018, CatBoost). Trees share
questions: a few hundred distinct ones are one comparison, of which whole columns are gathered for each bit of
every tree. Another gather gives the leaf's value and rows, which lie side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from churn.backend import tensorflow

NEVER = np.float32(3e38)  # a border that no number exceeds: a question that is not asked
PRIOR_ROWS = 3.0  # added to the rows of a leaf: the uncertainty of a leaf without rows is finite


@dataclass(frozen=True)
class Trees:
    """T trees of depth d over columns [K, n]; the answer to question k of a tree is bit k of the leaf."""

    column: np.ndarray  # [T, d] int32 the column that each question is about
    border: np.ndarray  # [T, d] float32: is the value above it?
    value: np.ndarray  # [T, 2^d] float32 log-odds of each leaf
    rows: np.ndarray  # [T, 2^d] float32 weight of the rows that each leaf was fitted on
    bias: float  # log-odds

    def __call__(self, inputs: Any) -> tuple[Any, Any]:
        """[n] log-odds, and [n] their uncertainty, from inputs [K, n] in a graph.

        The uncertainty is the sum of 1 / rows of the leaves that a customer is in: it is large for customers
        unlike the rows that the trees were grown on. Its root is a standard error up to a factor, since the
        error of a leaf's value falls with the root of its rows.
        """
        tf, (column, border, asked) = tensorflow(), self._questions
        answers = tf.cast(tf.gather(inputs, column) > border, tf.float32)
        leaf = tf.gather(answers, asked[-1])
        for question in asked[-2::-1]:  # float32 is exact here, and faster than integers
            leaf = 2 * leaf + tf.gather(answers, question)
        first = np.arange(len(self.value), dtype=np.float32)[:, None] * self.value.shape[1]
        leaves = np.stack([self.value.ravel(), 1 / (self.rows.ravel() + PRIOR_ROWS)], axis=1)
        sums = tf.reduce_sum(tf.gather(leaves, tf.cast(leaf + first, tf.int32)), axis=0)
        return sums[:, 0] + np.float32(self.bias), sums[:, 1]

    @classmethod
    def combine(cls, forests: Sequence[Trees], weights: Sequence[float]) -> Trees:
        """One forest of several, whose log-odds are multiplied by `weights`."""
        depth = max(forest.column.shape[1] for forest in forests)
        deep = [forest._with_depth(depth) for forest in forests]
        pairs = list(zip(deep, weights, strict=True))
        return cls(
            np.concatenate([forest.column for forest in deep]),
            np.concatenate([forest.border for forest in deep]),
            np.concatenate([np.float32(weight) * forest.value for forest, weight in pairs]),
            np.concatenate([forest.rows for forest in deep]),
            sum(weight * forest.bias for forest, weight in pairs),
        )

    def _with_depth(self, depth: int) -> Trees:
        """The same trees with more questions, which are not asked."""
        more = [(0, 0), (0, depth - self.column.shape[1])]
        leaves = [(0, 0), (0, 2**depth - self.value.shape[1])]
        return Trees(
            np.pad(self.column, more),
            np.pad(self.border, more, constant_values=NEVER),
            np.pad(self.value, leaves),
            np.pad(self.rows, leaves),
            self.bias,
        )

    @cached_property
    def _questions(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Columns [S] and borders [S, 1] of the distinct questions; which of them each tree asks [d, T]."""
        asked = np.stack([self.column.ravel(), self.border.ravel()], axis=1).astype(float)
        distinct, place = np.unique(asked, axis=0, return_inverse=True)
        by_bit = place.reshape(self.column.shape).T.astype(np.int32)
        return distinct[:, 0].astype(np.int32), distinct[:, 1:].astype(np.float32), by_bit
