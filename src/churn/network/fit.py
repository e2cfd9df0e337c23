"""Fit a network: `dense` cross-fitted on all rows but the test part, `tutorial` as the article does."""

from __future__ import annotations

from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import log_loss

from churn.backend import make_deterministic, tensorflow
from churn.config.root import Config
from churn.config.training import ModelConfig, ModelName, TrainConfig
from churn.data.dataset import Dataset, Schema
from churn.data.experiment import Experiment, Part
from churn.network import crossfit, distill, encoding, ensemble, layers, trainer
from churn.network.checkpoint import Checkpoint
from churn.network.distill import SoftLabels, TrainingRows
from churn.network.ensemble import LogitMean
from churn.network.progress import ShowLosses, epochs_bar, silence


@dataclass(frozen=True)
class Trained:
    """A fitted network of M members with the encoding that it reads, and what it says of rows it never saw.

    Held out are, for `dense`, all rows but the test part, each from the members that are not trained on its
    fold; for `tutorial` the calibration part, or the validation part where there is none.
    """

    schema: Schema
    encoder: encoding.Encoder
    network: Any  # keras.Model: [n, D] -> [n, M]
    history: dict[str, list[float]]  # per epoch: "loss", and with early stopping "val_loss"
    held_out_rows: np.ndarray  # [h] positions in the Dataset
    held_out_probability: np.ndarray  # [h] by weights that saw none of these rows' labels
    held_out_members: np.ndarray  # [h, M] of every member, also of those that saw the row
    fold_of_row: np.ndarray  # [h] the fold of each held-out row
    fold_of_member: np.ndarray  # [M] the fold that each member is not trained on
    pool: LogitMean = field(default_factory=LogitMean)  # of the members' answers

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """[n] churn probabilities of rows as in `Dataset.frame`."""
        return self.pool(predict_members(self.network, self.encoder(*frame_tensors(frame, self.schema))))

    def held_out_log_loss(self, data: Dataset) -> float:
        """Log loss of the held-out rows of `data`, in nats."""
        return float(log_loss(data.churned[self.held_out_rows], self.held_out_probability, labels=[0, 1]))


def fit_network(
    experiment: Experiment,
    checkpoint: Path | None = None,
    quiet: bool = False,
    soft_labels: Future[SoftLabels | None] | None = None,
) -> Trained:
    """The network of `cfg.model`, trained; continues from the file `checkpoint` where there is one.

    A run that was killed and resumed ends with the weights of an unbroken one. `quiet` shows no progress;
    `soft_labels` is the result of `fit_soft_labels` where another process computes it.

    >>> trained = fit_network(experiment)
    >>> trained.predict(experiment.test.frame)  # [n] probabilities
    """
    if experiment.cfg.model.name == ModelName.tutorial:
        return _fit_tutorial(experiment, checkpoint, quiet)
    return fit_crossfitted(_training_rows(experiment), experiment.cfg, checkpoint, quiet, soft_labels)


def _training_rows(experiment: Experiment) -> TrainingRows:
    """All rows but the test part's; each member learns the same labels."""
    data, splits = experiment.data, experiment.splits
    rows = np.sort(np.concatenate([splits.train, splits.validation, splits.calibration]))
    labels = np.repeat(data.churned[rows, None], experiment.cfg.model.members, axis=1)
    return TrainingRows(data, rows, labels)


def fit_soft_labels(experiment: Experiment) -> SoftLabels | None:
    """Boosted trees' probabilities for augmented rows; None for the tutorial's network.

    Does not need TensorFlow.
    """
    if experiment.cfg.model.name == ModelName.tutorial:
        return None
    return distill.soft_labels(_training_rows(experiment), experiment.cfg)


def fit_crossfitted(
    training: TrainingRows,
    cfg: Config,
    checkpoint: Path | None = None,
    quiet: bool = False,
    soft_labels: Future[SoftLabels | None] | None = None,
) -> Trained:
    """Members that are each fitted without one fold of the rows (see `churn.network.crossfit`)."""
    make_deterministic(cfg.seed)
    data = training.data
    plan = crossfit.plan_folds(data, training.rows, cfg.model, cfg.seed)
    encoder = encoding.Encoder(encoding.fit_encoding(training.frame, data.schema, cfg.model))
    inputs = encoder(*frame_tensors(training.frame, data.schema))
    learns, stops = (mask.astype(np.float32) for mask in (plan.training_mask(), plan.stopping_mask()))
    block = trainer.Block(inputs, training.labels.astype(np.float32), learns, stops)
    soft = soft_labels.result() if soft_labels else distill.soft_labels(training, cfg)
    if soft:
        augmented = encoder(*frame_tensors(soft.customers, data.schema))
        block = _with_soft_labels(block, augmented, soft.probability, cfg.train.hard_label_weight)
    network = layers.build_network(
        cfg.model if soft else _labels_only(cfg.model), len(encoder.encoding.shift)
    )
    history = _fit_members(network, block, cfg, checkpoint, quiet)
    members = predict_members(network, inputs)
    return Trained(
        data.schema, encoder, network, history,
        held_out_rows=training.rows,
        held_out_probability=plan.out_of_fold(members),
        held_out_members=members,
        fold_of_row=plan.fold_of_row,
        fold_of_member=plan.fold_of_member,
        pool=ensemble.fit_logit_mean(plan, members),
    )  # fmt: skip


def _labels_only(cfg: ModelConfig) -> ModelConfig:
    """The network for labels alone: with units silenced, so that it does not learn them by heart."""
    return replace(cfg, dropout=cfg.dropout_labels_only)


def _with_soft_labels(
    real: trainer.Block, inputs: Any, answers: np.ndarray, label_weight: float
) -> trainer.Block:
    """`real`, each row counting `label_weight`, and then made-up rows with their teachers' answers."""
    return trainer.Block(
        tensorflow().concat([real.inputs, inputs], axis=0),
        np.concatenate([real.labels, answers]),
        np.concatenate([label_weight * real.weights, np.ones_like(answers)]),
        np.concatenate([real.stopping_mask, np.zeros_like(answers)]),
    )


def _fit_members(
    network: Any, block: trainer.Block, cfg: Config, checkpoint: Path | None, quiet: bool
) -> dict[str, list[float]]:
    """Train on the block until every member has stopped; gives the losses of the epochs."""
    rows, train = len(block.inputs), cfg.train
    size = train.batch_size or default_batch_size(rows)
    optimizer = make_optimizer(train, train.epochs * -(-rows // size))
    training = trainer.Training(
        network, optimizer, checkpoint, size, cfg.seed, cfg.model.members, train.patience
    )
    return training.fit(lambda done: repeat(block, train.epochs - done), train.epochs, quiet)


def _fit_tutorial(experiment: Experiment, checkpoint: Path | None, quiet: bool) -> Trained:
    """Keras's own `fit`: weights on the train part, early stopping, if any, on the validation part."""
    data, splits, cfg = experiment.data, experiment.splits, experiment.cfg
    make_deterministic(cfg.seed)
    fitted = encoding.fit_encoding(experiment.train.frame, data.schema, cfg.model)
    encoder = encoding.Encoder(fitted)

    def encoded(part: Part) -> tuple[Any, Any]:
        return encoder(*frame_tensors(part.frame, data.schema)), part.churned.astype(np.float32)

    network = layers.build_network(cfg.model, len(fitted.shift))
    # Several batches a call: the same weights with less of Keras's overhead.
    network.compile(make_optimizer(cfg.train), loss="binary_crossentropy", steps_per_execution=32)
    network.optimizer.build(network.trainable_variables)
    state = Checkpoint(checkpoint, [*network.variables, *network.optimizer.variables])
    state.load()
    train, validation = encoded(experiment.train), encoded(experiment.validation)
    with nullcontext(silence) if quiet else epochs_bar(cfg.train.epochs, state.epochs) as show:
        _fit_keras_epochs(network, train, validation, cfg.train, state, show)
    state.restore_best()
    held_out = splits.calibration if len(splits.calibration) else splits.validation
    members = predict_members(network, encoded(experiment.part(held_out))[0])
    return Trained(
        data.schema, encoder, network, state.history,
        held_out_rows=held_out,
        held_out_probability=members[:, 0],
        held_out_members=members,
        fold_of_row=np.zeros(len(held_out), int),
        fold_of_member=np.zeros(1, int),
    )  # fmt: skip


def _fit_keras_epochs(
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
        batch_size=cfg.batch_size or default_batch_size(len(fit[1])),
        initial_epoch=cfg.epochs if state.stopped else state.epochs,
        epochs=cfg.epochs,
        callbacks=[tensorflow().keras.callbacks.LambdaCallback(on_epoch_end=after_epoch)],
        verbose=0,
    )


def make_optimizer(cfg: TrainConfig, steps: int = 0) -> Any:
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


def default_batch_size(rows: int) -> int:
    """The power of two nearest to 1/64 of the rows, within 64 ... 512."""
    return int(np.clip(2 ** round(np.log2(rows / 64)), 64, 512))


def predict_members(network: Any, inputs: Any, size: int = 8_192) -> np.ndarray:
    """[n, M] probabilities of encoded rows [n, D], so many at a time."""
    parts = [network(inputs[i : i + size], training=False).numpy() for i in range(0, len(inputs), size)]
    return np.concatenate(parts).astype(float)


def frame_tensors(frame: pd.DataFrame, schema: Schema) -> tuple[Any, Any]:
    """Numbers [n, F] float32 and categories [n, C] string of rows as in `Dataset.frame`."""
    tf = tensorflow()
    numbers = tf.constant(frame[list(schema.numeric)].to_numpy(np.float32))
    categories = frame[list(schema.categorical)].to_numpy(object)
    return numbers, tf.constant(categories, tf.string, shape=categories.shape)
