"""Train the network of `cfg.model` on a table in memory, cross-fitted on all rows but the test part."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from churn.backend import make_deterministic, tensorflow
from churn.config.root import Config
from churn.config.training import ModelConfig, ModelName
from churn.data.experiment import Experiment
from churn.network import crossfit, distill, encoding, ensemble, layers, trainer
from churn.network.crossfit import TrainingRows
from churn.network.distill import SoftLabels
from churn.network.fit_tutorial import fit_tutorial
from churn.network.trained import Trained, frame_tensors, predict_members


def fit_network(
    experiment: Experiment,
    checkpoint: Path | None = None,
    quiet: bool = False,
    soft_labels: Future[SoftLabels | None] | None = None,
) -> Trained:
    """The trained network of `cfg.model`; continues from the file `checkpoint` if it exists.

    A run that was killed and continued ends with the same weights as an uninterrupted one. `quiet` shows no
    progress; `soft_labels` is the result of `fit_soft_labels` if another process computes it.

    >>> trained = fit_network(experiment)
    >>> trained.predict(experiment.test.frame)  # [n] probabilities
    """
    if experiment.cfg.model.name == ModelName.tutorial:
        return fit_tutorial(experiment, checkpoint, quiet)
    return fit_crossfitted(_training_rows(experiment), experiment.cfg, checkpoint, quiet, soft_labels)


def fit_soft_labels(experiment: Experiment) -> SoftLabels | None:
    """Boosted trees' probabilities for augmented rows; None for the tutorial's network.

    Does not need TensorFlow.
    """
    if experiment.cfg.model.name == ModelName.tutorial:
        return None
    return distill.soft_labels(_training_rows(experiment), experiment.cfg)


def _training_rows(experiment: Experiment) -> TrainingRows:
    """All rows but the test part's, with the same labels for each member."""
    data, splits = experiment.data, experiment.splits
    rows = np.sort(np.concatenate([splits.train, splits.validation, splits.calibration]))
    labels = np.repeat(data.churned[rows, None], experiment.cfg.model.members, axis=1)
    return TrainingRows(data, rows, labels)


def fit_crossfitted(
    training: TrainingRows,
    cfg: Config,
    checkpoint: Path | None = None,
    quiet: bool = False,
    soft_labels: Future[SoftLabels | None] | None = None,
) -> Trained:
    """Members that are each trained without one fold of the rows (see `churn.network.crossfit`)."""
    make_deterministic(cfg.seed)
    schema = training.data.schema
    plan = crossfit.plan_folds(training.data, training.rows, cfg.model, cfg.seed)
    encoder = encoding.Encoder(encoding.fit_encoding(training.frame, schema, cfg.model))
    inputs = encoder(*frame_tensors(training.frame, schema))
    learns, stops = (mask.astype(np.float32) for mask in (plan.training_mask(), plan.stopping_mask()))
    block = trainer.Block(inputs, training.labels.astype(np.float32), learns, stops)
    soft = soft_labels.result() if soft_labels else distill.soft_labels(training, cfg)
    if soft:
        augmented = encoder(*frame_tensors(soft.frame, schema))
        block = _with_soft_labels(block, augmented, soft.probability, cfg.train.hard_label_weight)
    network = layers.build_network(cfg.model if soft else _labels_only(cfg.model), inputs.shape[1])
    history = _fit_members(network, block, cfg, checkpoint, quiet)
    members = predict_members(network, inputs)
    return Trained(
        schema, encoder, network, history,
        held_out_rows=training.rows,
        held_out_probability=plan.out_of_fold(members),
        held_out_members=members,
        fold_of_row=plan.fold_of_row,
        fold_of_member=plan.fold_of_member,
        ensemble=ensemble.fit_logit_mean(plan, members),
    )  # fmt: skip


def _labels_only(cfg: ModelConfig) -> ModelConfig:
    """The network for hard labels alone: with dropout, so that it does not memorise them."""
    return replace(cfg, dropout=cfg.dropout_labels_only)


def _with_soft_labels(
    real: trainer.Block, inputs: Any, soft_labels: np.ndarray, hard_label_weight: float
) -> trainer.Block:
    """The real rows, with weight `hard_label_weight`, followed by augmented rows, with weight 1."""
    return trainer.Block(
        tensorflow().concat([real.inputs, inputs], axis=0),
        np.concatenate([real.labels, soft_labels]),
        np.concatenate([hard_label_weight * real.weights, np.ones_like(soft_labels)]),
        np.concatenate([real.stopping_mask, np.zeros_like(soft_labels)]),
    )


def _fit_members(
    network: Any, block: trainer.Block, cfg: Config, checkpoint: Path | None, quiet: bool
) -> dict[str, list[float]]:
    """Train on the block until every member has stopped; gives the losses of the epochs."""
    rows, train = len(block.inputs), cfg.train
    size = train.batch_size or trainer.default_batch_size(rows)
    optimizer = trainer.make_optimizer(train, train.epochs * -(-rows // size))
    training = trainer.Training(
        network, optimizer, checkpoint, size, cfg.seed, cfg.model.members, train.patience
    )
    return training.fit(lambda done: repeat(block, train.epochs - done), train.epochs, quiet)
