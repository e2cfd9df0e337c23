"""Boosted symmetric trees as constants of a graph.

All nodes of one level of a symmetric tree ask the same question, so that a tree of depth d is d questions,
and their answers are the bits of the leaf's number (Prokhorenkova et al. 2018, CatBoost). Trees share
questions: a few hundred distinct ones are one comparison, of which whole columns are gathered for each bit of
every tree. Another gather gives the leaf's value and rows, which lie side by side.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from churn.backend import tensorflow

NEVER = np.float32(3e38)  # a border that no number exceeds: a question that is not asked
DEEPEST = (
    8  # questions up to which two trees become one: a table of 256 leaves stays in the processor's cache
)
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
        asked, leaves = _joined(asked, self._leaves)
        answers = tf.cast(tf.gather(inputs, column) > border, tf.float32)
        leaf = tf.gather(answers, asked[:, -1])
        for question in asked[:, -2::-1].T:  # float32 is exact here, and faster than integers
            leaf = 2 * leaf + tf.gather(answers, question)
        first = np.arange(len(leaves), dtype=np.float32)[:, None] * leaves.shape[1]
        table = leaves.reshape(-1, 2).astype(np.float32)
        sums = tf.reduce_sum(tf.gather(table, tf.cast(leaf + first, tf.int32)), axis=0)
        return sums[:, 0] + np.float32(self.bias), sums[:, 1]

    @property
    def _leaves(self) -> np.ndarray:
        """[T, 2^d, 2] what each leaf adds to the log-odds and to their uncertainty."""
        return np.stack([self.value, 1 / (self.rows + PRIOR_ROWS)], axis=2, dtype=float)

    @cached_property
    def _questions(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Columns [S] and borders [S, 1] of the distinct questions; which of them each tree asks [T, d]."""
        asked = np.stack([self.column.ravel(), self.border.ravel()], axis=1).astype(float)
        distinct, place = np.unique(asked, axis=0, return_inverse=True)
        questions = place.reshape(self.column.shape).astype(np.int32)
        return distinct[:, 0].astype(np.int32), distinct[:, 1:].astype(np.float32), questions


def _joined(asked: np.ndarray, leaves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The questions and leaves of fewer, deeper trees with the same sums: two trees become one."""
    while 2 * asked.shape[1] <= DEEPEST:
        if len(asked) % 2:
            asked = np.concatenate([asked, asked[:1]])
            leaves = np.concatenate([leaves, np.zeros_like(leaves[:1])])
        both = leaves[1::2, :, None] + leaves[::2, None, :]
        asked, leaves = np.hstack([asked[::2], asked[1::2]]), both.reshape(len(both), -1, 2)
    return asked, leaves
