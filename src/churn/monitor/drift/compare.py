"""Whether a window of rows differs from training: alarms that are rare and right.

A feature gets a warning or an alarm only if its change is both significant (corrected for the number of
tests, the finite reference, and sparse cells) and large enough to matter (corrected for both sample sizes).
`benchmarks/drift.py` simulates how often that errs.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from churn.monitor.drift import measures
from churn.monitor.drift.reference import GRID_PROBABILITY, Category, Reference
from churn.monitor.drift.summary import Summary
from churn.monitor.drift.two_sample import TwoSampleTest, two_sample_test

STATUSES = ("ok", "warning", "alarm")  # in order of gravity
TOO_FEW_ROWS = "too few rows"
Tested = tuple[float, float, float | None]  # p, PSI and, of ordered cells, shift


@dataclass(frozen=True)
class DriftPolicy:
    """From where on a change is worth a word. The shares of false alarms are over all features of a run."""

    min_rows: int = 200  # fewer are no evidence
    significance: float = 0.005  # false alarms of all features one by one, and the score ...
    significance_together: float = 0.002  # ... and of the comparison of all together
    warning_psi: float = 0.02
    alarm_psi: float = 0.10
    warning_shift: float = 0.1  # standard deviations
    alarm_shift: float = 0.3
    permutations: int = 2_000  # at most, of the comparison of all together; 0: leave it out
    seed: int = 0


@dataclass(frozen=True)
class Drift:
    """How one feature, or the score, changed."""

    status: str  # one of STATUSES
    p: float  # chance of a change like this without drift, for this feature alone
    psi: float  # population stability index less its bias
    shift: float | None  # in standard deviations, of numbers
    jensen_shannon: float
    probability: float  # what the change does to the mean churn probability
    profit: float  # and to the expected profit per customer
    missing: tuple[float, float] = (0.0, 0.0)  # share in training, in the window
    outside: float = 0.0  # share of the window's numbers outside the range of training
    unseen: float = 0.0  # share of levels that training did not see


@dataclass(frozen=True)
class DriftReport:
    """What `compare` found."""

    status: str  # of STATUSES, or FEW
    rows: int
    features: dict[str, Drift]  # worst first
    score: Drift | None  # of the predicted probabilities, None where the window has none
    together: TwoSampleTest | None  # of all features at once, None where no sample travels

    def to_json(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def compare_with_training(
    reference: Reference, window: Summary, policy: DriftPolicy | None = None
) -> DriftReport:
    """How the window differs from training."""
    policy = policy or DriftPolicy()
    level = policy.significance / (len(reference.features) + 1)
    if window.rows < policy.min_rows:
        return DriftReport(TOO_FEW_ROWS, window.rows, {}, None, None)
    features = {name: _feature_drift(reference, window, name, policy, level) for name in reference.features}
    worst_first = sorted(features, key=lambda name: _gravity(features[name]), reverse=True)
    score = (
        _score_drift(reference, window, policy, level)
        if window.score.any() and reference.score.any()
        else None
    )
    joint = two_sample_test(reference, window, policy.permutations, policy.significance_together, policy.seed)
    statuses = [drift.status for drift in (*features.values(), score, joint) if drift is not None]
    status = max(statuses, key=STATUSES.index)
    return DriftReport(status, window.rows, {name: features[name] for name in worst_first}, score, joint)


def _gravity(drift: Drift) -> tuple[float, ...]:
    """What is worst first: the status, then what the change does to profit and to predictions."""
    return STATUSES.index(drift.status), abs(drift.profit), abs(drift.probability), drift.psi


def _feature_drift(
    reference: Reference, window: Summary, name: str, policy: DriftPolicy, level: float
) -> Drift:
    """How one column changed."""
    feature, w = reference.features[name], window.counts[name]
    r, m, n = feature.counts, reference.told["rows"], window.rows
    if isinstance(feature, Category):
        missing, unseen = feature.missing, int(w[-1])
        once = int((r == 1).sum())
        p = 2 * min(measures.p_cells(r, w, unseen=True), measures.p_unseen(unseen, once, m, n))
        tested: Tested = p, measures.corrected_psi(*_pool_rare_levels(r, w)), None
    else:
        missing, unseen = len(r) - 1, 0
        tested = _test_ordered(r[:-1], w[:-1], (int(r[-1]), m, int(w[-1]), n))
    means = reference.per_cell("probability", name), reference.per_cell("profit", name)
    shares = {
        "missing": (r[missing] / m, w[missing] / n),
        "outside": window.outside[name] / n,
        "unseen": unseen / n,
    }
    return _describe_drift(tested, r, w, w / n - r / m, means, policy, level, **shares)


def _score_drift(reference: Reference, window: Summary, policy: DriftPolicy, level: float) -> Drift:
    """How the predicted probabilities changed."""
    r, w = (np.add.reduceat(counts, reference.score_starts) for counts in (reference.score, window.score))
    change = window.score / w.sum() - reference.score / r.sum()
    means = GRID_PROBABILITY, reference.grid_profit
    return _describe_drift(_test_ordered(r, w), r, w, change, means, policy, level)


def _describe_drift(
    tested: Tested,
    r: np.ndarray,
    w: np.ndarray,
    change: np.ndarray,
    means: tuple[np.ndarray, np.ndarray],
    policy: DriftPolicy,
    level: float,
    **shares: Any,
) -> Drift:
    """What was tested, judged; change: of the share of each cell, whose `means` are known."""
    p, psi, shift = tested
    probability, profit = (float(change @ mean) for mean in means)
    status, distance = _status_of(p, psi, shift, policy, level), measures.jensen_shannon(r, w)
    return Drift(status, min(p, 1.0), psi, shift, distance, probability, profit, **shares)


def _test_ordered(r: np.ndarray, w: np.ndarray, missing: tuple[int, int, int, int] | None = None) -> Tested:
    """p, PSI and shift of counts [B] in ordered cells; missing: r of m rows, w of n."""
    a, b = measures.merge_cells(r), measures.merge_cells(w)
    tests = [measures.p_location(r, w), measures.p_cells(a, b)]
    if missing:
        tests.append(measures.p_share(*missing))
        a, b = np.append(a, missing[0]), np.append(b, missing[2])
    return len(tests) * min(tests), measures.corrected_psi(a, b), measures.corrected_shift(r, w)


def _pool_rare_levels(r: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Counts of a category with its rare levels as one cell; the unseen keep theirs."""
    rare = (r + w)[:-1] * min(r.sum(), w.sum()) < measures.EXPECTED * (r.sum() + w.sum())
    joined = [np.concatenate([x[:-1][~rare], [x[:-1][rare].sum(), x[-1]]]) for x in (r, w)]
    return joined[0], joined[1]


def _status_of(p: float, psi: float, shift: float | None, policy: DriftPolicy, level: float) -> str:
    """The status of a change."""
    if p >= level:
        return "ok"
    moved = shift or 0.0
    if psi >= policy.alarm_psi or moved >= policy.alarm_shift:
        return "alarm"
    return "warning" if psi >= policy.warning_psi or moved >= policy.warning_shift else "ok"
