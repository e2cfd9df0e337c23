"""How far the bundle's doubt can be trusted: measured on the test part, and only that is claimed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import beta

from churn.bundle.conformal import CERTAINTIES
from churn.bundle.intervals import LEVEL
from churn.evaluate.bootstrap import Estimate

QUINTILES = 5


@dataclass(frozen=True)
class Coverage:
    """What intervals and sets turn out to be; None where the bundle has none."""

    unseen: float  # share of the customers with a field unlike any in training
    level: float | None  # that the sets are made for
    sets: Mapping[str, Estimate] | None  # coverage of those who stay and of those who leave
    shares: Mapping[str, float] | None  # of each answer
    width: float | None  # mean width of the intervals
    covered: float | None  # share of the known probabilities that they hold
    quintiles: list[float] | None  # the same by quintile of the probability

    def to_json(self) -> dict[str, Any]:
        """The section `doubt` of metrics.json."""
        sets = {name: of.to_json() for name, of in self.sets.items()} if self.sets else None
        interval_level = None if self.width is None else LEVEL
        return vars(self) | {"sets": sets, "interval_level": interval_level}


def measure_coverage(
    outputs: Mapping[str, np.ndarray], churned: np.ndarray, truth: np.ndarray | None, level: float | None
) -> Coverage:
    """Of the bundle's outputs for the test part, [n] labels, and the true probabilities where known."""
    sets = shares = width = covered = quintiles = None
    if "certainty" in outputs:
        answers = outputs["certainty"].astype(str)
        sets = {
            name: _set_coverage(answers[churned == kind], name) for kind, name in enumerate(CERTAINTIES[:2])
        }
        shares = {answer: float((answers == answer).mean()) for answer in CERTAINTIES}
    if "churn_probability_low" in outputs:
        low, high = outputs["churn_probability_low"], outputs["churn_probability_high"]
        width = float((high - low).mean())
        if truth is not None:
            inside = (low <= truth) & (truth <= high)
            parts = np.array_split(np.argsort(outputs["churn_probability"], kind="stable"), QUINTILES)
            covered, quintiles = float(inside.mean()), [float(inside[rows].mean()) for rows in parts]
    unseen = float((outputs["unseen_inputs"] > 0).mean())
    return Coverage(unseen, level if sets else None, sets, shares, width, covered, quintiles)


def _set_coverage(answers: np.ndarray, name: str) -> Estimate:
    """Share of the [n] answers whose set holds `name`, with its 95 % Jeffreys interval."""
    covered, rows = int(np.isin(answers, [name, "ambiguous"]).sum()), len(answers)
    low, high = beta.ppf([0.025, 0.975], covered + 0.5, rows - covered + 0.5)
    return Estimate(covered / rows, float(low), float(high))
