"""The profile of the training rows, ready to count other rows in the same cells.

A number has a cell for each of its quantile bins and one for "missing". A category has a cell for each level
that training saw in enough rows and one for all others. Numbers are compared as float32, because the model
reads float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

GRID = 1000  # cells of the probability, equally wide in log-odds
GRID_LOG_ODDS = 8.0  # log-odds at both ends of the grid
QUANTILES = 20  # groups of the probability that windows are compared in


@dataclass(frozen=True)
class Number:
    """Bins of a numeric column."""

    counts: np.ndarray  # [B + 1] training rows per bin, then missing ones
    bounds: np.ndarray  # [B + 1] float32: least value, inner edges, first number above the greatest value

    @classmethod
    def of(cls, profile: Mapping[str, Any]) -> Number:
        """From the profile of the column."""
        counts = np.array([*profile["counts"], profile["missing"]])
        if profile["lowest"] is None:  # training had no number: all are out of range
            return cls(counts, np.full(2, np.inf, np.float32))
        bounds = np.array([profile["lowest"], *profile["edges"], profile["highest"]], np.float32)
        bounds[-1] = np.nextafter(bounds[-1], np.float32(np.inf))
        return cls(counts, bounds)

    def bins(self, values: Any) -> np.ndarray:
        """[n] 0: below the range of training, 1 to B: bin, B + 1: above the range, B + 2: missing."""
        single = single_precision(values)
        bins = np.searchsorted(self.bounds, single, side="right")
        bins[np.isnan(single)] = len(self.bounds) + 1
        return bins

    def cells(self, bins: np.ndarray) -> np.ndarray:
        """[n] the cell of each of `bins`; a number out of range belongs to the first or the last bin."""
        last = len(self.bounds) - 1
        return np.where(bins > last + 1, last, np.clip(bins - 1, 0, last - 1))


@dataclass(frozen=True)
class Category:
    """Levels of a categorical column; the empty string is "missing"."""

    counts: np.ndarray  # [L + 1] training rows per level, then those of rare levels, which are not named
    cell: dict[str, int]  # of each of the L levels
    least: int = 1  # rows of a level that is named
    next: int = 0  # named levels with just so many rows

    @classmethod
    def of(cls, profile: Mapping[str, int], rare: Mapping[str, int] | None = None) -> Category:
        """From the profile of the column, and what it says of rare levels."""
        rare = rare or {"rows": 0, "least": 1, "next": sum(rows == 1 for rows in profile.values())}
        cells = {level: i for i, level in enumerate(profile)}
        return cls(np.array([*profile.values(), rare["rows"]]), cells, rare["least"], rare["next"])

    @property
    def missing(self) -> int:
        """The cell of "missing", which is that of unseen levels if training had no missing ones."""
        return self.cell.get("", len(self.cell))

    def cells(self, values: Any) -> tuple[np.ndarray, pa.DictionaryArray]:
        """[n] the cell of each value, and the values as a dictionary array."""
        coded = values if isinstance(values, (pa.Array, pa.ChunkedArray)) else pa.array(values, pa.string())
        if isinstance(coded, pa.ChunkedArray):
            coded = coded.unify_dictionaries().combine_chunks()
        if not pa.types.is_dictionary(coded.type):
            coded = coded.cast(pa.string()).dictionary_encode()
        cell = [self.cell.get(level or "", len(self.cell)) for level in coded.dictionary.to_pylist()]
        codes = coded.indices.fill_null(len(cell)) if coded.indices.null_count else coded.indices
        return np.array([*cell, self.missing])[codes.to_numpy()], coded


def single_precision(values: Any) -> np.ndarray:
    """[n] float32: numbers of Arrow or NumPy as the model reads them; NaN is missing."""
    if isinstance(values, pa.ChunkedArray):
        values = values.to_numpy()
    elif isinstance(values, pa.Array):
        values = values.to_numpy(zero_copy_only=False)
    return np.asarray(values, np.float32)


@dataclass(frozen=True)
class Reference:
    """The profile that `build_profile` wrote, parsed.

    >>> Reference(bundle.profile)
    """

    profile: Mapping[str, Any]

    @property
    def rows(self) -> int:
        """The number of training rows."""
        return int(self.profile["rows"])

    def independent(self, counts: np.ndarray, customers: str = "customers") -> np.ndarray:
        """Counts of rows as if each customer had one: the rows of one customer are much alike.

        customers: the key of the profile that says how many there are; older profiles have none.
        """
        rows = int(counts.sum())
        share = self.profile.get(customers, rows) / max(rows, 1)
        return counts if share == 1 else counts * share  # whole numbers would lose many small cells

    @cached_property
    def numbers(self) -> dict[str, Number]:
        """The numeric columns by name."""
        return {name: Number.of(part) for name, part in self.profile["numeric"].items()}

    @cached_property
    def categories(self) -> dict[str, Category]:
        """The categorical columns by name."""
        rare = self.profile.get("rare", {})
        return {name: Category.of(part, rare.get(name)) for name, part in self.profile["categorical"].items()}

    @cached_property
    def features(self) -> dict[str, Number | Category]:
        """All columns by name, numbers first."""
        return {**self.numbers, **self.categories}

    @cached_property
    def score(self) -> np.ndarray:
        """[GRID] counts of the profile's unseen rows by probability; zeros if it has none."""
        return np.array(self.profile.get("score") or [0] * GRID)

    @cached_property
    def score_starts(self) -> np.ndarray:
        """The first grid cell of each group; the groups have about equally many of these rows."""
        share = np.cumsum(self.score) / max(self.score.sum(), 1)
        inner = np.searchsorted(share, np.arange(1, QUANTILES) / QUANTILES) + 1
        return np.unique(np.clip(np.append(0, inner), 0, GRID - 1))

    @cached_property
    def grid_profit(self) -> np.ndarray:
        """[GRID] expected profit of the decision at each probability; zeros if the profile has none."""
        means = self.profile.get("score_profit")
        return np.array(means) if means else np.zeros(GRID)

    @cached_property
    def sample(self) -> np.ndarray | None:
        """[k, F] cells of a few training rows, in the order of `features`; None without a sample."""
        columns = self.profile.get("sample")
        return np.array([columns[name] for name in self.features]).T if columns else None

    def per_cell(self, what: str, name: str) -> np.ndarray:
        """[cells] mean "probability" or "profit" (`what`) in each cell of a feature; zeros if unknown."""
        means = self.profile.get(what, {}).get(name)
        return np.array(means) if means else np.zeros(len(self.features[name].counts))


def grid_cell(probability: np.ndarray) -> np.ndarray:
    """[n] the grid cell of each probability."""
    clipped = np.clip(np.asarray(probability, float), 1e-12, 1 - 1e-12)
    log_odds = np.log(clipped / (1 - clipped))
    return np.clip(((log_odds + GRID_LOG_ODDS) * (GRID / (2 * GRID_LOG_ODDS))).astype(int), 0, GRID - 1)


# [GRID] the probability in the middle of each grid cell
GRID_PROBABILITY = 1 / (1 + np.exp(-(np.arange(GRID) + 0.5) * (2 * GRID_LOG_ODDS / GRID) + GRID_LOG_ODDS))
