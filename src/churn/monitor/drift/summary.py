"""What a window of rows looked like: counts that can be added up, so that memory does not grow with rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from churn.monitor.drift.reference import GRID, Reference, grid_cell

SAMPLE_ROWS = 1_000  # rows of a window that are kept, as cells, for the comparison of all features together
UNSEEN_LEVELS = 50  # unseen levels of a column that are told by name


@dataclass
class Summary:
    """Rows of a window, counted in the cells of a reference. `a + b` is the summary of both their rows."""

    reference: Reference
    seed: int = 0  # of the sample
    rows: int = 0
    counts: dict[str, np.ndarray] = field(default_factory=dict)  # per feature and cell
    outside: Counter[str] = field(default_factory=Counter)  # per number: rows outside the range of training
    unseen: dict[str, Counter[str]] = field(default_factory=dict)  # per category: some unseen levels
    score: np.ndarray = field(default_factory=lambda: np.zeros(GRID, int))
    sample: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), int))  # [k, F] cells, k <= SAMPLE
    priority: np.ndarray = field(default_factory=lambda: np.zeros(0))  # [k] random; the least stay

    def __post_init__(self) -> None:
        if not self.counts:
            features = self.reference.features
            self.counts = {name: np.zeros(len(one.counts), int) for name, one in features.items()}
            self.sample = np.zeros((0, len(features)), np.int32)
        self.random = np.random.default_rng(self.seed)

    def add(self, columns: Mapping[str, Any], probability: Any = None) -> None:
        """Count the rows of named columns [n], Arrow's or numpy's; null and NaN are missing.

        probability [n]: what the model said of them, if it was asked.
        """
        cells = {name: self.count(name, columns[name]) for name in self.reference.features}
        rows = len(next(iter(cells.values())))
        self.rows += rows
        if probability is not None:
            self.score += np.bincount(grid_cell(probability), minlength=GRID)
        self.keep(cells, self.random.random(rows))

    def count(self, name: str, values: Any) -> np.ndarray:
        """Count one column; gives the cell of each row."""
        total = self.counts[name]
        if name in self.reference.numbers:
            places = self.reference.numbers[name].places(values)
            bins = len(total) - 1
            found = np.bincount(places, minlength=bins + 3)
            self.outside[name] += int(found[0] + found[bins + 1])
            total += np.bincount(
                self.reference.numbers[name].cells(np.arange(bins + 3)), found, len(total)
            ).astype(int)
            return places
        cells, coded = self.reference.categories[name].places(values)
        found = np.bincount(cells, minlength=len(total))
        total += found
        if found[-1]:
            self.name_unseen(name, coded, np.flatnonzero(cells == len(total) - 1))
        return cells

    def name_unseen(self, name: str, coded: pa.DictionaryArray, rows: np.ndarray) -> None:
        """Remember the commonest levels that training did not see; null is the empty one."""
        seen = self.unseen.setdefault(name, Counter())
        levels = [*coded.dictionary.to_pylist(), ""]
        codes = coded.indices.fill_null(len(levels) - 1).to_numpy()[rows]
        for code, count in zip(*np.unique(codes, return_counts=True), strict=True):
            seen[levels[code]] += int(count)
        self.unseen[name] = Counter(dict(seen.most_common(UNSEEN_LEVELS)))

    def keep(self, cells: Mapping[str, np.ndarray], priority: np.ndarray) -> None:
        """Keep the rows of least priority among those kept and these."""
        limit = (
            np.partition(self.priority, SAMPLE_ROWS - 1)[SAMPLE_ROWS - 1]
            if len(self.priority) >= SAMPLE_ROWS
            else 2.0
        )
        chosen = np.flatnonzero(priority < limit)
        columns = [
            self.reference.numbers[name].cells(places[chosen])
            if name in self.reference.numbers
            else places[chosen]
            for name, places in cells.items()
        ]
        self.merge(np.stack(columns, axis=1), priority[chosen])

    def merge(self, sample: np.ndarray, priority: np.ndarray) -> None:
        """Join two samples into one."""
        both = np.concatenate([self.priority, priority])
        stay = np.argsort(both, kind="stable")[:SAMPLE_ROWS]
        self.sample, self.priority = np.concatenate([self.sample, sample])[stay], both[stay]

    def __add__(self, other: Summary) -> Summary:
        names = self.unseen.keys() | other.unseen.keys()
        unseen = {
            name: self.unseen.get(name, Counter()) + other.unseen.get(name, Counter()) for name in names
        }
        both = Summary(
            self.reference,
            self.seed,
            self.rows + other.rows,
            {name: counts + other.counts[name] for name, counts in self.counts.items()},
            self.outside + other.outside,
            unseen,
            self.score + other.score,
            self.sample,
            self.priority,
        )
        both.merge(other.sample, other.priority)
        return both
