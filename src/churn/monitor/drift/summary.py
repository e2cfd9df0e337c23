"""A window of rows as counts, which can be added up, so that memory does not grow with the rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from churn.monitor.drift.reference import GRID, Reference, grid_cell, single_precision

SAMPLE_ROWS = 1_000  # rows of a window that are kept, as cells, for the comparison of all features together
UNSEEN_LEVELS = 50  # unseen levels of a column that are kept by name


@dataclass
class Summary:
    """Rows counted in the cells of a reference. `a + b` is the summary of the rows of both.

    >>> summary = Summary(Reference(bundle.profile))
    >>> summary.add(frame, probability)
    """

    reference: Reference
    seed: int = 0  # of the sample
    rows: int = 0
    counts: dict[str, np.ndarray] = field(default_factory=dict)  # per feature and cell
    outside: Counter[str] = field(default_factory=Counter)  # per number: rows outside the range of training
    sums: dict[str, float] = field(default_factory=lambda: defaultdict(float))  # per number: of its values
    unseen: dict[str, Counter[str]] = field(default_factory=dict)  # per category: some unseen levels
    score: np.ndarray = field(default_factory=lambda: np.zeros(GRID, int))  # by grid cell
    sample: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), int))  # [k, F] cells
    priority: np.ndarray = field(default_factory=lambda: np.zeros(0))  # [k] random; the lowest are kept

    def __post_init__(self) -> None:
        if not self.counts:
            features = self.reference.features
            self.counts = {name: np.zeros(len(one.counts), int) for name, one in features.items()}
            self.sample = np.zeros((0, len(features)), np.int32)
        self.random = np.random.default_rng(self.seed)

    def add(self, columns: Mapping[str, Any], probability: Any = None) -> None:
        """Count rows: columns [n] by name, of Arrow or NumPy, and predicted probabilities [n] if known.

        Null and NaN are missing.
        """
        cells = {name: self._count(name, columns[name]) for name in self.reference.features}
        rows = len(next(iter(cells.values())))
        self.rows += rows
        if probability is not None:
            self.score += np.bincount(grid_cell(probability), minlength=GRID)
        self._keep(cells, self.random.random(rows))

    def _count(self, name: str, values: Any) -> np.ndarray:
        """Count a column; gives the bin of each number, or the cell of each level."""
        total = self.counts[name]
        if number := self.reference.numbers.get(name):
            values = single_precision(values)
            bins, size = number.bins(values), len(total) + 2
            self.sums[name] += float(np.nansum(values, dtype=float))
            rows = np.bincount(bins, minlength=size)
            self.outside[name] += int(rows[0] + rows[size - 2])
            total += np.bincount(number.cells(np.arange(size)), rows, len(total)).astype(int)
            return bins
        cells, coded = self.reference.categories[name].cells(values)
        rows = np.bincount(cells, minlength=len(total))
        total += rows
        if rows[-1]:
            self._count_unseen(name, coded, np.flatnonzero(cells == len(total) - 1))
        return cells

    def _count_unseen(self, name: str, coded: pa.DictionaryArray, rows: np.ndarray) -> None:
        """Count the levels that training did not see, and keep the commonest; null is the empty one."""
        seen = self.unseen.setdefault(name, Counter())
        levels = [*coded.dictionary.to_pylist(), ""]
        codes = coded.indices.fill_null(len(levels) - 1).to_numpy()[rows]
        for code, count in zip(*np.unique(codes, return_counts=True), strict=True):
            seen[levels[code]] += int(count)
        self.unseen[name] = Counter(dict(seen.most_common(UNSEEN_LEVELS)))

    def _keep(self, cells: Mapping[str, np.ndarray], priority: np.ndarray) -> None:
        """Add the rows of low priority to the sample."""
        full, limit = len(self.priority) >= SAMPLE_ROWS, 2.0
        if full:
            limit = np.partition(self.priority, SAMPLE_ROWS - 1)[SAMPLE_ROWS - 1]
        chosen, numbers = np.flatnonzero(priority < limit), self.reference.numbers
        columns = [
            numbers[name].cells(column[chosen]) if name in numbers else column[chosen]
            for name, column in cells.items()
        ]
        self._merge(np.stack(columns, axis=1), priority[chosen])

    def _merge(self, sample: np.ndarray, priority: np.ndarray) -> None:
        """Join a sample to this one; the lowest priorities are kept."""
        both = np.concatenate([self.priority, priority])
        kept = np.argsort(both, kind="stable")[:SAMPLE_ROWS]
        self.sample, self.priority = np.concatenate([self.sample, sample])[kept], both[kept]

    def __add__(self, other: Summary) -> Summary:
        names = self.unseen.keys() | other.unseen.keys()
        unseen = {
            name: self.unseen.get(name, Counter()) + other.unseen.get(name, Counter()) for name in names
        }
        total = Summary(
            self.reference,
            self.seed,
            self.rows + other.rows,
            {name: counts + other.counts[name] for name, counts in self.counts.items()},
            self.outside + other.outside,
            defaultdict(float, {name: total + other.sums[name] for name, total in self.sums.items()}),
            unseen,
            self.score + other.score,
            self.sample,
            self.priority,
        )
        total._merge(other.sample, other.priority)
        return total
