"""Cross-fitting: each member is trained without one fold, so that every row has an honest prediction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from churn.config.training import ModelConfig
from churn.data.dataset import Dataset
from churn.data.split import linked_groups
from churn.errors import UserError


@dataclass(frozen=True)
class TrainingRows:
    """The rows that members are trained on, and the labels of each member."""

    data: Dataset
    rows: np.ndarray  # [h] positions in `data`
    labels: np.ndarray  # [h, M] 1 = left

    @property
    def frame(self) -> pd.DataFrame:
        """The features of the rows."""
        return self.data.frame.iloc[self.rows]


@dataclass(frozen=True)
class CrossfitPlan:
    """Which member is trained on which row."""

    fold_of_row: np.ndarray  # [n]
    stopping_half: np.ndarray  # [n] whether the row is in the half of its fold that serves early stopping
    fold_of_member: np.ndarray  # [M] the fold that each member is not trained on
    stopping_fold: np.ndarray  # [M] another fold: half of it is held out for the member's early stopping

    def held_out_mask(self) -> np.ndarray:
        """[n, M] whether the row is in the fold that the member makes out-of-fold predictions for."""
        return self.fold_of_row[:, None] == self.fold_of_member

    def stopping_mask(self) -> np.ndarray:
        """[n, M] whether the row is held out for the member's early stopping."""
        return self.stopping_half[:, None] & (self.fold_of_row[:, None] == self.stopping_fold)

    def training_mask(self) -> np.ndarray:
        """[n, M] whether the member is trained on the row."""
        return ~self.held_out_mask() & ~self.stopping_mask()

    def out_of_fold(self, members: np.ndarray) -> np.ndarray:
        """[n] for each row the mean probability of the members that have not seen it, from all [n, M]."""
        return np.average(members, axis=1, weights=self.held_out_mask())


def plan_folds(data: Dataset, rows: np.ndarray, cfg: ModelConfig, seed: int) -> CrossfitPlan:
    """The folds of the rows at the positions `rows`, with the same number of members for each fold.

    Rows of one customer, and copies of a row, lie in one fold. Folds do not depend on the labels, so that
    nothing about its own label can reach an out-of-fold prediction. Raises `UserError` if the members cannot
    be divided evenly.

    >>> plan = plan_folds(data, np.arange(len(data)), cfg.model, seed=42)
    >>> plan.training_mask()[:, 0]  # the rows that the first member is trained on
    """
    if cfg.folds < 3 or cfg.members % cfg.folds:
        raise UserError(
            f"{cfg.members} members cannot be divided evenly among {cfg.folds} folds",
            "model.members",
            "choose 3 folds or more, and a multiple of that number as members",
        )
    _, group, size = np.unique(linked_groups(data)[rows], return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(size))
    half_of_group = np.empty(len(size), int)
    middle = np.cumsum(size[order]) - size[order] / 2
    half_of_group[order] = (middle / len(rows) * 2 * cfg.folds).astype(int)
    fold, half = np.divmod(half_of_group[group], 2)
    cycle, fold_of_member = np.divmod(np.arange(cfg.members), cfg.folds)
    stopping_fold = (fold_of_member + 1 + cycle % (cfg.folds - 1)) % cfg.folds
    return CrossfitPlan(fold, half == 1, fold_of_member, stopping_fold)
