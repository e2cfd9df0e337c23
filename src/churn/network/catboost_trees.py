"""Boosted trees that CatBoost grows.

Their splits and leaves become constants (`churn.network.trees`), so that nothing else needs CatBoost.
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

from churn.errors import UserError
from churn.network.log_odds import logit
from churn.network.trees import NEVER, Trees
from churn.scratch import scratch_folder

LEARNING_RATE = 0.1
LEAF_PENALTY = 6.0  # L2, on leaf values
PATIENCE = 25  # trees without a lower loss, after which a fold's half has found its number
THREADS_FROM = 50_000  # rows; on smaller tables threads wait for each other longer than they work


@dataclass(frozen=True)
class Settings:
    """How trees are grown."""

    trees: int
    depth: int
    seed: int


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
        ignored_features=repeated_columns(inputs),
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


def repeated_columns(inputs: np.ndarray) -> list[int]:
    """Positions of the columns of zeros and ones that say in all rows [n, K] what another one says.

    Such are a copy ("no internet service" in six columns) and an opposite (the second of two levels). The
    rarest stays, so that an unknown level of two counts as the more frequent one.
    """
    binary = np.flatnonzero(((inputs == 0) | (inputs == 1)).all(axis=0))
    first, repeated = set[bytes](), []
    for column in binary[np.argsort(inputs[:, binary].sum(axis=0), kind="stable")]:
        ones = inputs[:, column] == 1
        if not first.isdisjoint([ones.tobytes(), (~ones).tobytes()]):
            repeated.append(int(column))
        first.add(ones.tobytes())
    return repeated


def _threads(inputs: np.ndarray) -> int:
    return 1 if len(inputs) < THREADS_FROM else os.cpu_count() or 1
