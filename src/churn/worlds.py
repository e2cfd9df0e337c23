"""Simulated worlds, in which the truth is known: how far off a network like ours is there.

The truth of a world is half the network's and half boosted trees', by their log-odds: the network cannot
represent the trees' steps, and with its own probabilities as the truth it would seem better than it is.
Labels are drawn from that truth, and a network is fitted to them as ours was to the real ones, but of fewer
members and made-up rows: a little worse, as the real truth may be a little rougher than the simulated one.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.special import expit
from threadpoolctl import threadpool_limits

from churn import baselines
from churn.config import Config
from churn.intervals import EPSILON, World
from churn.odds import log_odds
from churn.pool import Pool
from churn.schema import Dataset
from churn.train import Trained, crossfitted

MADE_UP = 1.0  # rows for each real one that its teachers answer for, at most
MEMBERS = 3  # and folds, of the network of a world
FEWEST = 50  # churners, and stayers, from which trees and worlds say anything


def possible(trained: Trained, data: Dataset) -> bool:
    """Whether there are members that were fitted on all rows, and enough rows of either kind."""
    left = data.churned[trained.held_out_rows].sum()
    return len(trained.fold_of_member) > 1 and FEWEST <= left <= len(trained.held_out_rows) - FEWEST


def simulate(trained: Trained, data: Dataset, cfg: Config) -> list[World]:
    """`cfg.export.worlds` worlds of the rows that `trained` was fitted on.

    Their networks are trained together, as the members of one: only the members' answers mean something.
    """
    rows, count = trained.held_out_rows, cfg.export.worlds
    truth = truth_of(trained, data)
    drawn = np.random.default_rng(cfg.seed + 1).random((count, len(rows))) < truth
    model = replace(cfg.model, members=MEMBERS * count, folds=MEMBERS)
    lessons = replace(cfg.train, made_up=min(cfg.train.made_up, MADE_UP))
    like_ours = replace(cfg, model=model, train=lessons, seed=cfg.seed + 1)
    labels = np.repeat(drawn.T, MEMBERS, axis=1)
    fitted = crossfitted(data, rows, labels, like_ours, quiet=True)
    of_world = np.split(fitted.held_out_members, count, axis=1)
    return [World(truth, Pool()(members)) for members in of_world]


def truth_of(trained: Trained, data: Dataset) -> np.ndarray:
    """[h] true probabilities, in every world, of the rows that `trained` was fitted on."""
    rows = trained.held_out_rows
    frame = data.frame.iloc[rows]
    with threadpool_limits(1 if len(rows) < baselines.THREADS_FROM else None):
        trees = baselines.trees(frame, data.churned[rows], data.schema)(frame)
    ours = trained.pool(trained.held_out_members)
    return expit((log_odds(ours, EPSILON) + log_odds(trees, EPSILON)) / 2)
