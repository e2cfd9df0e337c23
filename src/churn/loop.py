"""Our own training loop: a whole epoch of shuffled batches in one call of TensorFlow.

What Keras's `fit` spends on a small table is overhead around each batch. Here the batches of an epoch are
gathered and trained on inside one compiled function. All state lies in variables of the network and of the
optimiser; rows of a block (a table in memory, or a part of one that is not) are arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from churn.backend import tensorflow


@dataclass(frozen=True)
class Block:
    """Rows to train on. M: members of the network; 1 stands for all of them alike."""

    inputs: Any  # [n, D] float32
    targets: Any  # [n, 1 or M] float32: the label, or a probability, that each member shall give
    weights: Any  # [n, 1 or M] float32: 0 where a member must not learn from a row
    judges: Any = None  # [n, M] float32: 1 where a row judges the member; None: no row does


Epoch = Callable[[Block, np.ndarray], tuple[float, np.ndarray]]


def epoch_of(network: Any, optimizer: Any, xla: bool = True) -> Epoch:
    """A function that trains `network` on the batches of a block.

    Its second argument are the batches, [steps, size] positions of rows, -1 for none. It gives the mean
    cross-entropy of the rows learnt from, and [M] that of each member on the rows that judge it, both in
    passing: of the weights at the row's turn, with dropout. `xla` compiles for the shapes at hand: seconds
    that pay where a small network takes very many steps.
    """
    tf = tensorflow()
    together = tf.distribute.get_strategy()
    replicas = together.num_replicas_in_sync
    optimizer.build(network.trainable_variables)

    def everywhere(x: Any) -> Any:
        return x if replicas == 1 else tf.distribute.get_replica_context().all_reduce("SUM", x)

    def step(block: Block, rows: Any) -> Any:
        if replicas > 1:  # a share of the batch; Keras adds up the gradients of all shares
            mine = tf.distribute.get_replica_context().replica_id_in_sync_group
            rows = tf.reshape(rows, [-1, replicas])[:, mine]
        present = tf.cast(rows >= 0, tf.float32)[:, None]
        rows = tf.maximum(rows, 0)
        weights = tf.gather(block.weights, rows) * present
        with tf.GradientTape() as tape:
            answer = network(tf.gather(block.inputs, rows), training=True)
            loss = cross_entropy(tf.gather(block.targets, rows), answer)
            of_member, weight = tf.reduce_sum(loss * weights, 0), tf.reduce_sum(weights, 0)
            weight_of_all = everywhere(weight)
            mean = tf.reduce_sum(of_member / tf.maximum(weight_of_all, 1e-7))
        optimizer.apply(tape.gradient(mean, network.trainable_variables), network.trainable_variables)
        judges = tf.gather(block.judges, rows) * present
        return (
            tf.stack([tf.reduce_sum(of_member), tf.reduce_sum(weight)]),
            tf.stack([tf.reduce_sum(loss * judges, 0), tf.reduce_sum(judges + tf.zeros_like(loss), 0)]),
        )

    def shared(block: Block, rows: Any) -> Any:
        if replicas == 1:
            return step(block, rows)
        sums = together.run(lambda rows: step(block, rows), args=(rows,))
        return [together.reduce("SUM", of_replica, axis=None) for of_replica in sums]

    @tf.function(jit_compile=xla, reduce_retracing=True, autograph=False)
    def epoch(inputs: Any, targets: Any, weights: Any, judges: Any, batches: Any) -> Any:
        block = Block(inputs, targets, weights, judges)

        def learn(i: Any, learnt: Any, judged: Any) -> Any:
            more_learnt, more_judged = shared(block, batches[i])
            return i + 1, learnt + more_learnt, judged + more_judged

        nothing = (0, tf.zeros([2]), tf.zeros([2, network.output_shape[1]]))
        _, learnt, judged = tf.while_loop(lambda i, *_: i < tf.shape(batches)[0], learn, nothing)
        return learnt[0] / learnt[1], judged[0] / judged[1]

    def run(block: Block, batches: np.ndarray) -> tuple[float, np.ndarray]:
        judges = tf.zeros_like(block.weights) if block.judges is None else block.judges
        lacking = -batches.shape[1] % replicas
        batches = np.pad(batches, [(0, 0), (0, lacking)], constant_values=-1)
        loss, judged = epoch(block.inputs, block.targets, block.weights, judges, batches)
        return float(loss), judged.numpy()

    return run


def cross_entropy(target: Any, probability: Any) -> Any:
    """Elementwise, in float32; probabilities are kept 1e-7 away from 0 and 1, as Keras does."""
    tf = tensorflow()
    p = tf.clip_by_value(probability, 1e-7, 1 - 1e-7)
    return -target * tf.math.log(p) - (1 - target) * tf.math.log1p(-p)


def batches(rows: int, size: int, seed: int, epoch: int) -> np.ndarray:
    """[steps, size] int32 positions of `rows` rows in random order, -1 where the last batch has no more.

    The same seed and epoch give the same order: nothing has to be remembered to go on with a training.
    """
    order = np.full(-(-rows // size) * size, -1, np.int32)
    order[:rows] = np.random.default_rng([seed, epoch]).permutation(rows)
    return order.reshape(-1, size)
