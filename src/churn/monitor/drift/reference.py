"""The training profile, ready to count other rows in the same cells.

A number has a cell for each of its quantile bins and one for "missing", a category one for each level that
training saw and one for all others. Numbers are compared as float32, which is what the model reads.
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
    def of(cls, told: Mapping[str, Any]) -> Number:
        """From its part of the profile."""
        counts = np.array([*told["counts"], told["missing"]])
        if told["lowest"] is None:  # a column without any number: all are out of range
            return cls(counts, np.full(2, np.inf, np.float32))
        inner = np.array([told["lowest"], *told["edges"], told["highest"]], np.float32)
        inner[-1] = np.nextafter(inner[-1], np.float32(np.inf))
        return cls(counts, inner)

    def places(self, values: Any) -> np.ndarray:
        """[n] 0: below the range, 1 to B: in a bin, B + 1: above, B + 2: missing."""
        if isinstance(values, (pa.Array, pa.ChunkedArray)):
            values = values.to_numpy() if isinstance(values, pa.ChunkedArray) else _to_numpy(values)
        single = np.asarray(values, np.float32)
        places = np.searchsorted(self.bounds, single, side="right")
        places[np.isnan(single)] = len(self.bounds) + 1
        return places

    def cells(self, places: np.ndarray) -> np.ndarray:
        """[n] the cell of each place; what is out of range belongs to the bin at that end."""
        last = len(self.bounds) - 1
        return np.where(places > last + 1, last, np.clip(places - 1, 0, last - 1))


@dataclass(frozen=True)
class Category:
    """Levels of a categorical column; the empty string is "missing"."""

    counts: np.ndarray  # [L + 1] training rows per level, then 0 for unseen ones
    cell: dict[str, int]  # of each of the L levels

    @classmethod
    def of(cls, told: Mapping[str, int]) -> Category:
        """From its part of the profile."""
        return cls(np.array([*told.values(), 0]), {level: i for i, level in enumerate(told)})

    @property
    def missing(self) -> int:
        """Cell of the missing ones: that of the unseen where training had none."""
        return self.cell.get("", len(self.cell))

    def places(self, values: Any) -> tuple[np.ndarray, pa.DictionaryArray]:
        """[n] cell of each value, and the values by code."""
        coded = values if isinstance(values, (pa.Array, pa.ChunkedArray)) else pa.array(values, pa.string())
        if isinstance(coded, pa.ChunkedArray):
            coded = coded.unify_dictionaries().combine_chunks()
        if not pa.types.is_dictionary(coded.type):
            coded = coded.cast(pa.string()).dictionary_encode()
        cell = [self.cell.get(level or "", len(self.cell)) for level in coded.dictionary.to_pylist()]
        codes = coded.indices.fill_null(len(cell)) if coded.indices.null_count else coded.indices
        return np.array([*cell, self.missing])[codes.to_numpy()], coded


def _to_numpy(values: pa.Array) -> np.ndarray:
    """Numbers with NaN for null."""
    return values.to_numpy(zero_copy_only=False)


@dataclass(frozen=True)
class Reference:
    """What `churn.monitor.drift.profile` wrote, parsed."""

    told: Mapping[str, Any]  # the profile itself

    @cached_property
    def numbers(self) -> dict[str, Number]:
        """By column."""
        return {name: Number.of(part) for name, part in self.told["numeric"].items()}

    @cached_property
    def categories(self) -> dict[str, Category]:
        """By column."""
        return {name: Category.of(part) for name, part in self.told["categorical"].items()}

    @cached_property
    def features(self) -> dict[str, Number | Category]:
        """By column, numbers first."""
        return {**self.numbers, **self.categories}

    @cached_property
    def score(self) -> np.ndarray:
        """[GRID] rows that the model had not seen, by probability; zeros where none were given."""
        return np.array(self.told.get("score") or [0] * GRID)

    @cached_property
    def score_starts(self) -> np.ndarray:
        """First grid cell of each group of about equally many of those rows."""
        share = np.cumsum(self.score) / max(self.score.sum(), 1)
        inner = np.searchsorted(share, np.arange(1, QUANTILES) / QUANTILES) + 1
        return np.unique(np.clip(np.append(0, inner), 0, GRID - 1))

    @cached_property
    def grid_profit(self) -> np.ndarray:
        """[GRID] mean expected profit of the decision at each probability; zeros where none is told."""
        means = self.told.get("score_profit")
        return np.array(means) if means else np.zeros(GRID)

    @cached_property
    def sample(self) -> np.ndarray | None:
        """[k, F] cells of a few training rows, in the order of `features`; None where none travel."""
        columns = self.told.get("sample")
        return np.array([columns[name] for name in self.features]).T if columns else None

    def per_cell(self, what: str, name: str) -> np.ndarray:
        """[cells] mean of `what` ("probability" or "profit") in each cell of a feature; none: zeros."""
        means = self.told.get(what, {}).get(name)
        return np.array(means) if means else np.zeros(len(self.features[name].counts))


def grid_cell(probability: np.ndarray) -> np.ndarray:
    """[n] grid cell of each probability."""
    chance = np.clip(np.asarray(probability, float), 1e-12, 1 - 1e-12)
    odds = np.log(chance / (1 - chance))
    return np.clip(((odds + GRID_LOG_ODDS) * (GRID / (2 * GRID_LOG_ODDS))).astype(int), 0, GRID - 1)


GRID_PROBABILITY = 1 / (
    1 + np.exp(-(np.arange(GRID) + 0.5) * (2 * GRID_LOG_ODDS / GRID) + GRID_LOG_ODDS)
)  # of each cell
