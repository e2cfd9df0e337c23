"""Distillation: members also learn the probabilities that boosted trees give to augmented rows.

Trees find thresholds and rules with fewer rows than a network needs. So for each member, boosted trees are
fitted on the rows that the member is trained on. They then predict augmented rows: real rows in which some
columns come from other rows. The member learns the hard labels of the real rows and the trees' soft labels of
the augmented rows; the bundle holds the network alone.
Source: Bucila, Caruana and Niculescu-Mizil 2006, Model Compression.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder
from threadpoolctl import threadpool_limits

from churn.config.root import Config
from churn.config.training import TrainConfig
from churn.data.dataset import Schema
from churn.network.crossfit import CrossfitPlan, TrainingRows, plan_folds
from churn.network.trees import THREADS_FROM, columns_with_values, fit_boosting

LEARNING_RATE, PATIENCE = 0.1, 10  # half as many trees as the baseline has
FEW_LEVELS = 4  # of a category, up to which each level is a column of its own
MAX_SWAPPED_SHARE = 0.5  # share of an augmented row's columns that come from other rows, at most


@dataclass(frozen=True)
class SoftLabels:
    """Augmented rows, and the trees' probabilities for them."""

    frame: pd.DataFrame  # [m] rows as in `Dataset.frame`
    probability: np.ndarray  # [m, M] float32, by the trees of each member


def soft_labels(training: TrainingRows, cfg: Config) -> SoftLabels | None:
    """Augmented rows with their soft labels; None for tables that are large enough without them."""
    count = augmented_row_count(cfg.train, len(training.rows))
    if not count:
        return None
    plan = plan_folds(training.data, training.rows, cfg.model, cfg.seed)
    augmented = augment(training.frame, count, cfg.seed)
    return SoftLabels(augmented, tree_probabilities(training, plan, augmented, cfg.seed))


def augmented_row_count(cfg: TrainConfig, rows: int) -> int:
    """The number of augmented rows beside `rows` real ones; 0 above `cfg.distill_up_to`."""
    return min(round(cfg.augmented * rows), cfg.max_augmented) if rows <= cfg.distill_up_to else 0


def augment(frame: pd.DataFrame, rows: int, seed: int) -> pd.DataFrame:
    """`rows` augmented rows: rows of `frame` in which up to half of the columns come from other rows."""
    random = np.random.default_rng(seed)
    base = np.resize(random.permutation(len(frame)), rows)
    share = random.uniform(0, MAX_SWAPPED_SHARE, rows)

    def mix(column: np.ndarray) -> np.ndarray:
        return column[np.where(random.random(rows) < share, random.integers(0, len(frame), rows), base)]

    return pd.DataFrame({name: mix(frame[name].to_numpy()) for name in frame})


def tree_probabilities(
    training: TrainingRows, plan: CrossfitPlan, augmented: pd.DataFrame, seed: int
) -> np.ndarray:
    """[rows of `augmented`, M] float32 soft labels by the boosted trees of each member.

    Trees are fitted on the rows and labels of their member, and stopped early by the same rows.
    """
    frame = training.frame
    transformer = _tree_inputs(frame, training.data.schema)
    real, other = transformer.fit_transform(frame), transformer.transform(augmented)  # fitted without labels
    learns, stops = plan.training_mask(), plan.stopping_mask()
    small = len(frame) < THREADS_FROM

    def predict(member: int) -> np.ndarray:
        train, validation = (
            (real[mask[:, member]], training.labels[mask[:, member], member]) for mask in (learns, stops)
        )
        with threadpool_limits(1 if small else None):
            trees = fit_boosting(train, validation, None, seed + member, LEARNING_RATE, PATIENCE)
            return trees.predict_proba(other)[:, 1]

    with ThreadPoolExecutor(os.cpu_count() if small else 1) as cores:
        return np.column_stack(list(cores.map(predict, range(len(plan.fold_of_member))))).astype(np.float32)


def _tree_inputs(frame: pd.DataFrame, schema: Schema) -> ColumnTransformer:
    """The columns as numbers, not yet fitted: one-hot levels where there are few, ordinal ones where many.

    Trees that may split many levels into any two groups fit noise.
    """
    levels = frame[list(schema.categorical)].nunique()
    few, many = (list(levels.index[which]) for which in (levels <= FEW_LEVELS, levels > FEW_LEVELS))
    return ColumnTransformer(
        [
            ("numbers", "passthrough", columns_with_values(frame, schema)),
            ("few", OneHotEncoder(drop="if_binary", sparse_output=False), few),
            ("many", OrdinalEncoder(), many),
        ]
    )
