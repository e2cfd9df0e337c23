"""Findings about columns and rows that make a model look better than it is."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from churn.data.dataset import Dataset, Finding
from churn.data.findings.quality import sample_rows, value_range
from churn.data.infer.roles import MANY_VALUES, id_rank
from churn.errors import shell_override

REVEALING_AUC = 0.95  # ROC AUC of one column alone, from which it is suspicious
REVEALING_RATE = 0.98  # churn rate of one value, from which it is suspicious
BINS = 32  # quantile bins of a number
FOLDS = 5
PRIOR_ROWS = 10  # rows with the mean churn rate that are added to each group


def find_leakage(data: Dataset) -> tuple[Finding, ...]:
    """Findings about suspicious columns, then about suspicious rows."""
    rows = sample_rows(len(data))
    frame = data.frame.iloc[rows].reset_index(drop=True)
    return (
        *columns_that_reveal_target(frame, data.churned[rows]),
        *_columns_like_ids(frame),
        *_customers_with_several_rows(data),
        *_rows_with_equal_inputs(data),
    )


def columns_that_reveal_target(frame: pd.DataFrame, churned: np.ndarray) -> Iterator[Finding]:
    """Columns that alone nearly give the target away, or do so in one value that many churners have."""
    if churned.min() == churned.max():  # a sample of one class shows nothing
        return
    fold = np.random.default_rng(0).integers(FOLDS, size=len(churned))
    for name in map(str, frame):
        group = _value_groups(frame[name])
        auc = roc_auc_score(churned, _held_out_rates(group, churned, fold))
        revealing = _rows_of_revealing_value(group, churned)
        if auc >= REVEALING_AUC:
            title = f"column '{name}' alone nearly gives the target away"
            evidence = f"cross-validated ROC AUC of this column alone: {auc:.3f}"
        elif revealing.any():
            title = f"one value of column '{name}' nearly gives the target away"
            share = f"{churned[revealing].mean():.1%} of {revealing.sum():,} customers left"
            evidence = f"where it is {value_range(frame[name][revealing])}, {share}"
        else:
            continue
        advice = f"if it is known only for customers who left: {shell_override('data.drop', name)}"
        yield Finding(title, evidence, advice)


def _value_groups(column: pd.Series) -> np.ndarray:
    """[n] the group of each row: its level, or the quantile bin of its number; missing is a group."""
    codes, values = pd.factorize(column, use_na_sentinel=False)
    if column.dtype != np.float64 or len(values) <= 2 * BINS:
        return codes
    edges = np.unique(np.nanquantile(column, np.linspace(0, 1, BINS + 1)[1:-1]))
    return np.where(column.isna(), len(edges) + 1, np.searchsorted(edges, column))


def _held_out_rates(group: np.ndarray, churned: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """[n] the churn rate of each row's group in the other folds, shrunk to the mean if the group is small."""
    rates = np.empty(len(group))
    for number in range(FOLDS):
        fitted = fold != number
        rows = np.bincount(group[fitted], minlength=group.max() + 1)
        left = np.bincount(group[fitted], churned[fitted], minlength=group.max() + 1)
        shrunk = (left + PRIOR_ROWS * churned[fitted].mean()) / (rows + PRIOR_ROWS)
        rates[~fitted] = shrunk[group[~fitted]]
    return rates


def _rows_of_revealing_value(group: np.ndarray, churned: np.ndarray) -> np.ndarray:
    """[n] whether the row is in the largest group in which nearly all left, with a fifth of all churners."""
    rows, left = np.bincount(group), np.bincount(group, churned)
    revealing = (left >= REVEALING_RATE * rows) & (rows >= 30) & (left >= 0.2 * churned.sum())
    if not revealing.any():
        return np.zeros(len(group), dtype=bool)
    return group == np.where(revealing, left, -1).argmax()


def _columns_like_ids(frame: pd.DataFrame) -> Iterator[Finding]:
    """Inputs that name the row instead of describing it."""
    for name in map(str, frame):
        column = frame[name]
        distinct = column.nunique()
        if column.dtype == np.float64:
            unique = distinct == len(frame) and bool((column % 1 == 0).all())
        else:
            unique = distinct > 0.95 * len(frame)
        if distinct > MANY_VALUES and (id_rank(name) is not None or unique):
            yield Finding(
                f"column '{name}' is like an id, and yet an input",
                f"{distinct:,} different values in {len(frame):,} rows",
                f"to leave it out: {shell_override('data.drop', name)}",
            )


def _customers_with_several_rows(data: Dataset) -> Iterator[Finding]:
    if data.ids is None:
        return
    rows = pd.Series(data.ids).value_counts()
    if rows.iloc[0] > 1:
        yield Finding(
            f"{(rows > 1).sum():,} customers have several rows",
            f"{rows[rows > 1].sum():,} of {len(data):,} rows, at most {rows.iloc[0]:,} of one customer",
            "the split keeps a customer's rows together; if each should have one row, change the export",
        )


def _rows_with_equal_inputs(data: Dataset) -> Iterator[Finding]:
    """Rows that agree in every input, if their ids or some of their targets differ."""
    group = pd.util.hash_pandas_object(data.frame, index=False)
    copies = int(group.duplicated().sum())
    conflicting = int((pd.Series(data.churned).groupby(group.to_numpy()).nunique() > 1).sum())
    if copies and (data.ids is not None or conflicting):
        yield Finding(
            f"{copies:,} rows agree with another row in every input",
            f"in {conflicting:,} groups of such rows some left and some stayed",
            "real customers may be alike: they are kept, and stay in one part of the split",
        )
