"""Parametric bootstrap: refit the model on labels drawn from a known probability and measure its error.

The known probability is the model's own out-of-fold prediction: as rough as the model and, being honest, no
more certain than it should be. A refit has as many trees as the model, and their weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import replace

import numpy as np

from churn.backend import make_deterministic
from churn.bundle.intervals import Refit
from churn.config.root import Config
from churn.data.experiment import Experiment
from churn.network.boosting import LabelledRows, grow_rows, labelled_rows
from churn.network.catboost_trees import Settings
from churn.network.crossfit import TrainingRows
from churn.network.fit import changed_inputs, fit_members, training_rows
from churn.network.layers import build_network
from churn.network.log_odds import logit
from churn.network.trained import Trained, frame_tensors, predict_members
from churn.network.trainer import Block
from churn.parallel import LAZY

MEMBERS = 3  # of a refit's network; each learns from all rows but a fold's
ALL = slice(None)
MIN_EACH = 50  # churners, and stayers, below which refits are no use


def can_refit(experiment: Experiment, trained: Trained) -> bool:
    """Whether refits are configured, the model has trees of rows in memory, and each class enough rows."""
    rows = trained.held_out_rows
    churners = experiment.data.churned[rows].sum()
    enough = MIN_EACH <= churners <= len(rows) - MIN_EACH
    return bool(experiment.cfg.export.refits and trained.forests and not experiment.is_sample and enough)


def refit(experiment: Experiment, trained: Trained, worker: Executor = LAZY) -> list[Refit]:
    """`cfg.export.refits` refits on the rows that `trained` was fitted on.

    `worker` grows their trees while their networks are trained here.
    """
    cfg, training = experiment.cfg, training_rows(experiment)
    truth = trained.held_out_probability
    labels = np.random.default_rng(cfg.seed + 1).random((cfg.export.refits, len(truth))) < truth
    rows = labelled_rows(training, trained.encoder.encoding, cfg)
    shapes = [forest.column.shape for forest in trained.forests]
    trees = worker.submit(_refit_trees, rows, labels, shapes, cfg.seed + 1)
    networks = _refit_networks(training, trained, labels, cfg)
    return [
        Refit(logit(truth), trained.stack(of_refit, network))
        for of_refit, network in zip(trees.result(), networks, strict=True)
    ]


def _refit_trees(
    rows: LabelledRows, labels: np.ndarray, shapes: Sequence[tuple[int, int]], seed: int
) -> list[list[np.ndarray]]:
    """For each refit the log-odds [h] by trees of each shape (number, depth), from labels [refits, h]."""
    refits = []
    for number, drawn in enumerate(labels.astype(int)):
        settings = [Settings(count, depth, seed + number) for count, depth in shapes]
        redrawn = replace(rows, churned=drawn)
        refits.append([grow_rows(redrawn, ALL, each).log_odds(rows.inputs, each.trees) for each in settings])
    return refits


def _refit_networks(
    training: TrainingRows, trained: Trained, labels: np.ndarray, cfg: Config
) -> Iterator[np.ndarray]:
    """[h] log-odds by a network for each refit, from labels [refits, h]; all are trained as one."""
    make_deterministic(cfg.seed + 1)
    inputs = trained.encoder(*frame_tensors(training.frame, trained.schema))
    learns = training.plan.fold_of_row[:, None] != np.arange(MEMBERS)
    weights = np.tile(learns.astype(np.float32), len(labels))
    copies = changed_inputs(training, trained.encoder, cfg)
    block = Block(inputs, np.repeat(labels.T.astype(np.float32), MEMBERS, axis=1), weights, *copies)
    network = build_network(replace(cfg.model, members=len(weights[0])), inputs.shape[1])
    fit_members(network, block, cfg)
    members = np.split(logit(predict_members(network, inputs)), len(labels), axis=1)
    return (member.mean(axis=1) for member in members)
