"""Cross-fitted members: each is trained without one fold, so that one fit predicts every row honestly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from churn.config import ModelConfig
from churn.errors import UserError
from churn.schema import Dataset
from churn.split import groups_that_stay_together


@dataclass(frozen=True)
class Plan:
    """Which member learns from which row."""

    fold_of_row: np.ndarray  # [n]
    judging: np.ndarray  # [n] whether the row is in the half of its fold that judges
    fold_of_member: np.ndarray  # [M]
    judge_of_member: np.ndarray  # [M] another fold: by half of it, left out of training, the member stops

    def held_out(self) -> np.ndarray:
        """[n, M] whether the row is in the fold that the member's out-of-fold predictions are about."""
        return self.fold_of_row[:, None] == self.fold_of_member

    def judges(self) -> np.ndarray:
        """[n, M] whether the row helps to decide when the member stops."""
        return self.judging[:, None] & (self.fold_of_row[:, None] == self.judge_of_member)

    def learns(self) -> np.ndarray:
        """[n, M] whether the member learns from the row."""
        return ~self.held_out() & ~self.judges()

    def out_of_fold(self, members: np.ndarray) -> np.ndarray:
        """[n] mean of the members that have not seen the row, of the probabilities of all [n, M]."""
        return np.average(members, axis=1, weights=self.held_out())


def plan(data: Dataset, rows: np.ndarray, cfg: ModelConfig, seed: int) -> Plan:
    """As many members for each fold; rows of one customer and copies of a row lie in one fold.

    Folds are dealt out without a look at the labels, so that an out-of-fold prediction does not depend on
    the labels of its own fold in any way. `rows` are positions in `data`.
    """
    if cfg.folds < 3 or cfg.members % cfg.folds:
        raise UserError(
            f"{cfg.members} members cannot be shared out evenly over {cfg.folds} folds",
            "model.members",
            "choose 3 folds or more, and a multiple of that as members",
        )
    _, group, size = np.unique(groups_that_stay_together(data)[rows], return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(size))
    half_of_group = np.empty(len(size), int)
    middle = np.cumsum(size[order]) - size[order] / 2
    half_of_group[order] = (middle / len(rows) * 2 * cfg.folds).astype(int)
    fold, half = np.divmod(half_of_group[group], 2)
    turn, fold_of_member = np.divmod(np.arange(cfg.members), cfg.folds)
    judge_of_member = (fold_of_member + 1 + turn % (cfg.folds - 1)) % cfg.folds
    return Plan(fold, half == 1, fold_of_member, judge_of_member)
