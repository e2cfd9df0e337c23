"""What the members learn from: labels, and boosted trees' answers about customers that do not exist.

Trees find thresholds and rules with fewer rows than a network needs. So each member has a teacher, boosted
trees fitted on the rows that the member learns from, which answers for made-up customers: real ones
with some columns of others. The member learns the real rows' labels and the made-up rows' probabilities, and
what ships is the network alone. Source: Bucila, Caruana and Niculescu-Mizil 2006, Model Compression.
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

LEARNING_RATE, PATIENCE = 0.1, 10  # half the trees of the baseline's
FEW_LEVELS = 4  # of a category: each level is a column of its own
MAX_SWAPPED_SHARE = 0.5  # share of a made-up row's columns that come from other rows, at most


@dataclass(frozen=True)
class SoftLabels:
    """Customers that do not exist, and what the teachers say of them."""

    customers: pd.DataFrame  # [m] rows as in `Dataset.frame`
    probability: np.ndarray  # [m, M] float32, by each member's teacher


def soft_labels(training: TrainingRows, cfg: Config) -> SoftLabels | None:
    """Augmented rows with the teachers' probabilities; None where there are enough labels without them."""
    count = augmented_row_count(cfg.train, len(training.rows))
    if not count:
        return None
    plan = plan_folds(training.data, training.rows, cfg.model, cfg.seed)
    augmented = augment(training.frame, count, cfg.seed)
    return SoftLabels(augmented, teacher_probabilities(training, plan, augmented, cfg.seed))


def augmented_row_count(cfg: TrainConfig, rows: int) -> int:
    """Rows that boosted trees answer for beside so many real ones; 0 where there are enough labels."""
    return min(round(cfg.augmented * rows), cfg.max_augmented) if rows <= cfg.distill_up_to else 0


def augment(frame: pd.DataFrame, rows: int, seed: int) -> pd.DataFrame:
    """`rows` customers, each like one of `frame` but for up to half of the columns."""
    random = np.random.default_rng(seed)
    base = np.resize(random.permutation(len(frame)), rows)
    share = random.uniform(0, MAX_SWAPPED_SHARE, rows)

    def mixed(column: np.ndarray) -> np.ndarray:
        return column[np.where(random.random(rows) < share, random.integers(0, len(frame), rows), base)]

    return pd.DataFrame({name: mixed(frame[name].to_numpy()) for name in frame})


def teacher_probabilities(
    training: TrainingRows, plan: CrossfitPlan, augmented: pd.DataFrame, seed: int
) -> np.ndarray:
    """[rows of `augmented`, M] float32: the probability by each member's teacher.

    A teacher learns from the rows and labels that its member learns from, and stops early by the same rows.
    """
    frame = training.frame
    numbers = _tree_inputs(frame, training.data.schema)
    real, asked = numbers.fit_transform(frame), numbers.transform(augmented)  # fitted without labels
    learns, stops = plan.training_mask(), plan.stopping_mask()
    small = len(frame) < THREADS_FROM

    def answer(member: int) -> np.ndarray:
        fit, stop = (
            (real[mask[:, member]], training.labels[mask[:, member], member]) for mask in (learns, stops)
        )
        with threadpool_limits(1 if small else None):
            teacher = fit_boosting(fit, stop, None, seed + member, LEARNING_RATE, PATIENCE)
            return teacher.predict_proba(asked)[:, 1]

    with ThreadPoolExecutor(os.cpu_count() if small else 1) as cores:
        return np.column_stack(list(cores.map(answer, range(len(plan.fold_of_member))))).astype(np.float32)


def _tree_inputs(frame: pd.DataFrame, schema: Schema) -> ColumnTransformer:
    """Columns as numbers, not yet fitted: levels one by one where there are few, by number where many.

    Trees that may split many levels into any two groups learn noise by heart.
    """
    levels = frame[list(schema.categorical)].nunique()
    few, many = (list(levels.index[which]) for which in (levels <= FEW_LEVELS, levels > FEW_LEVELS))
    one_by_one = OneHotEncoder(drop="if_binary", sparse_output=False)
    by_number = OrdinalEncoder()
    return ColumnTransformer(
        [
            ("numbers", "passthrough", columns_with_values(frame, schema)),
            ("few", one_by_one, few),
            ("many", by_number, many),
        ]
    )
