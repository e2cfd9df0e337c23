"""Look for columns and rows that make a model look better than it is."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from churn.data.dataset import Dataset, Finding, shell_override
from churn.data.findings.quality import sample_rows, value_range
from churn.data.infer.roles import MANY_VALUES, id_rank

GIVES_AWAY = 0.95  # ROC AUC of one column alone
DECIDED = 0.98  # churn rate of one value
BINS, FOLDS, SHRINK = 32, 5, 10


def find_leakage(data: Dataset) -> tuple[Finding, ...]:
    """Suspicions, each with its evidence and what to type: of columns first, then of rows."""
    rows = sample_rows(len(data))
    frame = data.frame.iloc[rows].reset_index(drop=True)
    return (
        *columns_that_reveal_target(frame, data.churned[rows]),
        *_columns_like_ids(frame),
        *_repeated_customers(data),
        *_copies_but_for_the_id(data),
    )


def columns_that_reveal_target(frame: pd.DataFrame, churned: np.ndarray) -> Iterator[Finding]:
    """Columns that alone nearly give the target away, or do so in one value that many churners have."""
    fold = np.random.default_rng(0).integers(FOLDS, size=len(churned))
    for name in map(str, frame):
        group = _value_groups(frame[name])
        area = auc(_held_out_rates(group, churned, fold), churned)
        decided = _decided_rows(group, churned)
        if area >= GIVES_AWAY:
            title = f"column '{name}' alone nearly gives the target away"
            evidence = f"cross-validated ROC AUC of this column alone: {area:.3f}"
        elif decided.any():
            title = f"one value of column '{name}' nearly gives the target away"
            share = f"{churned[decided].mean():.1%} of {decided.sum():,} customers left"
            evidence = f"where it is {value_range(frame[name][decided])}, {share}"
        else:
            continue
        yield Finding(
            title, evidence, f"if it is known only of those who left: {shell_override('data.drop', name)}"
        )


def _value_groups(column: pd.Series) -> np.ndarray:
    """[n] group of each row: its level, or for many numbers its quantile bin; missing is a group."""
    codes, values = pd.factorize(column, use_na_sentinel=False)
    if column.dtype != np.float64 or len(values) <= 2 * BINS:
        return codes
    edges = np.unique(np.nanquantile(column, np.linspace(0, 1, BINS + 1)[1:-1]))
    return np.where(column.isna(), len(edges) + 1, np.searchsorted(edges, column))


def _held_out_rates(group: np.ndarray, churned: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """[n] churn rate of each row's group in the other folds, drawn to the mean where the group is small."""
    rates = np.empty(len(group))
    for k in range(FOLDS):
        fitted = fold != k
        rows = np.bincount(group[fitted], minlength=group.max() + 1)
        left = np.bincount(group[fitted], churned[fitted], minlength=group.max() + 1)
        rates[~fitted] = ((left + SHRINK * churned[fitted].mean()) / (rows + SHRINK))[group[~fitted]]
    return rates


def auc(score: np.ndarray, churned: np.ndarray) -> float:
    """ROC AUC from the ranks of the churners (Mann and Whitney 1947)."""
    left = int(churned.sum())
    pairs_won = rankdata(score)[churned == 1].sum() - left * (left + 1) / 2
    pairs = left * (len(churned) - left)
    return pairs_won / pairs if pairs else 0.5


def _decided_rows(group: np.ndarray, churned: np.ndarray) -> np.ndarray:
    """[n] the rows of the group that nearly all left, if there is one with a fifth of the churners."""
    rows, left = np.bincount(group), np.bincount(group, churned)
    decided = (left >= DECIDED * rows) & (rows >= 30) & (left >= 0.2 * churned.sum())
    return (
        group == np.where(decided, left, -1).argmax() if decided.any() else np.zeros(len(group), dtype=bool)
    )


def _columns_like_ids(frame: pd.DataFrame) -> Iterator[Finding]:
    """Inputs that name the row instead of describing it."""
    for name in map(str, frame):
        column = frame[name]
        kinds = column.nunique()
        numbers = column.dtype == np.float64
        unique = kinds == len(frame) and (column % 1 == 0).all() if numbers else kinds > 0.95 * len(frame)
        if kinds > MANY_VALUES and (id_rank(name) is not None or unique):
            yield Finding(
                f"column '{name}' is like an id, and yet an input",
                f"{kinds:,} different values in {len(frame):,} rows",
                f"to leave it out: {shell_override('data.drop', name)}",
            )


def _repeated_customers(data: Dataset) -> Iterator[Finding]:
    """Customers with several rows."""
    if data.ids is None:
        return
    rows = pd.Series(data.ids).value_counts()
    if rows.iloc[0] > 1:
        yield Finding(
            f"{(rows > 1).sum():,} customers have several rows",
            f"{rows[rows > 1].sum():,} of {len(data):,} rows, at most {rows.iloc[0]:,} of one customer",
            "the split keeps a customer's rows together; if there should be one row each, export it so",
        )


def _copies_but_for_the_id(data: Dataset) -> Iterator[Finding]:
    """Rows that agree with another in every input: with an id, or where the targets differ."""
    group = pd.util.hash_pandas_object(data.frame, index=False)
    copies = int(group.duplicated().sum())
    conflicting = int((pd.Series(data.churned).groupby(group.to_numpy()).nunique() > 1).sum())
    if copies and (data.ids is not None or conflicting):
        yield Finding(
            f"{copies:,} rows agree with another row in every input",
            f"in {conflicting:,} groups of such rows some left and some stayed",
            "real customers may be alike: they are kept, and stay in one part of the split",
        )
