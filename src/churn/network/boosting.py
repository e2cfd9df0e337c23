"""Grow boosted trees: cross-fitted, so that every row has an honest answer, and then on all rows.

CatBoost grows them (`churn.network.catboost_trees`). TensorFlow is not needed here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from churn.config.root import Config
from churn.config.training import ModelConfig
from churn.network.catboost_trees import PATIENCE, Grown, Settings, grow
from churn.network.crossfit import CrossfitPlan, TrainingRows
from churn.network.encoding import Encoding, tree_inputs
from churn.network.trees import Trees

ROUNDS = 2  # of adversarial training: trees, their worst copies, trees again
FIRST_TREES = 100  # of each round before the last, at most
MORE_ON_ALL_ROWS = 1.25  # times as many trees on all rows as the folds' own best: more rows bear more trees


@dataclass(frozen=True)
class FittedTrees:
    """Trees of one depth of all rows, and out-of-fold log-odds [n] by the trees of each row's fold."""

    trees: Trees
    out_of_fold: np.ndarray  # [n] by as many trees as are best on average
    by_half: np.ndarray  # [2, n] by as many as are best for the first, and for the second half of the fold


def fit_trees(training: TrainingRows, encoding: Encoding, cfg: Config) -> list[FittedTrees]:
    """The trees of each depth of `cfg.model`; none if it has no trees.

    With more than `model.tree_rows` rows they are grown on a random sample of these; every row has its
    out-of-fold log-odds.
    """
    if not cfg.model.trees:
        return []
    rows = labelled_rows(training, encoding, cfg)
    return [cross_fit(rows, depth, cfg.model, cfg.seed) for depth in cfg.model.tree_depths]


def labelled_rows(training: TrainingRows, encoding: Encoding, cfg: Config) -> LabelledRows:
    """The rows, and their changed copies, as trees read them."""
    schema, adversarial = training.data.schema, cfg.train.adversarial
    inputs = tree_inputs(training.frame, schema, encoding)
    sampled = np.random.default_rng(cfg.seed).permutation(len(inputs)) < cfg.model.tree_rows
    changed = [tree_inputs(rows, schema, encoding) for rows in training.changed]
    return LabelledRows(inputs, training.churned, training.plan, sampled, changed, adversarial.share)


@dataclass(frozen=True)
class LabelledRows:
    """Rows to grow trees on, with their folds."""

    inputs: np.ndarray  # [n, K] float32
    churned: np.ndarray  # [n] 1 = left
    plan: CrossfitPlan
    sampled: np.ndarray  # [n] whether trees may be grown on the row
    changed: Sequence[np.ndarray] = ()  # K times [n, K] the rows as customers could change them
    share: float = 0.0  # of a row's weight that its worst changed copy has


def cross_fit(rows: LabelledRows, depth: int, cfg: ModelConfig, seed: int) -> FittedTrees:
    """Trees of a depth, first without each fold, then of all rows."""
    settings = Settings(cfg.trees, depth, seed)
    masks = [rows.plan.fold_of_row == fold for fold in range(cfg.folds)]
    folds = [_fit_fold(rows, mask, settings) for mask in masks]
    best = round(float(np.mean([fold.best for fold, mask in zip(folds, masks, strict=True) if mask.any()])))
    out_of_fold, by_half = np.empty(len(rows.churned)), np.empty((2, len(rows.churned)))
    for fold, held_out in zip(folds, masks, strict=True):
        inputs = rows.inputs[held_out]
        out_of_fold[held_out] = fold.grown.log_odds(inputs, best)
        for half, count in enumerate(fold.best_of_half):
            by_half[half, held_out] = fold.grown.log_odds(inputs, count)
    settings = replace(settings, trees=round(MORE_ON_ALL_ROWS * best))
    grown = grow_rows(rows, rows.sampled, settings)
    return FittedTrees(grown.constants(), out_of_fold, by_half)


@dataclass(frozen=True)
class _Fold:
    """Trees grown without a fold, and the numbers of trees with the least loss on the fold and its halves."""

    grown: Grown
    best: int
    best_of_half: tuple[int, int]


def _fit_fold(rows: LabelledRows, held_out: np.ndarray, settings: Settings) -> _Fold:
    learns = ~held_out & rows.sampled
    halves = [held_out & (rows.plan.half_of_row == half) for half in (0, 1)]
    checks = [(rows.inputs[half], rows.churned[half]) for half in halves if half.any()]
    grown = grow_rows(rows, learns, settings, checks)
    if not grown.losses:  # there is nothing to learn from, or nothing to check with
        return _Fold(grown, 1, (1, 1))
    sizes = [len(churned) for _, churned in checks]
    best = int(np.average(grown.losses, axis=0, weights=sizes).argmin()) + 1
    found = iter(map(first_minimum, grown.losses))
    first, second = (next(found) if half.any() else PATIENCE for half in halves)
    return _Fold(grown, best, (first, second))


def first_minimum(losses: np.ndarray) -> int:
    """The number of trees with the least loss so far, when `PATIENCE` more trees have brought nothing.

    Depends on no loss after that, so that a half's number does not depend on when the other half is ready.
    """
    best = 0
    for i, loss in enumerate(losses):
        if loss < losses[best]:
            best = i
        elif i - best >= PATIENCE:
            break
    return best + 1


def grow_rows(
    rows: LabelledRows,
    learns: np.ndarray | slice,
    settings: Settings,
    checks: Sequence[tuple[np.ndarray, np.ndarray]] = (),
) -> Grown:
    """Trees of the rows `learns`; if these have changed copies, grown again with the worst copy of each.

    Only the last round ends by `checks`: their labels must not choose the copies that it learns from.
    """
    inputs, churned = rows.inputs[learns], rows.churned[learns]
    found, weight, rounds = [inputs], np.ones(len(inputs)), ROUNDS if rows.changed else 0
    first = replace(settings, trees=min(settings.trees, FIRST_TREES)), ()
    last = settings, checks
    grown = grow(inputs, churned, *(first if rounds else last))
    for number in range(1, rounds + 1):
        found.append(_worst_copies(grown, [copy[learns] for copy in rows.changed], churned))
        weights = np.concatenate([(1 - rows.share) * weight, *number * [rows.share / number * weight]])
        own = last if number == rounds else first
        grown = grow(np.concatenate(found), np.tile(churned, len(found)), *own, weights)
    return grown


def _worst_copies(grown: Grown, copies: list[np.ndarray], churned: np.ndarray) -> np.ndarray:
    """[n, K] of each row the changed copy that the trees are most wrong about."""
    wrong = [np.where(churned == 1, -1, 1) * grown.log_odds(copy) for copy in copies]
    return np.stack(copies)[np.argmax(wrong, axis=0), np.arange(len(churned))]
