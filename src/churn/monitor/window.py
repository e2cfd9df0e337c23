"""A window of predictions and the report on it, for `churn monitor` as well as for simulations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from churn.data.contract import SHOWN_FROM
from churn.monitor.closed_windows import ClosedWindows
from churn.monitor.drift.alarm import DriftPolicy
from churn.monitor.drift.compare import compare_with_training
from churn.monitor.drift.reference import Reference
from churn.monitor.drift.summary import Summary
from churn.monitor.performance import Outcomes, expected_performance, measure_performance, measure_treatment


@dataclass
class Window:
    """The rows and the outcomes of a period, as counts. `a + b` has those of both.

    >>> window = Window.of(bundle.profile)
    >>> window.add(frame, probability)
    >>> assess_window(window, bundle.facts["metrics"])["status"]
    """

    summary: Summary
    outcomes: Outcomes = field(default_factory=Outcomes)
    campaign: Outcomes = field(default_factory=Outcomes)  # of called and control customers

    @classmethod
    def of(cls, profile: Mapping[str, Any], seed: int = 0) -> Window:
        """An empty window that will be compared with the profile of a bundle."""
        return cls(Summary(Reference(profile), seed))

    def add(
        self,
        columns: Mapping[str, Any],
        probability: np.ndarray,
        churned: np.ndarray | None = None,
        treated: np.ndarray | None = None,
    ) -> None:
        """Count rows: columns [n] by their names in the training table, and predicted probabilities [n].

        churned: outcomes [n], 1, 0, or -1 for unknown. treated: 1 for called, 0 for control, -1 for neither.
        """
        self.summary.add(columns, probability)
        if churned is not None:
            self.outcomes.add(probability, churned, treated)
            self.campaign.add(probability, churned, treated)

    def add_settled(self, closed: ClosedWindows) -> None:
        """Count the outcomes of the newest predictions with closed windows."""
        for outcomes, rows in ((self.outcomes, closed.newest()), (self.campaign, closed.campaign())):
            outcomes.add(rows.value, rows.churned, rows.treated)

    def __add__(self, other: Window) -> Window:
        return Window(
            self.summary + other.summary, self.outcomes + other.outcomes, self.campaign + other.campaign
        )


def assess_window(
    window: Window, metrics: Mapping[str, Any], policy: DriftPolicy | None = None
) -> dict[str, Any]:
    """The report on a window, for JSON; `metrics` are those of the bundle's test (`facts["metrics"]`)."""
    policy = policy or DriftPolicy()
    drift = compare_with_training(window.summary.reference, window.summary, policy)
    measured = measure_performance(window.outcomes, metrics, policy.seed)
    worse = measured is not None and measured["worse"]
    return {
        "rows": drift.rows,
        "status": "alarm" if worse else drift.status,
        "drift": drift.status,
        "features": {name: asdict(change) for name, change in drift.features.items()},
        "score": drift.score and asdict(drift.score),
        "together": drift.together and asdict(drift.together),
        "unseen_levels": {name: _shared(seen) for name, seen in window.summary.unseen.items()},
        "performance": measured,
        "expected": expected_performance(window.summary.score),
        "treatment": measure_treatment(window.campaign),
    }


def _shared(seen: Counter[str]) -> dict[str, int]:
    """The commonest texts that training did not see, of those that several customers share.

    A text that a few have may be a name or a note. It is in the share of unseen levels, and nowhere shown.
    """
    return {text: rows for text, rows in seen.most_common(5) if rows >= SHOWN_FROM}
