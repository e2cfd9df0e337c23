"""Train the model of `cfg.model` on a table in memory, cross-fitted on all rows but the test part."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from churn.backend import make_deterministic
from churn.config.root import Config
from churn.config.training import ModelName
from churn.data.experiment import Experiment
from churn.network import encoding, layers, trainer
from churn.network.adversarial import changed_copies
from churn.network.boosting import FittedTrees, fit_trees
from churn.network.crossfit import TrainingRows, plan_folds
from churn.network.encoder import Encoder
from churn.network.fit_tutorial import fit_tutorial
from churn.network.log_odds import logit
from churn.network.stack import NETWORK_ALONE, fit_stack, stack_out_of_fold
from churn.network.trained import Trained, frame_tensors, predict_members


def fit_network(
    experiment: Experiment,
    checkpoint: Path | None = None,
    quiet: bool = False,
    trees: Future[list[FittedTrees]] | None = None,
) -> Trained:
    """The trained model of `cfg.model`; continues from the file `checkpoint` if it exists.

    A run that was killed and continued ends with the same weights as an uninterrupted one. `quiet` shows no
    progress; `trees` is the result of `fit_experiment_trees` if another process computes it.

    >>> trained = fit_network(experiment)
    >>> trained.predict(experiment.test.frame)  # [n] probabilities
    """
    if experiment.cfg.model.name == ModelName.tutorial:
        return fit_tutorial(experiment, checkpoint, quiet)
    return _fit_crossfitted(training_rows(experiment), experiment.cfg, checkpoint, quiet, trees)


def fit_experiment_trees(experiment: Experiment) -> list[FittedTrees]:
    """The boosted trees of each depth; none for a model without them. Does not need TensorFlow."""
    cfg = experiment.cfg
    if not cfg.model.trees:
        return []
    training = training_rows(experiment)
    return fit_trees(training, training_encoding(training, cfg), cfg)


def training_encoding(training: TrainingRows, cfg: Config) -> encoding.Encoding:
    """The encoding, fitted on the rows."""
    return encoding.fit_encoding(training.frame, training.data.schema, cfg.model, training.ids)


def training_rows(experiment: Experiment) -> TrainingRows:
    """All rows but the test part's, in folds."""
    data, splits, cfg = experiment.data, experiment.splits, experiment.cfg
    rows = np.sort(np.concatenate([splits.train, splits.validation, splits.calibration]))
    changed = changed_copies(data.frame.iloc[rows], cfg)
    return TrainingRows(data, rows, plan_folds(data, rows, cfg.model, cfg.seed), changed)


def _fit_crossfitted(
    training: TrainingRows,
    cfg: Config,
    checkpoint: Path | None,
    quiet: bool,
    trees: Future[list[FittedTrees]] | None,
) -> Trained:
    """Trees and members that are each fitted without one fold of the rows (see `churn.network.crossfit`)."""
    make_deterministic(cfg.seed)
    schema = training.data.schema
    encoder = Encoder(training_encoding(training, cfg))
    inputs = encoder(*frame_tensors(training.frame, schema))
    labels = training.churned[:, None].astype(np.float32)
    weights = (~training.plan.held_out_mask()).astype(np.float32)
    block = trainer.Block(inputs, labels, weights, *changed_inputs(training, encoder, cfg))
    network = layers.build_network(cfg.model, inputs.shape[1])
    history = fit_members(network, block, cfg, checkpoint, quiet)
    fitted = trees.result() if trees else fit_trees(training, encoder.encoding, cfg)
    return stack_fitted(training, Trained(schema, encoder, network, history), fitted, inputs)


def stack_fitted(training: TrainingRows, trained: Trained, fitted: list[FittedTrees], inputs: Any) -> Trained:
    """`trained` with the trees, their weights, and the out-of-fold predictions of the rows."""
    churned, plan = training.churned, training.plan
    network = plan.out_of_fold(logit(predict_members(trained.network, inputs)))
    held_out, stack = network, NETWORK_ALONE
    if fitted:
        held_out = stack_out_of_fold([trees.by_half for trees in fitted], network, churned, plan)
        stack = fit_stack([trees.out_of_fold for trees in fitted], network, churned)
    return replace(
        trained,
        forests=[each.trees for each in fitted],
        stack=stack,
        held_out_rows=training.rows,
        held_out_probability=expit(held_out),
        fold_of_row=plan.fold_of_row,
    )


def changed_inputs(training: TrainingRows, encoder: Encoder, cfg: Config) -> tuple[list[Any], float]:
    """Inputs [n, D] of each changed copy of the rows, and what they weigh, for a `Block`."""
    schema, share = training.data.schema, cfg.train.adversarial.share
    return [encoder(*frame_tensors(rows, schema)) for rows in training.changed], share


def fit_members(
    network: Any, block: trainer.Block, cfg: Config, checkpoint: Path | None = None, quiet: bool = True
) -> dict[str, list[float]]:
    """Train on the block for all epochs; gives the loss of each."""
    rows, train = len(block.inputs), cfg.train
    size = train.batch_size or trainer.default_batch_size(rows)
    optimizer = trainer.make_optimizer(train, train.epochs * -(-rows // size))
    training = trainer.Training(network, optimizer, checkpoint, size, cfg.seed)
    return training.fit(lambda done: repeat(block, train.epochs - done), train.epochs, quiet)
