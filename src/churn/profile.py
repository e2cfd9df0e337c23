"""What the training data looked like, small enough to travel in the bundle and to be compared with later."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from churn.schema import Schema

BINS = 20  # quantile bins of a number, equal bins of the probability


def profile(frame: pd.DataFrame, schema: Schema, probability: np.ndarray) -> dict[str, Any]:
    """Counts per bin and level over train rows, and of the probabilities of unseen rows, for JSON."""
    return {
        "rows": len(frame),
        "numeric": {column: of_number(frame[column].to_numpy()) for column in schema.numeric},
        "categorical": {column: of_category(frame[column]) for column in schema.categorical},
        "churn_probability": np.histogram(probability, BINS, (0, 1))[0].tolist(),
    }


def of_number(values: np.ndarray) -> dict[str, Any]:
    """Inner edges of the quantile bins, rows per bin (value < edge belongs below it), missing rows, range."""
    known = values[~np.isnan(values)]
    if len(known) == 0:
        return {"edges": [], "counts": [0], "missing": len(values), "lowest": None, "highest": None}
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1]))
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
