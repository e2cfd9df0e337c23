"""What the training data looked like, small enough to travel in the bundle and to be compared with later.

No row of a customer travels: the sample for the comparison of all features together holds bins in place of
numbers, common levels only, no ids, and a tenth of its cells is drawn by chance
(`churn.drift.together.replaced`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from churn.drift.reference import GRID, GRID_PROBABILITY, Reference, on_grid
from churn.drift.summary import SAMPLE, Summary
from churn.drift.together import replaced
from churn.schema import Schema

BINS = 20  # quantile bins of a number
PRIOR = 5.0  # rows of overall mean that the mean of each cell starts from: few rows say little


def profile(
    frame: pd.DataFrame,
    schema: Schema,
    unseen: pd.DataFrame,
    probability: np.ndarray,
    earned: Callable[[np.ndarray], np.ndarray] = np.zeros_like,
    seed: int = 0,
) -> dict[str, Any]:
    """Counts per bin and level over the train rows of `frame`, for JSON.

    unseen: rows that the model was not fitted on, with their probability [n]; of these the profile tells the
    distribution of the probability and the means per cell. earned: the expected profit of what is decided
    about customers of given probabilities.
    """
    counted = {
        "rows": len(frame),
        "numeric": {column: of_number(frame[column].to_numpy(np.float32)) for column in schema.numeric},
        "categorical": {column: of_category(frame[column]) for column in schema.categorical},
    }
    reference = Reference(counted)
    cells = {name: cells_of(reference, name, unseen[name]) for name in schema.features}
    probability = np.asarray(probability, float)
    profit = earned(probability)
    return counted | {
        "score": np.bincount(on_grid(probability), minlength=GRID).tolist(),
        "score_profit": np.round(earned(GRID_PROBABILITY), 6).tolist(),
        "probability": {name: means(cells[name], probability, size(reference, name)) for name in cells},
        "profit": {name: means(cells[name], profit, size(reference, name)) for name in cells},
        "sample": sample(reference, frame, seed),
    }


def of_number(values: np.ndarray) -> dict[str, Any]:
    """Inner edges of the quantile bins, rows per bin (value < edge belongs below it), missing rows, range."""
    known = values[~np.isnan(values)]
    if len(known) == 0:
        return {"edges": [], "counts": [0], "missing": len(values), "lowest": None, "highest": None}
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1]).astype(np.float32))
    counts = np.bincount(np.searchsorted(edges, known, side="right"), minlength=len(edges) + 1)
    return {
        "edges": edges.tolist(),
        "counts": counts.tolist(),
        "missing": len(values) - len(known),
        "lowest": float(known.min()),
        "highest": float(known.max()),
    }


def of_category(values: pd.Series) -> dict[str, int]:
    """Rows per level, most frequent first; the empty string is "missing"."""
    return {str(level): int(count) for level, count in values.value_counts().items()}


def cells_of(reference: Reference, name: str, values: pd.Series) -> np.ndarray:
    """[n] cell of each value of a column."""
    if number := reference.numbers.get(name):
        return number.cells(number.places(values.to_numpy()))
    return reference.categories[name].places(values.to_numpy(object))[0]


def size(reference: Reference, name: str) -> int:
    """Cells of a column."""
    return len(reference.features[name].counts)


def means(cells: np.ndarray, values: np.ndarray, size: int) -> list[float]:
    """[size] mean of the values in each cell, drawn towards the overall mean where there are few."""
    overall = float(np.mean(values)) if len(values) else 0.0
    total = np.bincount(cells, values - overall, size) if len(values) else np.zeros(size)
    rows = np.bincount(cells, minlength=size)
    return np.round(overall + total / (rows + PRIOR), 6).tolist()


def sample(reference: Reference, frame: pd.DataFrame, seed: int) -> dict[str, list[int]]:
    """Cells of a few train rows, by column, in no order."""
    random = np.random.default_rng(seed)
    some = frame.iloc[random.permutation(len(frame))[:SAMPLE]]
    drawn = Summary(reference)
    drawn.add({name: some[name].to_numpy() for name in reference.features})
    cells = replaced(drawn.sample, reference, random)
    return {name: cells[:, i].tolist() for i, name in enumerate(reference.features)}
