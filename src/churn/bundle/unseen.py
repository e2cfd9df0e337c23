"""Cells that are unlike any in training, by column: a file or a client that spells something otherwise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from churn.bundle.bundle import Bundle
from churn.data.coded import ArrowFeatures, DictionaryColumn
from churn.data.contract import MISSING_BELOW, SHOWN_FROM
from churn.data.infer.cells import missing_codes
from churn.data.spelling import apply_steps, level_steps
from churn.errors import quoted

if TYPE_CHECKING:
    import pandas as pd

SHARE = 0.03  # of a column's cells, from which it is named, beside what training had of rare levels
LONGEST = 100  # characters of a cell that are kept: a client's may be as long as its request
REMEMBERED = 1_000  # different cells of a column, the commonest


class UnseenColumn(NamedTuple):
    """A column of which many cells are unlike any in training."""

    name: str
    share: float  # of its cells
    commonest: str | None  # the commonest of them, "" for a missing one; None: each is too rare to be shown
    cells: int  # how often it occurs

    def __str__(self) -> str:
        unlike = f"column '{self.name}': {self.share:.0%} of the cells are unlike any in training"
        if self.commonest is None:
            return f"{unlike}, each in fewer than {SHOWN_FROM} rows"
        most = quoted(self.commonest) if self.commonest else "blank"
        return f"{unlike}, most often {most} ({self.cells:,})"


class UnseenCells:
    """Counts of levels that training did not have, numbers out of its range, and newly missing cells.

    It counts nothing if the bundle has no profile of its training data.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._steps, self._codes = level_steps(bundle.schema), missing_codes(bundle.schema)
        self._levels = {name: set(levels) for name, levels in bundle.profile.get("categorical", {}).items()}
        self._expected = _expected_shares(bundle.profile)
        self._ranges = {
            name: (one["lowest"], one["highest"], one["missing"] > 0)
            for name, one in bundle.profile.get("numeric", {}).items()
            if one["lowest"] is not None
        }
        self._rows = 0
        self._cells: dict[str, Counter[str]] = {}
        self._again: dict[str, Counter[str]] = {}  # of these, in further rows of a customer

    def add_features(self, features: ArrowFeatures) -> None:
        """Count the cells of some rows."""
        for name, column in features.items():
            if isinstance(column, DictionaryColumn):
                rows = np.bincount(column.codes, minlength=len(column.levels)).tolist()
                self.add_texts(name, dict(zip(column.levels, rows, strict=True)))
            else:
                self.add_numbers(name, column)
        self.add_rows(len(column.codes if isinstance(column, DictionaryColumn) else column))

    def add_frame(self, frame: pd.DataFrame) -> None:
        """Count the cells of rows as in `Dataset.frame`."""
        for name, column in frame.items():
            if name in self._levels:
                self.add_texts(str(name), {str(text): rows for text, rows in column.value_counts().items()})
            else:
                self.add_numbers(str(name), column.to_numpy(np.float32))
        self.add_rows(len(frame))

    def counts(self) -> tuple[int, dict[str, Counter[str]], dict[str, Counter[str]]]:
        """What `add_counts` takes."""
        return self._rows, self._cells, self._again

    def add_counts(self, rows: int, cells: dict[str, Counter[str]], again: dict[str, Counter[str]]) -> None:
        """Add what was counted elsewhere for the same bundle.

        Customers may have been counted here, too: of a cell there are as many as one place knows.
        """
        self._rows += rows
        for name, counter in cells.items():
            for cell, times in counter.items():
                there = times - again[name][cell]
                new = max(0, there - self._customers(name, cell))
                self._add(name, cell, new, again=False)
                self._add(name, cell, times - new, again=True)

    def add_rows(self, rows: int) -> None:
        """Rows whose cells were counted, or known to be seen."""
        self._rows += rows

    def add_texts(self, name: str, rows_by_text: Mapping[str, int], again: bool = False) -> None:
        """Count the cells of a category, in any spelling; `again`: of customers who were counted before."""
        if (known := self._levels.get(name)) is not None:
            for text, rows in rows_by_text.items():
                if rows and text not in known and (spelled := apply_steps(text, self._steps)) not in known:
                    self._add(name, spelled[:LONGEST], rows, again)

    def add_numbers(
        self, name: str, numbers: np.ndarray, rows: np.ndarray | None = None, again: bool = False
    ) -> None:
        """Count the cells [n] of a number, each in as many `rows` [n], or one.

        NaN is missing, as are the values that mean it. `again`: of customers who were counted before.
        """
        if name not in self._ranges:
            return
        rows = np.ones(len(numbers), int) if rows is None else rows
        lowest, highest, was_missing = self._ranges[name]
        missing = np.isnan(numbers) | (numbers <= MISSING_BELOW) | np.isin(numbers, self._codes)
        outside = ~missing & ((numbers < lowest) | (numbers > highest))
        values, places = np.unique(numbers[outside], return_inverse=True)
        for value, times in zip(values, np.bincount(places, rows[outside]), strict=True):
            self._add(name, f"{value:g}", int(times), again)
        if missing.any() and not was_missing:
            self._add(name, "", int(rows[missing].sum()), again)

    def _customers(self, name: str, cell: str) -> int:
        """How many customers are known to share a cell."""
        return self._cells[name][cell] - self._again[name][cell] if name in self._cells else 0

    def _add(self, name: str, cell: str, rows: int, again: bool) -> None:
        cells, repeats = self._cells.setdefault(name, Counter()), self._again.setdefault(name, Counter())
        cells[cell] += rows
        if again:
            repeats[cell] += rows
        if len(cells) > 2 * REMEMBERED:
            kept = self._cells[name] = Counter(dict(cells.most_common(REMEMBERED)))
            self._again[name] = Counter({text: repeats[text] for text in kept if repeats[text]})

    def columns(self) -> list[UnseenColumn]:
        """The columns of which more than a few per cent of the cells are unseen, most first."""
        found = []
        for name, cells in self._cells.items():
            share = cells.total() / max(self._rows, 1)
            if share > SHARE + self._expected.get(name, 0.0):
                text, rows = cells.most_common(1)[0]
                shown = text if self._customers(name, text) >= SHOWN_FROM or not text else None
                found.append(UnseenColumn(name, share, shown, rows))
        return sorted(found, key=lambda column: -column.share)


def _expected_shares(profile: Mapping[str, Any]) -> dict[str, float]:
    """By category the share of its training rows whose levels were too rare to be named."""
    rows = max(profile.get("rows", 1), 1)
    return {name: one["rows"] / rows for name, one in profile.get("rare", {}).items()}
