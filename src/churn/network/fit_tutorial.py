"""Train the tutorial's network as the article does: Keras's own `fit` on the train part."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from churn.backend import make_deterministic, tensorflow
from churn.config.training import TrainConfig
from churn.data.experiment import Experiment, Part
from churn.errors import UserError
from churn.network import encoding, layers
from churn.network.checkpoint import Checkpoint
from churn.network.encoder import Encoder
from churn.network.progress import ShowLosses, silence, steps_bar
from churn.network.trained import Trained, frame_tensors, predict_members
from churn.network.trainer import default_batch_size, make_optimizer


def fit_tutorial(experiment: Experiment, checkpoint: Path | None = None, quiet: bool = False) -> Trained:
    """The network, trained on the train part; early stopping, if any, uses the validation part."""
    data, splits, cfg = experiment.data, experiment.splits, experiment.cfg
    if cfg.model.members != 1:
        raise UserError("the tutorial's network has one member", "model.members", "model.members=1")
    make_deterministic(cfg.seed)
    rows = experiment.train
    encoder = Encoder(encoding.fit_encoding(rows.frame, data.schema, cfg.model, rows.ids))

    def encode(part: Part) -> tuple[Any, Any]:
        return encoder(*frame_tensors(part.frame, data.schema)), part.churned.astype(np.float32)

    network = layers.build_network(cfg.model, len(encoder.encoding.shift))
    # Several batches in one call: the same weights with less of Keras's overhead.
    network.compile(make_optimizer(cfg.train), loss="binary_crossentropy", steps_per_execution=32)
    network.optimizer.build(network.trainable_variables)
    state = Checkpoint(checkpoint, [*network.variables, *network.optimizer.variables])
    state.load()
    train, validation = encode(experiment.train), encode(experiment.validation)
    with nullcontext(silence) if quiet else steps_bar(cfg.train.epochs, state.epochs) as show:
        _fit_epochs(network, (train, validation), cfg.train, state, show)
    if cfg.train.patience:
        state.restore_best()
    held_out = splits.calibration if len(splits.calibration) else splits.validation
    members = predict_members(network, encode(experiment.part(held_out))[0])
    return Trained(
        data.schema,
        encoder,
        network,
        state.history,
        held_out_rows=held_out,
        held_out_probability=members[:, 0],
    )


def _fit_epochs(
    network: Any, parts: tuple[Any, Any], cfg: TrainConfig, state: Checkpoint, show: ShowLosses
) -> None:
    """Train from the epoch after `state`'s; save `state` and show the losses after each epoch."""
    train, validation = parts

    def after_epoch(_: int, losses: dict[str, float]) -> None:
        show(state.record(losses["loss"], losses["val_loss"]))
        state.save()
        network.stop_training = state.has_stopped(cfg.patience)

    network.fit(
        *train,
        validation_data=validation,
        batch_size=cfg.batch_size or default_batch_size(len(train[1])),
        initial_epoch=cfg.epochs if state.has_stopped(cfg.patience) else state.epochs,
        epochs=cfg.epochs,
        callbacks=[tensorflow().keras.callbacks.LambdaCallback(on_epoch_end=after_epoch)],
        verbose=0,
    )
