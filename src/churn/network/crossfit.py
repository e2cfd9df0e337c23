"""Cross-fitting: each model is fitted without one fold, so that every row has an honest prediction.

A fold has two halves. How many trees there are, and what trees and network weigh, is decided for the rows of
one half by the labels of the other (`churn.network.stack`): nothing in a row's out-of-fold prediction depends
on the labels of its own half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from churn.config.training import ModelConfig
from churn.data.dataset import Dataset
from churn.data.split import linked_groups
from churn.errors import UserError


@dataclass(frozen=True)
class TrainingRows:
    """The rows that models are fitted on, with their folds."""

    data: Dataset
    rows: np.ndarray  # [h] positions in `data`
    plan: CrossfitPlan
    changed: Sequence[pd.DataFrame] = ()  # the same rows as customers could change them (`adversarial`)

    @property
    def frame(self) -> pd.DataFrame:
        """The features of the rows."""
        return self.data.frame.iloc[self.rows]

    @property
    def ids(self) -> np.ndarray | None:
        """[h] the customer of each row; None if each row is a customer."""
        return self.data.ids_of(self.rows)

    @property
    def churned(self) -> np.ndarray:
        """[h] 1 = left."""
        return self.data.churned[self.rows]


@dataclass(frozen=True)
class CrossfitPlan:
    """Which model is fitted on which row."""

    fold_of_row: np.ndarray  # [n]
    half_of_row: np.ndarray  # [n] 0 or 1, of its fold
    fold_of_member: np.ndarray  # [M] the fold that each member of the network is not trained on

    def held_out_mask(self) -> np.ndarray:
        """[n, M] whether the row is in the fold that the member makes out-of-fold predictions for."""
        return self.fold_of_row[:, None] == self.fold_of_member

    def out_of_fold(self, members: np.ndarray) -> np.ndarray:
        """[n] for each row the mean of the members that have not seen it, from all [n, M]."""
        return np.average(members, axis=1, weights=self.held_out_mask())


def plan_folds(data: Dataset, rows: np.ndarray, cfg: ModelConfig, seed: int) -> CrossfitPlan:
    """The folds of the rows at the positions `rows`, with the same number of members for each fold.

    Rows of one customer, and copies of a row, lie in one half of a fold. Folds do not depend on the labels,
    so that nothing about its own label can reach an out-of-fold prediction. Raises `UserError` if the members
    cannot be divided evenly.

    >>> plan = plan_folds(data, np.arange(len(data)), cfg.model, seed=42)
    >>> ~plan.held_out_mask()[:, 0]  # the rows that the first member is trained on
    """
    _, group, size = np.unique(linked_groups(data)[rows], return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(size))
    half_of_group = np.empty(len(size), int)
    middle = np.cumsum(size[order]) - size[order] / 2
    half_of_group[order] = (middle / len(rows) * 2 * cfg.folds).astype(int)
    fold, half = np.divmod(half_of_group[group], 2)
    return CrossfitPlan(fold, half, folds_of_members(cfg))


def folds_of_members(cfg: ModelConfig) -> np.ndarray:
    """[M] the fold that each member is not trained on; raises `UserError` if members cannot be divided."""
    if cfg.folds < 3 or cfg.members % cfg.folds:
        raise UserError(
            f"{cfg.members} members cannot be divided evenly among {cfg.folds} folds",
            "model.members",
            "choose 3 folds or more, and a multiple of that number as members",
        )
    return np.arange(cfg.members) % cfg.folds
