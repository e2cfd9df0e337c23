"""Coverage of intervals and prediction sets, measured on the test rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from churn.bundle.conformal import CERTAINTIES
from churn.bundle.intervals import LEVEL
from churn.data.customers import number_customers
from churn.evaluate.bootstrap import Estimate
from churn.evaluate.clustered import share_interval
from churn.evaluate.metrics import mean_of_ties

QUINTILES = 5


@dataclass(frozen=True)
class Coverage:
    """Measured coverage; None for what the bundle does not have, or where the truth is not known."""

    unseen: float  # share of the rows with a field unlike any in training
    level: float | None  # the level of the prediction sets
    sets: Mapping[str, Estimate] | None  # coverage of stayers ("stays") and of churners ("leaves")
    shares: Mapping[str, float] | None  # share of the rows by certainty
    width: float | None  # mean width of the intervals
    covered: float | None  # share of the true probabilities inside their interval
    quintiles: list[float] | None  # the same by quintile of the probability, lowest first

    def to_json(self) -> dict[str, Any]:
        """The section `coverage` of metrics.json."""
        sets = {name: estimate.to_json() for name, estimate in self.sets.items()} if self.sets else None
        interval_level = None if self.width is None else LEVEL
        return vars(self) | {"sets": sets, "interval_level": interval_level}


def measure_coverage(
    outputs: Mapping[str, np.ndarray],
    churned: np.ndarray,
    truth: np.ndarray | None,
    level: float | None,
    ids: np.ndarray | None = None,
) -> Coverage:
    """The coverage of a bundle's outputs for rows with labels [n] and, if known, true probabilities [n].

    ids: [n] the customer of each row; None: each row is a customer.
    """
    sets = shares = width = covered = quintiles = None
    if "certainty" in outputs:
        certainty, customer = outputs["certainty"].astype(str), number_customers(ids, len(churned))
        sets = {
            name: _set_coverage(certainty[churned == label], name, customer[churned == label])
            for label, name in enumerate(CERTAINTIES[:2])
        }
        shares = {name: float((certainty == name).mean()) for name in CERTAINTIES}
    if "churn_probability_low" in outputs:
        low, high = outputs["churn_probability_low"], outputs["churn_probability_high"]
        width = float((high - low).mean())
        if truth is not None:
            probability = outputs["churn_probability"]
            inside = mean_of_ties((low <= truth) & (truth <= high), probability)
            parts = np.array_split(np.argsort(probability, kind="stable"), QUINTILES)
            covered, quintiles = float(inside.mean()), [float(inside[rows].mean()) for rows in parts]
    unseen = float((outputs["unseen_inputs"] > 0).mean())
    return Coverage(unseen, level if sets else None, sets, shares, width, covered, quintiles)


def _set_coverage(certainty: np.ndarray, name: str, customer: np.ndarray) -> Estimate:
    """The share of [n] rows whose set holds `name`, with its 95 % interval."""
    return share_interval(np.isin(certainty, [name, "ambiguous"]), customer)
