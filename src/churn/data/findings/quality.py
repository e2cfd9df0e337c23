"""Findings about columns that add nothing, and about values that may mean "missing"."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from churn.data.contract import FEW_CUSTOMERS
from churn.data.customers import count_customers
from churn.data.dataset import Dataset, Finding
from churn.data.infer.cells import MISSING_WORDS
from churn.data.infer.roles import MANY_VALUES
from churn.errors import shell_override

SAMPLE = 50_000  # rows to examine, at most
RARE_SHARE = 0.2  # of the rows: so many with rare levels are named


def find_quality_problems(data: Dataset, of_events: bool = False) -> tuple[Finding, ...]:
    """Findings about columns that are constant or repeat others, and values that may mean "missing".

    of_events: the columns are measured in event tables, where 0 is what was measured.
    """
    frame = data.frame.iloc[sample_rows(len(data))]
    numbers, categories = frame[list(data.schema.numeric)], frame[list(data.schema.categorical)]
    return (
        *_constant_columns(frame),
        *_linear_copies(numbers),
        *_recoded_copies(frame),
        *_many_rare_levels(categories, data.ids_of(frame.index)),
        *_words_for_missing(categories),
        *(() if of_events else _zeros_for_missing(numbers)),
    )


def sample_rows(rows: int) -> np.ndarray:
    """Positions of at most `SAMPLE` random rows out of `rows`, ascending; always the same."""
    return np.sort(np.random.default_rng(0).permutation(rows)[:SAMPLE])


def value_range(values: pd.Series) -> str:
    """The value of some cells, or their range, as text."""
    values = values.dropna()
    if values.empty or values.iloc[0] == "":
        return "missing"
    low, high = (f"{value}".removesuffix(".0") for value in (values.min(), values.max()))
    return low if low == high else f"{low} to {high}"


def _constant_columns(frame: pd.DataFrame) -> Iterator[Finding]:
    for name in map(str, frame):
        if frame[name].nunique(dropna=False) == 1:
            value = f"every cell is {value_range(frame[name])}"
            yield Finding(f"column '{name}' is constant", value, _leave_out(name))


def _linear_copies(frame: pd.DataFrame) -> Iterator[Finding]:
    """Columns of numbers that are linear functions of an earlier one."""
    filled = frame.fillna(frame.mean())
    varied = filled.loc[:, filled.nunique() > 2]
    if varied.shape[1] < 2:
        return
    correlation = np.corrcoef(varied / varied.abs().max(), rowvar=False)
    first, second = np.nonzero(np.triu(np.abs(correlation) > 0.9999, 1))
    for later in np.unique(second):
        earlier = varied.columns[first[second == later][0]]
        same = frame[earlier].equals(frame[varied.columns[later]].rename(earlier))
        yield Finding(
            f"column '{varied.columns[later]}' is {'a copy' if same else 'a multiple'} of '{earlier}'",
            f"their correlation is {correlation[first[second == later][0], later]:.5f}",
            _leave_out(varied.columns[later]),
        )


def _recoded_copies(frame: pd.DataFrame) -> Iterator[Finding]:
    """Columns of few values that correspond one to one to those of an earlier column."""
    seen: dict[bytes, str] = {}
    for name in map(str, frame):
        codes, values = pd.factorize(frame[name], use_na_sentinel=False)
        if 1 < len(values) <= len(frame) / MANY_VALUES:
            earlier = seen.setdefault(codes.tobytes(), name)
            if earlier != name:
                yield Finding(
                    f"column '{name}' says the same as '{earlier}'",
                    f"their {len(values):,} values correspond one to one in all {len(frame):,} rows",
                    _leave_out(name),
                )


def _many_rare_levels(frame: pd.DataFrame, ids: np.ndarray | None) -> Iterator[Finding]:
    """Categories of which many rows have a text that few customers have: names, notes, addresses."""
    for name in map(str, frame):
        rows = frame[name].value_counts().drop("", errors="ignore")
        rare = rows[count_customers(frame[name], ids).reindex(rows.index) < FEW_CUSTOMERS]
        if len(rare) > MANY_VALUES and rare.sum() > RARE_SHARE * rows.sum():
            drop, personal = shell_override("data.drop", name), shell_override("data.personal", name)
            yield Finding(
                f"column '{name}' has many rare levels: does it hold names, or free text?",
                f"{len(rare):,} of its {len(rows):,} levels have fewer than {FEW_CUSTOMERS} customers, "
                f"together {rare.sum() / len(frame):.0%} of the rows; the model takes them for one",
                f"to leave it out: {drop}; if it tells something of a person: {personal}",
            )


def _words_for_missing(frame: pd.DataFrame) -> Iterator[Finding]:
    """Levels of categories that may mean "missing"; they stay levels, because None may be an answer."""
    for name in map(str, frame):
        for level in frame[name].unique():
            if level.lower() in MISSING_WORDS:
                share = (frame[name] == level).mean()
                yield Finding(
                    f"column '{name}' has a level '{level}'",
                    f"{share:.1%} of the rows; it is kept as a level of its own",
                    f"if it means 'missing': {shell_override('data.missing', level)}",
                )


def _zeros_for_missing(frame: pd.DataFrame) -> Iterator[Finding]:
    """Columns of numbers with many zeros far from all other values, as if an age is unknown."""
    for name in map(str, frame):
        if {1, 2} <= set(frame[name].unique()):
            continue  # a count, which begins at 0
        zero, others = frame[name] == 0, frame[name][frame[name].abs() > 0]
        apart = len(others) > 0 and others.min() > 0 and others.quantile(0.01) > 0.25 * others.median()
        if apart and zero.mean() >= 0.05 and others.nunique() > MANY_VALUES:
            yield Finding(
                f"column '{name}' has many zeros: do they mean 'missing'?",
                f"{zero.mean():.1%} of rows; the next is {others.min():g}, the median {others.median():g}",
                "if so, leave those cells blank in the export",
            )


def _leave_out(name: str) -> str:
    return f"to leave it out: {shell_override('data.drop', name)}"
