"""Fit a network: `dense` cross-fitted on all rows but the test part, `tutorial` as the article does."""

from __future__ import annotations

from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from churn import crossfit, loop, model, pool, preprocess, teacher
from churn.backend import make_repeatable, tensorflow
from churn.checkpoint import Checkpoint
from churn.config import Config, ModelConfig, ModelName, TrainConfig
from churn.pool import Pool
from churn.progress import ShowLosses, epochs_bar, silence
from churn.schema import Dataset, Schema
from churn.split import Splits
from churn.teacher import Taught


@dataclass(frozen=True)
class Trained:
    """A fitted network of M members with the encoding that it reads, and what it says of rows it never saw.

    Held out are, for `dense`, all rows but the test part, each from the members that are not trained on its
    fold; for `tutorial` the calibration part, or the validation part where there is none.
    """

    schema: Schema
    encoder: preprocess.Encoder
    network: Any  # keras.Model: [n, D] -> [n, M]
    history: dict[str, list[float]]  # per epoch: "loss", and with early stopping "val_loss"
    held_out_rows: np.ndarray  # [h] positions in the Dataset
    held_out_probability: np.ndarray  # [h] by weights that saw none of these rows' labels
    held_out_members: np.ndarray  # [h, M] of every member, also of those that saw the row
    fold_of_row: np.ndarray  # [h] the fold of each held-out row
    fold_of_member: np.ndarray  # [M] the fold that each member is not trained on
    pool: Pool = field(default_factory=Pool)  # of the members' answers

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """[n] churn probabilities of rows as in `Dataset.frame`."""
        return self.pool(members_of(self.network, self.encoder(*tensors(frame, self.schema))))


def train(
    data: Dataset,
    splits: Splits,
    cfg: Config,
    checkpoint: Path | None = None,
    quiet: bool = False,
    taught: Future[Taught | None] | None = None,
) -> Trained:
    """The network of `cfg.model`, trained; goes on from the file `checkpoint` where there is one.

    A run that was killed and taken up again ends with the weights of an unbroken one. `quiet` shows no
    progress; `taught` is what `teach` gives, where somebody else does that meanwhile.
    """
    if cfg.model.name == ModelName.tutorial:
        return train_tutorial(data, splits, cfg, checkpoint, quiet)
    return crossfitted(data, *lessons(data, splits, cfg), cfg, checkpoint, quiet, taught)


def lessons(data: Dataset, splits: Splits, cfg: Config) -> tuple[np.ndarray, np.ndarray]:
    """Positions [h] of all rows but the test part's, and their labels for each member [h, M]."""
    rows = np.sort(np.concatenate([splits.train, splits.validation, splits.calibration]))
    return rows, np.repeat(data.churned[rows, None], cfg.model.members, axis=1)


def teach(data: Dataset, splits: Splits, cfg: Config) -> Taught | None:
    """What boosted trees tell the members beside the labels; None for the tutorial's network.

    Does not need TensorFlow.
    """
    if cfg.model.name == ModelName.tutorial:
        return None
    return teacher.teach(data, *lessons(data, splits, cfg), cfg)


def crossfitted(
    data: Dataset,
    rows: np.ndarray,
    labels: np.ndarray,
    cfg: Config,
    checkpoint: Path | None = None,
    quiet: bool = False,
    taught: Future[Taught | None] | None = None,
) -> Trained:
    """Members fitted on the positions `rows` [h] of `data`, each without a fold (see `churn.crossfit`).

    Each learns from labels of its own, [h, M].
    """
    make_repeatable(cfg.seed)
    frame = data.frame.iloc[rows]
    plan = crossfit.plan(data, rows, cfg.model, cfg.seed)
    encoder = preprocess.Encoder(preprocess.fit(frame, data.schema, cfg.model))
    inputs = encoder(*tensors(frame, data.schema))
    learns, judges = (of.astype(np.float32) for of in (plan.learns(), plan.judges()))
    block = loop.Block(inputs, labels.astype(np.float32), learns, judges)
    told = taught.result() if taught else teacher.teach(data, rows, labels, cfg)
    if told:
        made_up = encoder(*tensors(told.customers, data.schema))
        block = with_answers(block, made_up, told.answers, cfg.train.label_weight)
    network = model.build(cfg.model if told else untaught(cfg.model), len(encoder.encoding.shift))
    history = fit_block(network, block, cfg, checkpoint, quiet)
    members = members_of(network, inputs)
    return Trained(
        data.schema, encoder, network, history,
        held_out_rows=rows,
        held_out_probability=plan.out_of_fold(members),
        held_out_members=members,
        fold_of_row=plan.fold_of_row,
        fold_of_member=plan.fold_of_member,
        pool=pool.fit(plan, members),
    )  # fmt: skip


def untaught(cfg: ModelConfig) -> ModelConfig:
    """The network for labels alone: with units silenced, so that it does not learn them by heart."""
    return replace(cfg, dropout=cfg.dropout_untaught)


def with_answers(real: loop.Block, inputs: Any, answers: np.ndarray, label_weight: float) -> loop.Block:
    """`real`, each row counting `label_weight`, and then made-up rows with their teachers' answers."""
    return loop.Block(
        tensorflow().concat([real.inputs, inputs], axis=0),
        np.concatenate([real.targets, answers]),
        np.concatenate([label_weight * real.weights, np.ones_like(answers)]),
        np.concatenate([real.judges, np.zeros_like(answers)]),
    )


def fit_block(
    network: Any, block: loop.Block, cfg: Config, checkpoint: Path | None, quiet: bool
) -> dict[str, list[float]]:
    """Our own loop over the block until every member has stopped; gives the losses of the epochs."""
    rows, train = len(block.inputs), cfg.train
    size = train.batch_size or suitable_batch_size(rows)
    steps = -(-rows // size)
    rule = optimizer(train, train.epochs * steps)
    epoch = loop.epoch_of(network, rule, xla=False)
    state = Checkpoint(checkpoint, [*network.variables, *rule.variables], cfg.model.members)
    state.load()
    with nullcontext(silence) if quiet else epochs_bar(train.epochs, state.epochs) as show:
        while state.epochs < train.epochs and not state.stopped:
            losses = epoch(block, loop.batches(rows, size, cfg.seed, state.epochs))
            show(state.record(*losses, train.patience))
            state.save()
    state.restore_best()
    return state.history


def train_tutorial(
    data: Dataset, splits: Splits, cfg: Config, checkpoint: Path | None, quiet: bool
) -> Trained:
    """Keras's own `fit`: weights on the train part, early stopping, if any, on the validation part."""
    make_repeatable(cfg.seed)
    fitted = preprocess.fit(data.frame.iloc[splits.train], data.schema, cfg.model)
    encoder = preprocess.Encoder(fitted)

    def part(rows: np.ndarray) -> tuple[Any, Any]:
        return encoder(*tensors(data.frame.iloc[rows], data.schema)), data.churned[rows].astype(np.float32)

    network = model.build(cfg.model, len(fitted.shift))
    # Several batches a call: the same weights with less of Keras's overhead.
    network.compile(optimizer(cfg.train), loss="binary_crossentropy", steps_per_execution=32)
    network.optimizer.build(network.trainable_variables)
    state = Checkpoint(checkpoint, [*network.variables, *network.optimizer.variables])
    state.load()
    with nullcontext(silence) if quiet else epochs_bar(cfg.train.epochs, state.epochs) as show:
        fit_epochs(network, part(splits.train), part(splits.validation), cfg.train, state, show)
    state.restore_best()
    held_out = splits.calibration if len(splits.calibration) else splits.validation
    members = members_of(network, part(held_out)[0])
    return Trained(
        data.schema, encoder, network, state.history,
        held_out_rows=held_out,
        held_out_probability=members[:, 0],
        held_out_members=members,
        fold_of_row=np.zeros(len(held_out), int),
        fold_of_member=np.zeros(1, int),
    )  # fmt: skip


def fit_epochs(
    network: Any, fit: tuple, validate: tuple, cfg: TrainConfig, state: Checkpoint, show: ShowLosses
) -> None:
    """Keras's own `fit`, from the epoch after `state`'s, saving `state` and showing losses after each."""

    def after_epoch(_: int, losses: dict[str, float]) -> None:
        show(state.record(losses["loss"], losses["val_loss"], cfg.patience))
        state.save()
        network.stop_training = state.stopped

    network.fit(
        *fit,
        validation_data=validate,
        batch_size=cfg.batch_size or suitable_batch_size(len(fit[1])),
        initial_epoch=cfg.epochs if state.stopped else state.epochs,
        epochs=cfg.epochs,
        callbacks=[tensorflow().keras.callbacks.LambdaCallback(on_epoch_end=after_epoch)],
        verbose=0,
    )


def optimizer(cfg: TrainConfig, steps: int = 0) -> Any:
    """Adam, or AdamW with decay on kernels only; over `steps` batches the rate falls to 0 as a cosine."""
    keras = tensorflow().keras
    rate: Any = cfg.learning_rate
    if steps:
        warm = max(1, steps // 20)
        rate = keras.optimizers.schedules.CosineDecay(
            0.0, max(1, steps - warm), warmup_target=rate, warmup_steps=warm
        )
    if not cfg.weight_decay:
        return keras.optimizers.Adam(rate)
    adamw = keras.optimizers.AdamW(rate, weight_decay=cfg.weight_decay)
    adamw.exclude_from_weight_decay(var_names=["bias"])
    return adamw


def suitable_batch_size(rows: int) -> int:
    """The power of two nearest to 1/64 of the rows, within 64 ... 512."""
    return int(np.clip(2 ** round(np.log2(rows / 64)), 64, 512))


def members_of(network: Any, inputs: Any, size: int = 8_192) -> np.ndarray:
    """[n, M] probabilities of encoded rows [n, D], so many at a time."""
    parts = [network(inputs[i : i + size], training=False).numpy() for i in range(0, len(inputs), size)]
    return np.concatenate(parts).astype(float)


def tensors(frame: pd.DataFrame, schema: Schema) -> tuple[Any, Any]:
    """Numbers [n, F] float32 and categories [n, C] string of rows as in `Dataset.frame`."""
    tf = tensorflow()
    numbers = tf.constant(frame[list(schema.numeric)].to_numpy(np.float32))
    categories = frame[list(schema.categorical)].to_numpy(object)
    return numbers, tf.constant(categories, tf.string, shape=categories.shape)
