"""Parametric bootstrap: refit the network on labels drawn from a known probability and measure its error.

The known probability is the mean, in log-odds, of the network's and of boosted trees': the network cannot
represent the trees' steps, and with its own probabilities as the truth it would seem better than it is. A
refit has fewer members and fewer augmented rows than the network: its errors are slightly larger, as the
real truth may be slightly rougher than the simulated one.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.special import expit
from threadpoolctl import threadpool_limits

from churn.bundle.intervals import EPSILON, Refit
from churn.data.experiment import Experiment
from churn.network.crossfit import TrainingRows
from churn.network.ensemble import LogitMean
from churn.network.fit import fit_crossfitted
from churn.network.log_odds import logit
from churn.network.trained import Trained
from churn.network.trees import THREADS_FROM, fit_small_trees

AUGMENTED = 1.0  # augmented rows per real row, at most
MEMBERS = 3  # and folds, of a refit
MIN_EACH = 50  # churners, and stayers, below which trees and refits are no use


def can_refit(experiment: Experiment, trained: Trained) -> bool:
    """Whether refits are configured, members are cross-fitted in memory, and each class has enough rows."""
    rows = trained.held_out_rows
    churners = experiment.data.churned[rows].sum()
    enough = MIN_EACH <= churners <= len(rows) - MIN_EACH
    cross_fitted = len(trained.fold_of_member) > 1 and not experiment.is_sample
    return bool(experiment.cfg.export.refits and cross_fitted and enough)


def refit(experiment: Experiment, trained: Trained) -> list[Refit]:
    """`cfg.export.refits` refits on the rows that `trained` was fitted on.

    All refits are trained as members of one ensemble; use the members, not their mean.
    """
    cfg, rows = experiment.cfg, trained.held_out_rows
    truth, count = _known_probability(experiment, trained), cfg.export.refits
    labels = np.random.default_rng(cfg.seed + 1).random((count, len(rows))) < truth
    training = TrainingRows(experiment.data, rows, np.repeat(labels.T, MEMBERS, axis=1))
    model = replace(cfg.model, members=MEMBERS * count, folds=MEMBERS)
    train = replace(cfg.train, augmented=min(cfg.train.augmented, AUGMENTED))
    fitted = fit_crossfitted(training, replace(cfg, model=model, train=train, seed=cfg.seed + 1), quiet=True)
    members_of_refit = np.split(fitted.held_out_members, count, axis=1)
    return [Refit(truth, LogitMean()(members)) for members in members_of_refit]


def _known_probability(experiment: Experiment, trained: Trained) -> np.ndarray:
    """[h] the probability that labels are drawn from, of the rows that `trained` was fitted on."""
    known = experiment.part(trained.held_out_rows)
    with threadpool_limits(1 if len(known.churned) < THREADS_FROM else None):
        trees = fit_small_trees(known.frame, known.churned, experiment.data.schema)(known.frame)
    network = trained.ensemble(trained.held_out_members)
    return expit((logit(network, EPSILON) + logit(trees, EPSILON)) / 2)
