"""Our own training loop: a whole epoch of shuffled batches in one call of TensorFlow.

What Keras's `fit` spends on a small table is overhead around each batch. Here the batches of an epoch are
gathered and trained on inside one compiled function. All state lies in variables of the network and of the
optimiser; rows of a block (a table in memory, or a part of one that is not) are arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from churn.backend import tensorflow
from churn.network.checkpoint import Checkpoint
from churn.network.progress import epochs_bar, silence


@dataclass(frozen=True)
class Block:
    """Rows to train on. M: members of the network; 1 stands for all of them alike."""

    inputs: Any  # [n, D] float32
    labels: Any  # [n, 1 or M] float32: the label, or a probability, that each member shall give
    weights: Any  # [n, 1 or M] float32: 0 where a member must not learn from a row
    stopping_mask: Any = None  # [n, M] float32: 1 where a row serves the member's early stopping; None: none


Epoch = Callable[[Block, np.ndarray], tuple[float, np.ndarray]]


def compile_epoch(network: Any, optimizer: Any, xla: bool = True) -> Epoch:
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
            loss = cross_entropy(tf.gather(block.labels, rows), answer)
            of_member, weight = tf.reduce_sum(loss * weights, 0), tf.reduce_sum(weights, 0)
            weight_of_all = everywhere(weight)
            mean = tf.reduce_sum(of_member / tf.maximum(weight_of_all, 1e-7))
        optimizer.apply(tape.gradient(mean, network.trainable_variables), network.trainable_variables)
        stops = tf.gather(block.stopping_mask, rows) * present
        return (
            tf.stack([tf.reduce_sum(of_member), tf.reduce_sum(weight)]),
            tf.stack([tf.reduce_sum(loss * stops, 0), tf.reduce_sum(stops + tf.zeros_like(loss), 0)]),
        )

    def shared(block: Block, rows: Any) -> Any:
        if replicas == 1:
            return step(block, rows)
        sums = together.run(lambda rows: step(block, rows), args=(rows,))
        return [together.reduce("SUM", of_replica, axis=None) for of_replica in sums]

    @tf.function(jit_compile=xla, reduce_retracing=True, autograph=False)
    def epoch(inputs: Any, labels: Any, weights: Any, stops: Any, batches: Any) -> Any:
        block = Block(inputs, labels, weights, stops)

        def learn(i: Any, learnt: Any, stopping: Any) -> Any:
            more_learnt, more_stopping = shared(block, batches[i])
            return i + 1, learnt + more_learnt, stopping + more_stopping

        nothing = (0, tf.zeros([2]), tf.zeros([2, network.output_shape[1]]))
        _, learnt, stopping = tf.while_loop(lambda i, *_: i < tf.shape(batches)[0], learn, nothing)
        return learnt[0] / learnt[1], stopping[0] / stopping[1]

    def run(block: Block, batches: np.ndarray) -> tuple[float, np.ndarray]:
        stops = tf.zeros_like(block.weights) if block.stopping_mask is None else block.stopping_mask
        lacking = -batches.shape[1] % replicas
        batches = np.pad(batches, [(0, 0), (0, lacking)], constant_values=-1)
        loss, stopping = epoch(block.inputs, block.labels, block.weights, stops, batches)
        return float(loss), stopping.numpy()

    return run


@dataclass(frozen=True)
class Training:
    """A network in training, with all that decides how it goes on."""

    network: Any
    optimizer: Any
    checkpoint: (
        Path | None
    )  # written after each block, so that a killed training continues; None: not written
    batch_size: int
    seed: int
    members: int = 1  # that stop early independently of each other
    patience: int = 0  # epochs without a better stopping loss before a member stops; 0: no early stopping

    def fit(
        self, blocks: Callable[[int], Iterable[Block]], total: int, quiet: bool = False
    ) -> dict[str, list[float]]:
        """Train on at most `total` blocks; gives the losses after each.

        `blocks` gives those that are left when so many are done.
        """
        train_epoch = compile_epoch(
            self.network, self.optimizer, xla=False
        )  # builds the optimizer's variables
        variables = [*self.network.variables, *self.optimizer.variables]
        state = Checkpoint(self.checkpoint, variables, self.members)
        state.load()
        with nullcontext(silence) if quiet else epochs_bar(total, state.epochs) as show:
            for block in blocks(state.epochs):
                if state.stopped:
                    break
                batches = shuffled_batches(len(block.labels), self.batch_size, self.seed, state.epochs)
                loss, stopping_loss = train_epoch(block, batches)
                validation = None if block.stopping_mask is None else stopping_loss
                show(state.record(loss, validation, self.patience))
                state.save()
        state.restore_best()
        return state.history


def cross_entropy(target: Any, probability: Any) -> Any:
    """Elementwise, in float32; probabilities are kept 1e-7 away from 0 and 1, as Keras does."""
    tf = tensorflow()
    p = tf.clip_by_value(probability, 1e-7, 1 - 1e-7)
    return -target * tf.math.log(p) - (1 - target) * tf.math.log1p(-p)


def shuffled_batches(rows: int, size: int, seed: int, epoch: int) -> np.ndarray:
    """[steps, size] int32 positions of `rows` rows in random order, -1 where the last batch has no more.

    The same seed and epoch give the same order: nothing has to be remembered to go on with a training.
    """
    order = np.full(-(-rows // size) * size, -1, np.int32)
    order[:rows] = np.random.default_rng([seed, epoch]).permutation(rows)
    return order.reshape(-1, size)
