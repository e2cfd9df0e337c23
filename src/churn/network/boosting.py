"""Grow boosted trees: cross-fitted, so that every row has an honest answer, and then on all rows.

CatBoost grows them; their splits and leaves become constants (`churn.network.trees`), so that nothing else
needs CatBoost. TensorFlow is not needed here.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from churn.config.root import Config
from churn.config.training import ModelConfig
from churn.errors import UserError
from churn.network.crossfit import CrossfitPlan, TrainingRows
from churn.network.encoding import Encoding, fit_encoding, tree_inputs
from churn.network.log_odds import logit
from churn.network.trees import NEVER, Trees
from churn.scratch import scratch_folder

LEARNING_RATE = 0.1
LEAF_PENALTY = 6.0  # L2, on leaf values
PATIENCE = 25  # trees without a lower loss, after which a fold's half has found its number
ROUNDS = 2  # of adversarial training: trees, their worst copies, trees again
MORE_ON_ALL_ROWS = 1.25  # times as many trees on all rows as the folds' own best: more rows bear more trees
THREADS_FROM = 50_000  # rows; on smaller tables threads wait for each other longer than they work


@dataclass(frozen=True)
class FittedTrees:
    """Trees of one depth of all rows, and out-of-fold log-odds [n] by the trees of each row's fold."""

    trees: Trees
    out_of_fold: np.ndarray  # [n] by as many trees as are best on average
    by_half: np.ndarray  # [2, n] by as many as are best for the first, and for the second half of the fold


def fit_trees(training: TrainingRows, cfg: Config) -> list[FittedTrees]:
    """The trees of each depth of `cfg.model`; none if it has no trees.

    With more than `model.tree_rows` rows they are grown on a random sample of these; every row has its
    out-of-fold log-odds.
    """
    if not cfg.model.trees:
        return []
    rows = labelled_rows(training, fit_encoding(training.frame, training.data.schema, cfg.model), cfg)
    return [cross_fit(rows, depth, cfg.model, cfg.seed) for depth in cfg.model.tree_depths]


def labelled_rows(training: TrainingRows, encoding: Encoding, cfg: Config) -> LabelledRows:
    """The rows, and their changed copies, as trees read them."""
    schema, adversarial = training.data.schema, cfg.train.adversarial
    inputs = tree_inputs(training.frame, schema, encoding)
    sampled = np.random.default_rng(cfg.seed).permutation(len(inputs)) < cfg.model.tree_rows
    changed = [tree_inputs(rows, schema, encoding) for rows in training.changed]
    return LabelledRows(inputs, training.churned, training.plan, sampled, changed, adversarial.share)


@dataclass(frozen=True)
class Settings:
    """How trees are grown."""

    trees: int
    depth: int
    seed: int


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
    best = round(float(np.mean([fold.best for fold in folds])))
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


class _AllReady:
    """Ends the growing when the loss of every check has not fallen for `PATIENCE` trees."""

    def after_iteration(self, info: Any) -> bool:
        """Whether to go on; called by CatBoost after every tree."""
        losses = [metrics["Logloss"] for name, metrics in info.metrics.items() if name != "learn"]
        return any(len(loss) - 1 - int(np.argmin(loss)) < PATIENCE for loss in losses)


@dataclass(frozen=True)
class Grown:
    """Trees as CatBoost keeps them; without a model, the log-odds of the churn rate."""

    model: Any
    rate: float
    depth: int
    losses: list[np.ndarray]  # of each check, after each tree

    def log_odds(self, inputs: np.ndarray, trees: int = sys.maxsize) -> np.ndarray:
        """[n] log-odds of inputs [n, K] by the first `trees` trees."""
        if self.model is None or not len(inputs):
            return np.full(len(inputs), self.rate)
        end, threads = min(trees, self.model.tree_count_), _threads(inputs)
        return self.model.predict(inputs, "RawFormulaVal", ntree_end=end, thread_count=threads)

    def constants(self) -> Trees:
        """The trees as arrays."""
        if self.model is None:
            stump = {"splits": [], "leaf_values": [0.0], "leaf_weights": [0.0]}
            return _constants([stump], self.depth, self.rate)
        with scratch_folder() as folder:  # there is no other documented way to the splits
            path = folder / "trees.json"
            self.model.save_model(str(path), format="json")
            saved = _read_saved(path)
        scale, (bias,) = saved["scale_and_bias"]
        trees = _constants(saved["oblivious_trees"], self.depth, bias)
        return replace(trees, value=trees.value * np.float32(scale))


def _read_saved(path: Path) -> dict[str, Any]:
    """The JSON of CatBoost, which does not always say that it could not write on."""
    try:
        saved: dict[str, Any] = json.loads(path.read_text())
        return saved
    except ValueError as error:
        do = "free some space there, or name another folder: TMPDIR=FOLDER churn ..."
        raise UserError("CatBoost could not write its trees to their end", str(path.parent), do) from error


def _constants(trees: list[dict[str, Any]], depth: int, bias: float) -> Trees:
    """The arrays of trees as CatBoost's JSON describes them."""
    shape, leaves = (len(trees), depth), (len(trees), 2**depth)
    column, border = np.zeros(shape, np.int32), np.full(shape, NEVER)
    value, weight = np.zeros(leaves, np.float32), np.zeros(leaves, np.float32)
    for i, tree in enumerate(trees):
        for bit, split in enumerate(tree["splits"] or []):
            column[i, bit], border[i, bit] = split["float_feature_index"], split["border"]
        value[i, : len(tree["leaf_values"])] = tree["leaf_values"]
        weight[i, : len(tree["leaf_weights"])] = tree["leaf_weights"]
    return Trees(column, border, value, weight, bias)


def grow_rows(
    rows: LabelledRows,
    learns: np.ndarray | slice,
    settings: Settings,
    checks: Sequence[tuple[np.ndarray, np.ndarray]] = (),
) -> Grown:
    """Trees of the rows `learns`; if these have changed copies, grown again with the worst copy of each."""
    inputs, churned = rows.inputs[learns], rows.churned[learns]
    grown, found, weight = grow(inputs, churned, settings, checks), [inputs], np.ones(len(inputs))
    for number in range(1, ROUNDS + 1) if rows.changed else ():
        found.append(_worst_copies(grown, [copy[learns] for copy in rows.changed], churned))
        weights = np.concatenate([(1 - rows.share) * weight, *number * [rows.share / number * weight]])
        grown = grow(np.concatenate(found), np.tile(churned, len(found)), settings, checks, weights)
    return grown


def _worst_copies(grown: Grown, copies: list[np.ndarray], churned: np.ndarray) -> np.ndarray:
    """[n, K] of each row the changed copy that the trees are most wrong about."""
    wrong = [np.where(churned == 1, -1, 1) * grown.log_odds(copy) for copy in copies]
    return np.stack(copies)[np.argmax(wrong, axis=0), np.arange(len(churned))]


def grow(
    inputs: np.ndarray,
    churned: np.ndarray,
    settings: Settings,
    checks: Sequence[tuple[np.ndarray, np.ndarray]] = (),
    weights: np.ndarray | None = None,
) -> Grown:
    """Trees of inputs [n, K] and labels [n]; fewer when no loss on `checks` falls any more.

    Where there is nothing to learn, since all labels are equal or no column varies, the churn rate.
    """
    rate = float(logit(np.array((churned.sum() + 0.5) / (len(churned) + 1))))
    if churned.min() == churned.max() or not np.ptp(inputs, axis=0).any():
        return Grown(None, rate, settings.depth, [])
    from catboost import CatBoostClassifier

    model = CatBoostClassifier(
        iterations=settings.trees,
        depth=settings.depth,
        learning_rate=LEARNING_RATE,
        l2_leaf_reg=LEAF_PENALTY,
        random_seed=settings.seed,
        thread_count=_threads(inputs),
        allow_writing_files=False,
        verbose=False,
    )
    callbacks = [_AllReady()] if checks else None
    model.fit(
        inputs,
        churned,
        sample_weight=weights,
        eval_set=list(checks) or None,
        use_best_model=False,
        callbacks=callbacks,
    )
    scores = model.get_evals_result()
    losses = [np.array(metrics["Logloss"]) for name, metrics in scores.items() if name != "learn"]
    return Grown(model, rate, settings.depth, losses)


def _threads(inputs: np.ndarray) -> int:
    return 1 if len(inputs) < THREADS_FROM else os.cpu_count() or 1
