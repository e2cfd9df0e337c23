"""Boosted symmetric trees as constants of a graph.

All nodes of one level of a symmetric tree ask the same question, so that a tree of depth d is d questions,
and their answers are the bits of the leaf's number (Prokhorenkova et al. 2018, CatBoost). Trees share
questions: a few hundred distinct ones are one comparison, of which whole columns are gathered for each bit of
every tree, whatever its depth. Another gather gives the leaf's value and rows, which lie side by side. It is
the dearest step: so trees that ask much the same become one with more leaves, which adds their values up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from churn.backend import tensorflow

NEVER = np.float32(np.inf)  # a border that no number exceeds: a question that is not asked
DEEPEST = 9  # questions up to which trees become one: more leaves would not stay in the processor's cache
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
    def leaves(self) -> np.ndarray:
        """[T, 2^d, 2] what each leaf adds to the log-odds and to their uncertainty."""
        return np.stack([self.value, 1 / (self.rows + PRIOR_ROWS)], axis=2, dtype=float)


@dataclass(frozen=True)
class JoinedTrees:
    """J trees of up to d of Q questions: the constants of a graph."""

    column: np.ndarray  # [Q] int32
    border: np.ndarray  # [Q, 1] float32
    question: np.ndarray  # [J, d] int32 position of each bit's question; a tree that lacks one has the last
    first: np.ndarray  # [J, 1] float32 position of each tree's first leaf
    leaves: np.ndarray  # [L, 2] float32 of all trees
    bias: np.float32

    def __call__(self, inputs: Any) -> tuple[Any, Any]:
        """[n] sum of the log-odds, and [n] uncertainty of all trees, from inputs [K, n] in a graph.

        The uncertainty is the sum of 1 / rows of the leaves that a customer is in: it is large for customers
        unlike the rows that the trees were grown on. Its root is a standard error up to a factor, since the
        error of a leaf's value falls with the root of its rows.
        """
        tf = tensorflow()
        answers = self.answers(inputs)
        *others, last = self.question.T
        leaf = tf.gather(answers, last)
        for question in reversed(others):  # float32 is exact here, and faster than integers
            leaf = 2 * leaf + tf.gather(answers, question)
        sums = tf.reduce_sum(tf.gather(self.leaves, tf.cast(leaf + self.first, tf.int32)), axis=0)
        return sums[:, 0] + self.bias, sums[:, 1]

    def answers(self, inputs: Any) -> Any:
        """[Q, n] float32: 1 where the answer to a question is yes, else 0, from inputs [K, n]."""
        tf = tensorflow()
        return tf.cast(tf.gather(inputs, self.column) > self.border, tf.float32)

    @property
    def bits(self) -> np.ndarray:
        """[Q, J] float32 what a yes to a question adds to the leaf's number of each tree."""
        bits = np.zeros((len(self.column), len(self.question)), np.float32)
        np.add.at(
            bits,
            (self.question.T, np.arange(len(self.question))),
            2 ** np.arange(self.question.shape[1])[:, None],
        )
        return bits

    def log_odds(self, leaf: Any) -> Any:
        """[n] sum of the log-odds, from the leaves' numbers [n, J] float32."""
        tf = tensorflow()
        place = tf.cast(leaf + self.first.ravel(), tf.int32)
        return tf.reduce_sum(tf.gather(self.leaves[:, 0], place), axis=1) + self.bias


def join_trees(forests: Sequence[Trees], weights: Sequence[float]) -> JoinedTrees:
    """Fewer trees with the weighted sum of the log-odds of all, and the sum of their uncertainties."""
    asked = [list(zip(*tree, strict=True)) for f in forests for tree in zip(f.column, f.border, strict=True)]
    tables = [table for f, weight in zip(forests, weights, strict=True) for table in f.leaves * (weight, 1)]
    distinct = sorted({question for tree in asked for question in tree if question[1] < NEVER})
    place = {question: i for i, question in enumerate(distinct)}
    bits = [[place.get(question) for question in tree] for tree in asked]
    joined = [_join(group, bits, tables) for group in _groups(bits)]
    depth = max(1, *(len(questions) for questions, _ in joined))
    sizes = np.array([len(leaves) for _, leaves in joined])
    padded = [[*questions, *[len(distinct)] * (depth - len(questions))] for questions, _ in joined]
    return JoinedTrees(
        column=np.array([column for column, _ in distinct] + [0], np.int32),
        border=np.array([border for _, border in distinct] + [NEVER], np.float32)[:, None],
        question=np.array(padded, np.int32),
        first=(np.cumsum(sizes) - sizes).astype(np.float32)[:, None],
        leaves=np.concatenate([leaves for _, leaves in joined]).astype(np.float32),
        bias=np.float32(np.dot(weights, [trees.bias for trees in forests])),
    )


def _groups(bits: list[list[int | None]]) -> Iterator[list[int]]:
    """The trees that become one: to a large tree the one that adds the fewest questions, while there is room.

    `bits`: position of each tree's questions among the distinct ones; None: it is never answered with yes.
    """
    masks = [sum({1 << bit for bit in tree if bit is not None}) for tree in bits]
    left = sorted(range(len(masks)), key=lambda tree: -masks[tree].bit_count())
    while left:
        group = [left.pop(0)]
        asked = masks[group[0]]
        while left:
            nearest = min(left, key=lambda tree: (masks[tree] & ~asked).bit_count())
            if (masks[nearest] | asked).bit_count() > DEEPEST:
                break
            left.remove(nearest)
            group.append(nearest)
            asked |= masks[nearest]
        yield group


def _join(
    group: list[int], bits: list[list[int | None]], tables: list[np.ndarray]
) -> tuple[list[int], np.ndarray]:
    """The questions of the tree that some trees become, and its leaves [2^questions, 2]."""
    questions = sorted({bit for tree in group for bit in bits[tree] if bit is not None})
    position = {bit: i for i, bit in enumerate(questions)}
    number = np.arange(2 ** len(questions))
    leaves = np.zeros((len(number), 2))
    for tree in group:
        answers = [
            (number >> position[bit] & 1) << level for level, bit in enumerate(bits[tree]) if bit is not None
        ]
        leaves += tables[tree][sum(answers, np.zeros_like(number))]
    return questions, leaves
