"""Boosted symmetric trees as constants of a graph.

All nodes of one level of a symmetric tree ask the same question, so that a tree of depth d is d questions,
and their answers are the bits of the leaf's number (Prokhorenkova et al. 2018, CatBoost). Trees share
questions: a few hundred distinct ones are one comparison, of which whole columns are gathered for each bit of
every tree, whatever its depth. Another gather gives the leaf's value and rows, which lie side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from churn.backend import tensorflow

NEVER = np.float32(np.inf)  # a border that no number exceeds: a question that is not asked
DEEPEST = 8  # questions up to which two trees become one: 256 leaves stay in the processor's cache
PRIOR_ROWS = 3.0  # added to the rows of a leaf: the uncertainty of a leaf without rows is finite


@dataclass(frozen=True)
class Trees:
    """T trees of depth d over columns [K, n]; the answer to question k of a tree is bit k of the leaf."""

    column: np.ndarray  # [T, d] int32 the column that each question is about
    border: np.ndarray  # [T, d] float32: is the value above it?
    value: np.ndarray  # [T, 2^d] float32 log-odds of each leaf
    rows: np.ndarray  # [T, 2^d] float32 weight of the rows that each leaf was fitted on
    bias: float  # log-odds

    @property
    def questions(self) -> np.ndarray:
        """[T, d, 2] column and border of each question."""
        return np.stack([self.column, self.border], axis=2, dtype=float)

    @property
    def leaves(self) -> np.ndarray:
        """[T, 2^d, 2] what each leaf adds to the log-odds and to their uncertainty."""
        return np.stack([self.value, 1 / (self.rows + PRIOR_ROWS)], axis=2, dtype=float)


def sum_of_trees(forests: Sequence[Trees], weights: Sequence[float], inputs: Any) -> tuple[Any, Any]:
    """[n] weighted sum of the log-odds, and [n] uncertainty of all trees, from inputs [K, n] in a graph.

    The uncertainty is the sum of 1 / rows of the leaves that a customer is in: it is large for customers
    unlike the rows that the trees were grown on. Its root is a standard error up to a factor, since the
    error of a leaf's value falls with the root of its rows.
    """
    tf, (questions, first, leaves) = tensorflow(), _side_by_side(forests, weights)
    distinct, place = np.unique(questions.reshape(-1, 2), axis=0, return_inverse=True)
    column, border = distinct[:, 0].astype(np.int32), distinct[:, 1:].astype(np.float32)
    answers = tf.cast(tf.gather(inputs, column) > border, tf.float32)
    *others, last = place.reshape(questions.shape[:2]).astype(np.int32).T
    leaf = tf.gather(answers, last)
    for question in reversed(others):  # float32 is exact here, and faster than integers
        leaf = 2 * leaf + tf.gather(answers, question)
    sums = tf.reduce_sum(tf.gather(leaves, tf.cast(leaf + first, tf.int32)), axis=0)
    bias = np.dot(weights, [trees.bias for trees in forests])
    return sums[:, 0] + np.float32(bias), sums[:, 1]


def _side_by_side(
    forests: Sequence[Trees], weights: Sequence[float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The trees of all forests: questions [T, d, 2], the first leaf of each [T, 1], and all leaves [L, 2]."""
    joined = [
        _joined(trees.questions, trees.leaves * (weight, 1))
        for trees, weight in zip(forests, weights, strict=True)
    ]
    depth = max(questions.shape[1] for questions, _ in joined)
    sizes = np.concatenate([np.full(len(leaves), leaves.shape[1]) for _, leaves in joined])
    return (
        np.concatenate([_padded(questions, depth) for questions, _ in joined]),
        (np.cumsum(sizes) - sizes).astype(np.float32)[:, None],
        np.concatenate([leaves.reshape(-1, 2) for _, leaves in joined]).astype(np.float32),
    )


def _padded(questions: np.ndarray, depth: int) -> np.ndarray:
    """The questions, and for the levels that are lacking one whose answer is always no."""
    more = np.broadcast_to([0.0, NEVER], (len(questions), depth - questions.shape[1], 2))
    return np.concatenate([questions, more], axis=1)


def _joined(questions: np.ndarray, leaves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The questions and leaves of fewer, deeper trees with the same sums: two trees become one."""
    while 2 * questions.shape[1] <= DEEPEST:
        if len(questions) % 2:
            questions = np.concatenate([questions, questions[:1]])
            leaves = np.concatenate([leaves, np.zeros_like(leaves[:1])])
        both = leaves[1::2, :, None] + leaves[::2, None, :]
        questions, leaves = np.hstack([questions[::2], questions[1::2]]), both.reshape(len(both), -1, 2)
    return questions, leaves
