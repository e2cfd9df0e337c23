"""The training loop: a whole epoch of shuffled batches in one call of TensorFlow.

On a small table most of the time in Keras's `fit` is overhead around each batch. Here the batches of an epoch
are gathered and trained on inside one compiled function. All state lies in variables of the network and the
optimiser; the rows of a block (a table in memory, or a part of a larger one) are arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from churn.backend import tensorflow
from churn.config.training import TrainConfig
from churn.network.checkpoint import Checkpoint
from churn.network.progress import silence, steps_bar


@dataclass(frozen=True)
class Block:
    """Rows to train on, for M members; where the second axis is 1, all members share the values."""

    inputs: Any  # [n, D] float32
    labels: Any  # [n, 1 or M] float32: 0 or 1
    weights: Any  # [n, 1 or M] float32: 0 where a member is not trained on a row
    changed: Any = ()  # K times [n, D]: the rows as customers could change them
    share: float = 0.0  # of a row's loss that is the greatest loss of its changed copies


Epoch = Callable[[Block, np.ndarray], float]


def compile_epoch(network: Any, optimizer: Any, xla: bool = True) -> Epoch:
    """A function that trains `network` for one epoch on a block.

    Its second argument is the batches: [steps, size] positions of rows, -1 for none. It gives the mean
    cross-entropy of the rows, measured during the epoch, with the weights of the step and with dropout. `xla`
    compiles for these shapes, which takes seconds and pays for a small network with very many steps.
    """
    tf = tensorflow()
    replicas = _replicas()
    optimizer.build(network.trainable_variables)

    @tf.function(jit_compile=xla, reduce_retracing=True, autograph=False)
    def epoch(inputs: Any, labels: Any, weights: Any, changed: Any, share: Any, batches: Any) -> Any:
        block = Block(inputs, labels, weights, changed, share)

        def add_step(i: Any, sums: Any) -> Any:
            return i + 1, sums + _distributed_step(network, optimizer, block, batches[i])

        _, sums = tf.while_loop(lambda i, _: i < tf.shape(batches)[0], add_step, (0, tf.zeros([2])))
        return sums[0] / sums[1]

    def run(block: Block, batches: np.ndarray) -> float:
        lacking = -batches.shape[1] % replicas
        batches = np.pad(batches, [(0, 0), (0, lacking)], constant_values=-1)
        return float(epoch(block.inputs, block.labels, block.weights, block.changed, block.share, batches))

    return run


def _replicas() -> int:
    return tensorflow().distribute.get_strategy().num_replicas_in_sync


def _distributed_step(network: Any, optimizer: Any, block: Block, rows: Any) -> Any:
    """The sum of `_step` over all replicas."""
    if _replicas() == 1:
        return _step(network, optimizer, block, rows)
    strategy = tensorflow().distribute.get_strategy()
    sums = strategy.run(lambda rows: _step(network, optimizer, block, rows), args=(rows,))
    return strategy.reduce("SUM", sums, axis=None)


def _step(network: Any, optimizer: Any, block: Block, rows: Any) -> Any:
    """Train on one batch; gives [2] the sums of losses and of weights."""
    tf, replicas = tensorflow(), _replicas()
    if replicas > 1:  # a share of the batch; Keras adds up the gradients of all shares
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        rows = tf.reshape(rows, [-1, replicas])[:, replica]
    present = tf.cast(rows >= 0, tf.float32)[:, None]
    rows = tf.maximum(rows, 0)
    weights = tf.gather(block.weights, rows) * present
    with tf.GradientTape() as tape:
        loss = _loss(network, block, rows)
        member_loss, weight = tf.reduce_sum(loss * weights, 0), tf.reduce_sum(weights, 0)
        mean = tf.reduce_sum(member_loss / tf.maximum(_sum_over_replicas(weight), 1e-7))
    optimizer.apply(tape.gradient(mean, network.trainable_variables), network.trainable_variables)
    return tf.stack([tf.reduce_sum(member_loss), tf.reduce_sum(weight)])


def _loss(network: Any, block: Block, rows: Any) -> Any:
    """[b, M] loss of the rows; with changed copies a mean of that and of the worst copy's, by member.

    The worst of some random changes: Engstrom et al. 2019, Exploring the Landscape of Spatial Robustness.
    """
    tf = tensorflow()
    labels = tf.gather(block.labels, rows)
    loss = _cross_entropy(labels, network(tf.gather(block.inputs, rows), training=True))
    if not block.changed:
        return loss
    copies = [network(tf.gather(inputs, rows), training=True) for inputs in block.changed]
    worst = tf.reduce_max([_cross_entropy(labels, copy) for copy in copies], axis=0)
    return (1 - block.share) * loss + block.share * worst


def _sum_over_replicas(x: Any) -> Any:
    if _replicas() == 1:
        return x
    return tensorflow().distribute.get_replica_context().all_reduce("SUM", x)


@dataclass(frozen=True)
class Training:
    """A network in training, with all that its next steps depend on."""

    network: Any
    optimizer: Any
    checkpoint: Path | None  # written after each block (see `churn.runs`); None: not written
    batch_size: int
    seed: int

    def fit(
        self,
        blocks: Callable[[int], Iterable[Block]],
        total: int,
        quiet: bool = False,
        unit: str = "epoch",
    ) -> dict[str, list[float]]:
        """Train on at most `total` blocks, each a `unit` for people; gives the losses after each.

        `blocks(done)` gives the blocks that remain after the first `done` ones.
        """
        train_epoch = compile_epoch(self.network, self.optimizer, xla=False)  # builds the optimizer, too
        variables = [*self.network.variables, *self.optimizer.variables]
        state = Checkpoint(self.checkpoint, variables)
        state.load()
        with nullcontext(silence) if quiet else steps_bar(total, state.epochs, unit) as show:
            for block in blocks(state.epochs):
                batches = shuffled_batches(len(block.labels), self.batch_size, self.seed, state.epochs)
                show(state.record(train_epoch(block, batches)))
                state.save()
        return state.history


def _cross_entropy(label: Any, probability: Any) -> Any:
    """Elementwise cross-entropy in float32; probabilities are kept 1e-7 away from 0 and 1, as Keras does."""
    tf = tensorflow()
    p = tf.clip_by_value(probability, 1e-7, 1 - 1e-7)
    return -label * tf.math.log(p) - (1 - label) * tf.math.log1p(-p)


def shuffled_batches(rows: int, size: int, seed: int, epoch: int) -> np.ndarray:
    """[steps, size] int32 positions of `rows` rows in random order, -1 where the last batch has no more.

    The same seed and epoch give the same order, so that a checkpoint need not store it.
    """
    order = np.full(-(-rows // size) * size, -1, np.int32)
    order[:rows] = np.random.default_rng([seed, epoch]).permutation(rows)
    return order.reshape(-1, size)


def make_optimizer(cfg: TrainConfig, steps: int = 0) -> Any:
    """Adam, or AdamW with decay on kernels only; with `steps`, the rate falls to 0 over so many batches.

    The rate rises linearly in the first twentieth of the steps and then falls as a cosine.
    """
    keras = tensorflow().keras
    rate: Any = cfg.learning_rate
    if steps:
        warm_up = max(1, steps // 20)
        rate = keras.optimizers.schedules.CosineDecay(
            0.0, max(1, steps - warm_up), warmup_target=rate, warmup_steps=warm_up
        )
    if not cfg.weight_decay:
        return keras.optimizers.Adam(rate)
    adamw = keras.optimizers.AdamW(rate, weight_decay=cfg.weight_decay)
    adamw.exclude_from_weight_decay(var_names=["bias"])
    return adamw


def default_batch_size(rows: int) -> int:
    """The power of two nearest to 1/64 of the rows, within 64 ... 512."""
    return int(np.clip(2 ** round(np.log2(rows / 64)), 64, 512))
