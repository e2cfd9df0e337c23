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

from churn import crossfit
from churn.baselines import THREADS_FROM, boosted, filled
from churn.config import Config, TrainConfig
from churn.crossfit import Plan
from churn.schema import Dataset, Schema

LEARNING_RATE, PATIENCE = 0.1, 10  # half the trees of the baseline's
FEW_LEVELS = 4  # of a category: each level is a column of its own
MOST_SWAPPED = 0.5  # share of a made-up row's columns that come from other rows, at most


@dataclass(frozen=True)
class Taught:
    """Customers that do not exist, and what the teachers say of them."""

    customers: pd.DataFrame  # [m] rows as in `Dataset.frame`
    answers: np.ndarray  # [m, M] float32: the probability by each member's teacher


def teach(data: Dataset, rows: np.ndarray, labels: np.ndarray, cfg: Config) -> Taught | None:
    """What the members learn from beside the positions `rows` [h] of `data` and their labels [h, M].

    None where there are enough labels.
    """
    many = made_up_rows(cfg.train, len(rows))
    if not many:
        return None
    frame, plan = data.frame.iloc[rows], crossfit.plan(data, rows, cfg.model, cfg.seed)
    made = made_up(frame, many, cfg.seed)
    return Taught(made, answers(frame, labels, plan, made, data.schema, cfg.seed))


def made_up_rows(cfg: TrainConfig, rows: int) -> int:
    """Rows that boosted trees answer for beside so many real ones; 0 where there are enough labels."""
    return min(round(cfg.made_up * rows), cfg.most_made_up) if rows <= cfg.taught_up_to else 0


def made_up(frame: pd.DataFrame, rows: int, seed: int) -> pd.DataFrame:
    """`rows` customers, each like one of `frame` but for up to half of the columns."""
    random = np.random.default_rng(seed)
    base = np.resize(random.permutation(len(frame)), rows)
    share = random.uniform(0, MOST_SWAPPED, rows)

    def mixed(column: np.ndarray) -> np.ndarray:
        return column[np.where(random.random(rows) < share, random.integers(0, len(frame), rows), base)]

    return pd.DataFrame({name: mixed(frame[name].to_numpy()) for name in frame})


def answers(
    frame: pd.DataFrame, churned: np.ndarray, plan: Plan, made: pd.DataFrame, schema: Schema, seed: int
) -> np.ndarray:
    """[rows of `made`, M] float32: the probability by each member's teacher.

    A teacher sees the labels [n, M] that its member sees, in the same way: it learns from its rows and stops
    by those that judge it.
    """
    numbers = encoder(frame, schema)
    real, asked = numbers.fit_transform(frame), numbers.transform(made)  # by all rows, but not their labels
    learns, judges = plan.learns(), plan.judges()
    small = len(frame) < THREADS_FROM

    def answer(member: int) -> np.ndarray:
        fit, stop = ((real[of[:, member]], churned[of[:, member], member]) for of in (learns, judges))
        with threadpool_limits(1 if small else None):
            teacher = boosted(fit, stop, None, seed + member, LEARNING_RATE, PATIENCE)
            return teacher.predict_proba(asked)[:, 1]

    with ThreadPoolExecutor(os.cpu_count() if small else 1) as cores:
        return np.column_stack(list(cores.map(answer, range(len(plan.fold_of_member))))).astype(np.float32)


def encoder(frame: pd.DataFrame, schema: Schema) -> ColumnTransformer:
    """Columns as numbers, not yet fitted: levels one by one where there are few, by number where many.

    Trees that may split many levels into any two groups learn noise by heart.
    """
    levels = frame[list(schema.categorical)].nunique()
    few, many = (list(levels.index[which]) for which in (levels <= FEW_LEVELS, levels > FEW_LEVELS))
    one_by_one = OneHotEncoder(drop="if_binary", sparse_output=False)
    by_number = OrdinalEncoder()
    return ColumnTransformer(
        [
            ("numbers", "passthrough", filled(frame, schema)),
            ("few", one_by_one, few),
            ("many", by_number, many),
        ]
    )
