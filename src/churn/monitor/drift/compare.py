"""Compares a window of rows with training: each feature, the score, and all features together.

`churn.monitor.drift.alarm` decides which of the changes are alarms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from churn.monitor.drift.alarm import STATUSES, TOO_FEW_ROWS, DriftPolicy
from churn.monitor.drift.column import ColumnChange, compare_levels, compare_ordered
from churn.monitor.drift.measures import jensen_shannon
from churn.monitor.drift.reference import GRID_PROBABILITY, Category, Reference
from churn.monitor.drift.spread import Spread, means_of, spread_of_category, spread_of_number, spread_of_score
from churn.monitor.drift.summary import Summary
from churn.monitor.drift.two_sample import TwoSampleTest, two_sample_test

StatusOf = Callable[[ColumnChange], str]


@dataclass(frozen=True)
class Drift:
    """How one feature, or the score, changed."""

    status: str  # one of STATUSES
    p: float  # chance of a change like this without drift, for this feature alone
    psi: float  # population stability index less its bias
    shift: float | None  # in standard deviations; None for categories
    jensen_shannon: float
    probability: float  # change of the mean churn probability that this change brings
    profit: float  # change of the expected profit per customer that it brings
    missing: tuple[float, float] = (0.0, 0.0)  # share in training, in the window
    outside: float = 0.0  # share of the window's numbers outside the range of training
    unseen: float = 0.0  # share of the window's levels that training did not see
    spread: Spread | None = None  # before and after, for a chart


@dataclass(frozen=True)
class DriftReport:
    """The result of `compare_with_training`."""

    status: str  # of STATUSES, or TOO_FEW_ROWS
    rows: int
    features: dict[str, Drift]  # worst first
    score: Drift | None  # of the predicted probabilities; None if the window or the reference has none
    together: TwoSampleTest | None  # of all features at once; None if the profile holds no sample


def compare_with_training(
    reference: Reference, window: Summary, policy: DriftPolicy | None = None
) -> DriftReport:
    """How the rows of a window differ from the training rows.

    >>> compare_with_training(window.summary.reference, window.summary).status
    """
    policy = policy or DriftPolicy()
    if window.rows < policy.min_rows:
        return DriftReport(TOO_FEW_ROWS, window.rows, {}, None, None)
    status_of = partial(policy.column_status, columns=len(reference.features) + 1)
    drifts = {name: _feature_drift(reference, window, name, status_of) for name in reference.features}
    features = dict(sorted(drifts.items(), key=lambda item: _severity(item[1]), reverse=True))
    scored = window.score.any() and reference.score.any()
    score = _score_drift(reference, window, status_of) if scored else None
    joint = two_sample_test(reference, window, policy)
    statuses = [drift.status for drift in (*features.values(), score, joint) if drift is not None]
    return DriftReport(max(statuses, key=STATUSES.index), window.rows, features, score, joint)


def _severity(drift: Drift) -> tuple[float, ...]:
    """Sorts drifts: by the status, then by the effect on profit and on predictions."""
    return STATUSES.index(drift.status), abs(drift.profit), abs(drift.probability), drift.psi


def _feature_drift(reference: Reference, window: Summary, name: str, status_of: StatusOf) -> Drift:
    feature, w = reference.features[name], window.counts[name]
    r, m, n = feature.counts, reference.rows, window.rows
    tested = reference.independent(r)
    if isinstance(feature, Category):
        missing, unseen, spread = feature.missing, int(w[-1]), spread_of_category(feature, w)
        change = compare_levels(feature, tested, w, n)
    else:
        missing, unseen = len(r) - 1, 0
        means = means_of(reference.profile["numeric"][name], window.sums[name], n - int(w[-1]))
        spread = spread_of_number(feature, w, means)
        missing_rows = round(tested[-1]), round(tested.sum()), int(w[-1]), n
        change = compare_ordered(tested[:-1], w[:-1], missing_rows)
    moved = w / n - r / m  # of the share of each cell
    return Drift(
        *_size(change, status_of, r, w),
        probability=float(moved @ reference.per_cell("probability", name)),
        profit=float(moved @ reference.per_cell("profit", name)),
        missing=(r[missing] / m, w[missing] / n),
        outside=window.outside[name] / n,
        unseen=unseen / n,
        spread=spread,
    )


def _score_drift(reference: Reference, window: Summary, status_of: StatusOf) -> Drift:
    r, w = (np.add.reduceat(counts, reference.score_starts) for counts in (reference.score, window.score))
    change = compare_ordered(reference.independent(r, "test_customers"), w)
    moved = window.score / w.sum() - reference.score / r.sum()
    return Drift(
        *_size(change, status_of, r, w),
        probability=float(moved @ GRID_PROBABILITY),
        profit=float(moved @ reference.grid_profit),
        spread=spread_of_score(reference.score, window.score),
    )


def _size(
    change: ColumnChange, status_of: StatusOf, r: np.ndarray, w: np.ndarray
) -> tuple[str, float, float, float | None, float]:
    """The first five fields of a `Drift`, from its test and its counts."""
    return status_of(change), min(change.p, 1.0), change.psi, change.shift, jensen_shannon(r, w)
