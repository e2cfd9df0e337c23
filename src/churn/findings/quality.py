"""Look for columns that add nothing, and for cells that may not mean what they say."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from churn.infer.cells import MISSING_WORDS
from churn.infer.roles import MANY
from churn.schema import Dataset, Finding, override

SAMPLE = 50_000  # rows in which columns are compared, at most


def find(data: Dataset) -> tuple[Finding, ...]:
    """Columns that are constant or repeat others, and values that may mean "missing"."""
    frame = data.frame.iloc[sampled(len(data))]
    numbers, categories = frame[list(data.schema.numeric)], frame[list(data.schema.categorical)]
    return (
        *constants(frame),
        *multiples(numbers),
        *renamings(frame),
        *words_for_missing(categories),
        *zeros_for_missing(numbers),
    )


def sampled(rows: int) -> np.ndarray:
    """Positions of at most `SAMPLE` of so many rows, ascending, always the same."""
    return np.sort(np.random.default_rng(0).permutation(rows)[:SAMPLE])


def span(values: pd.Series) -> str:
    """The value, or the range, of some cells."""
    values = values.dropna()
    if values.empty or values.iloc[0] == "":
        return "missing"
    low, high = values.min(), values.max()
    return f"{low}" if low == high else f"{low} to {high}"


def constants(frame: pd.DataFrame) -> Iterator[Finding]:
    """Inputs that tell nothing."""
    for name in map(str, frame):
        if frame[name].nunique(dropna=False) == 1:
            value = f"every cell is {span(frame[name])}"
            yield Finding(
                f"column '{name}' is constant", value, f"to leave it out: {override('data.drop', name)}"
            )


def multiples(frame: pd.DataFrame) -> Iterator[Finding]:
    """Columns of numbers that are an earlier one times a constant, plus a constant."""
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
            f"to leave it out: {override('data.drop', varied.columns[later])}",
        )


def renamings(frame: pd.DataFrame) -> Iterator[Finding]:
    """Columns of few values whose values correspond one to one to those of an earlier column."""
    seen: dict[bytes, str] = {}
    for name in map(str, frame):
        codes, values = pd.factorize(frame[name], use_na_sentinel=False)
        if 1 < len(values) <= len(frame) / MANY:
            earlier = seen.setdefault(codes.tobytes(), name)
            if earlier != name:
                yield Finding(
                    f"column '{name}' tells the same as '{earlier}'",
                    f"their {len(values):,} values correspond one to one in all {len(frame):,} rows",
                    f"to leave it out: {override('data.drop', name)}",
                )


def words_for_missing(frame: pd.DataFrame) -> Iterator[Finding]:
    """Levels of categories that may mean "missing"; they stay levels, as None may be an answer."""
    for name in map(str, frame):
        for level in frame[name].unique():
            if level.lower() in MISSING_WORDS:
                share = (frame[name] == level).mean()
                yield Finding(
                    f"column '{name}' has a level '{level}'",
                    f"{share:.1%} of the rows; it is kept as a level of its own",
                    f"if it means 'missing': {override('data.missing', level)}",
                )


def zeros_for_missing(frame: pd.DataFrame) -> Iterator[Finding]:
    """Columns of numbers with many zeros far from all other values, as where an age is not known."""
    for name in map(str, frame):
        zero, others = frame[name] == 0, frame[name][frame[name].abs() > 0]
        apart = len(others) > 0 and others.min() > 0 and others.quantile(0.01) > 0.25 * others.median()
        if apart and zero.mean() >= 0.05 and others.nunique() > MANY:
            yield Finding(
                f"column '{name}' has many zeros: do they mean 'missing'?",
                f"{zero.mean():.1%} of rows; the next is {others.min():g}, the median {others.median():g}",
                "if so, leave those cells blank in the export",
            )
