"""Fit a network: weights on the train part, early stopping on the validation part."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from churn import model, preprocess
from churn.backend import make_repeatable, tensorflow
from churn.checkpoint import Checkpoint
from churn.config import Config, TrainConfig
from churn.progress import ShowLosses, epochs_bar, silence
from churn.schema import Dataset, Schema
from churn.split import Splits


@dataclass(frozen=True)
class Trained:
    """A fitted network with the encoding that it reads."""

    schema: Schema
    encoder: preprocess.Encoder
    network: Any  # keras.Model: [n, D] -> [n, 1]
    history: dict[str, list[float]]  # per epoch: "loss" on train rows, "val_loss" on validation rows

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """[n] churn probabilities of rows as in `Dataset.frame`."""
        encoded = self.encoder(*tensors(frame, self.schema))
        return self.network(encoded, training=False).numpy()[:, 0].astype(float)


def train(data: Dataset, splits: Splits, cfg: Config, checkpoint: Path, quiet: bool = False) -> Trained:
    """The network of `cfg.model`, trained; goes on from the file `checkpoint` where there is one.

    A run that was killed and taken up again ends with the weights of an unbroken one. `quiet` shows no
    progress.
    """
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
    return Trained(data.schema, encoder, network, state.history)


def fit_epochs(
    network: Any, fit: tuple, validate: tuple, cfg: TrainConfig, state: Checkpoint, show: ShowLosses
) -> None:
    """Keras's own `fit`, from the epoch after `state`'s, saving `state` and showing losses after each."""

    def after_epoch(_: int, losses: dict[str, float]) -> None:
        state.record(losses, cfg.patience)
        state.save()
        network.stop_training = state.stopped
        show(losses)

    network.fit(
        *fit,
        validation_data=validate,
        batch_size=cfg.batch_size or suitable_batch_size(len(fit[1])),
        initial_epoch=cfg.epochs if state.stopped else state.epochs,
        epochs=cfg.epochs,
        callbacks=[tensorflow().keras.callbacks.LambdaCallback(on_epoch_end=after_epoch)],
        verbose=0,
    )


def optimizer(cfg: TrainConfig) -> Any:
    """Adam, or AdamW with decay on kernels only."""
    keras = tensorflow().keras
    if not cfg.weight_decay:
        return keras.optimizers.Adam(cfg.learning_rate)
    adamw = keras.optimizers.AdamW(cfg.learning_rate, weight_decay=cfg.weight_decay)
    adamw.exclude_from_weight_decay(var_names=["bias"])
    return adamw


def suitable_batch_size(rows: int) -> int:
    """The power of two nearest to 1/32 of the rows, within 64 ... 512."""
    return int(np.clip(2 ** round(np.log2(rows / 32)), 64, 512))


def tensors(frame: pd.DataFrame, schema: Schema) -> tuple[Any, Any]:
    """Numbers [n, F] float32 and categories [n, C] string of rows as in `Dataset.frame`."""
    tf = tensorflow()
    numbers = tf.constant(frame[list(schema.numeric)].to_numpy(np.float32))
    categories = frame[list(schema.categorical)].to_numpy(object)
    return numbers, tf.constant(categories, tf.string, shape=categories.shape)
