"""Findings about columns and rows that make a model look better than it is."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from churn.data.customers import count_customers
from churn.data.dataset import Dataset, Finding
from churn.data.findings.quality import sample_rows, value_range
from churn.data.infer.roles import MANY_VALUES, id_rank
from churn.data.split import link_rows
from churn.errors import count, quoted, shell_override

REVEALING_AUC = 0.95  # ROC AUC of one column alone, from which it is suspicious
REVEALING_RATE = 0.98  # churn rate of some values, from which they are suspicious ...
REVEALED_SHARE = 0.2  # ... if they hold this share of all churners
LEAST_CUSTOMERS = 10  # of a level; fewer may have left by chance
BINS = 32  # quantile bins of a number
FOLDS = 5
PRIOR_ROWS = 10  # rows with the mean churn rate that are added to each group


def find_leakage(data: Dataset) -> tuple[Finding, ...]:
    """Findings about suspicious columns, then about suspicious rows."""
    rows = sample_rows(len(data))
    frame = data.frame.iloc[rows].reset_index(drop=True)
    return (
        *columns_that_reveal_target(frame, data.churned[rows], data.ids_of(rows)),
        *_columns_like_ids(frame),
        *_customers_with_several_rows(data),
        *_rows_with_equal_inputs(data),
    )


def columns_that_reveal_target(
    frame: pd.DataFrame, churned: np.ndarray, ids: np.ndarray | None
) -> Iterator[Finding]:
    """Columns that alone nearly give the target away, or do so in one value that many churners have."""
    if not len(churned) or churned.min() == churned.max():  # a sample of one class shows nothing
        return
    fold = np.random.default_rng(0).integers(FOLDS, size=len(churned))
    for name in map(str, frame):
        group = _value_groups(frame[name])
        auc = _roc_auc(_held_out_rates(group, churned, fold), churned)
        revealing = _rows_of_revealing_values(frame[name], group, churned, ids)
        if auc >= REVEALING_AUC:
            title = f"column '{name}' alone nearly gives the target away"
            evidence = f"cross-validated ROC AUC of this column alone: {auc:.3f}"
        elif revealing.any():
            title = f"some values of column '{name}' nearly give the target away"
            share = f"{churned[revealing].mean():.1%} of {count(int(revealing.sum()), 'customer')} left"
            evidence = f"where it is {_shown_values(frame[name], revealing)}, {share}"
        else:
            continue
        advice = f"if it is known only for customers who left: {shell_override('data.drop', name)}"
        yield Finding(title, evidence, advice)


def _roc_auc(scores: np.ndarray, churned: np.ndarray) -> float:
    """Of scores; the function of scikit-learn takes four times as long."""
    left = churned == 1
    above = rankdata(scores)[left].sum() - left.sum() * (left.sum() + 1) / 2
    return above / (left.sum() * (~left).sum())


def _value_groups(column: pd.Series) -> np.ndarray:
    """[n] the group of each row: its level, or the quantile bin of its number; missing is a group."""
    codes, values = pd.factorize(column, use_na_sentinel=False)
    if column.dtype != np.float64 or len(values) <= 2 * BINS:
        return codes
    edges = np.unique(np.nanquantile(column, np.linspace(0, 1, BINS + 1)[1:-1]))
    return np.where(column.isna(), len(edges) + 1, np.searchsorted(edges, column))


def _held_out_rates(group: np.ndarray, churned: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """[n] the churn rate of each row's group in the other folds, shrunk to the mean if the group is small."""
    shape, place = (group.max() + 1, FOLDS), group * FOLDS + fold
    rows = np.bincount(place, minlength=shape[0] * FOLDS).reshape(shape)
    left = np.bincount(place, churned, minlength=shape[0] * FOLDS).reshape(shape)
    rows, left = (table.sum(axis=1, keepdims=True) - table for table in (rows, left))  # in the other folds
    mean = left.sum(axis=0) / rows.sum(axis=0)
    return ((left + PRIOR_ROWS * mean) / (rows + PRIOR_ROWS))[group, fold]


def _rows_of_revealing_values(
    column: pd.Series, group: np.ndarray, churned: np.ndarray, ids: np.ndarray | None
) -> np.ndarray:
    """[n] whether the row has a value from which nearly all left.

    Values are levels, or the numbers from some number up, or down to it. None, unless a fifth of all churners
    have them.
    """
    nearly_all = (np.bincount(group, churned) >= REVEALING_RATE * np.bincount(group))[group]
    customers = count_customers(pd.Series(group[nearly_all]), None if ids is None else ids[nearly_all])
    candidates = [np.isin(group, customers.index[customers >= LEAST_CUSTOMERS])]
    if column.dtype == np.float64:
        order = np.argsort(column.to_numpy())[: column.count()]  # missing numbers come last
        candidates += [_revealing_tail(column.to_numpy(), churned, rows) for rows in (order[::-1], order)]
    best = max(candidates, key=lambda found: int(churned[found].sum()))
    enough = best.sum() >= 30 and churned[best].sum() >= REVEALED_SHARE * churned.sum()
    return best if enough else np.zeros(len(group), dtype=bool)


def _revealing_tail(numbers: np.ndarray, churned: np.ndarray, order: np.ndarray) -> np.ndarray:
    """[n] the first rows in an order of the numbers, as many as there are with nearly all of them churned."""
    ordered, rate = numbers[order], np.cumsum(churned[order]) / np.arange(1, len(order) + 1)
    ends = np.append(ordered[1:] != ordered[:-1], True)[: len(order)]
    good = np.flatnonzero(ends & (rate >= REVEALING_RATE))
    found = np.zeros(len(numbers), dtype=bool)
    found[order[: good[-1] + 1 if len(good) else 0]] = True
    return found


def _shown_values(column: pd.Series, shown: np.ndarray) -> str:
    """The range of some numbers of a column, if no others lie in it, or else the commonest values."""
    values = column[shown]
    if values.dtype == np.float64:
        inside = column[~shown].between(values.min(), values.max()).any()
        if not inside and (values.notna().all() or values.isna().all()):
            return value_range(values)
    levels = [_shown_value(level) for level in values.value_counts(dropna=False).index]
    return ", ".join(levels[:3]) + f" or {count(len(levels) - 3, 'other value')}" * (len(levels) > 3)


def _shown_value(level: str | float) -> str:
    if isinstance(level, str):
        return quoted(level) if level else "blank"
    return value_range(pd.Series([level]))


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
    """Customers with more than one row; where rows have times, with more than one of the same time."""
    if data.ids is None:
        return
    by_time = {} if data.times is None else {"time": data.times}
    rows = pd.DataFrame({"id": data.ids, **by_time}).value_counts()
    if rows.iloc[0] > 1:
        several = rows[rows > 1].index.get_level_values("id").nunique()
        together = "" if by_time else "the default split keeps a customer's rows together; "
        yield Finding(
            f"{count(several, 'customer')} {'has' if several == 1 else 'have'} several rows"
            + " of one time" * bool(by_time),
            f"{rows[rows > 1].sum():,} of {len(data):,} rows, at most {rows.iloc[0]:,} of one customer",
            f"{together}if each should have one row, change the export",
        )


def find_crossing_rows(data: Dataset, test: np.ndarray) -> Iterator[Finding]:
    """The finding about test rows [k] whose customer, or a copy of which, is among the other rows, too."""
    group, inside = link_rows(data).groups, np.zeros(len(data), bool)
    inside[test] = True
    crossing = int(np.isin(group[inside], group[~inside]).sum())
    if crossing:
        together, verb = "stratified" if data.times is None else "customer", "is" if crossing == 1 else "are"
        yield Finding(
            f"{crossing:,} of {len(test):,} test rows {verb} not new to the model",
            "the customer or all inputs are those of another part's row: results on such rows are too good",
            f"split.method=article divides rows at random; to keep them together: split.method={together}",
        )


def _rows_with_equal_inputs(data: Dataset) -> Iterator[Finding]:
    """Rows that agree in every input, if their ids or some of their targets differ."""
    links = link_rows(data)
    copies = int(pd.Series(links.alike).duplicated().sum())
    conflicting = int((pd.Series(data.churned).groupby(links.alike).nunique() > 1).sum())
    note, advice = links.note, f"; by default they {links.advice}"
    if data.times is not None:  # the split is by time: it links no rows
        note, advice = "", ""
    if copies and (data.ids is not None or conflicting):
        yield Finding(
            f"{count(copies, 'row')} {'agrees' if copies == 1 else 'agree'} with another row in every input",
            f"in {count(conflicting, 'group')} of such rows some left and some stayed{note}",
            f"real customers may be alike: they are kept{advice}",
        )
