"""Whether a window of rows differs from training: alarms that are rare and right.

A feature gets a warning or an alarm only if its change is both significant (corrected for the number of
tests, the finite reference, and sparse cells) and large enough to matter (corrected for both sample sizes).
`benchmarks/drift.py` simulates how often that errs.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from churn.drift import measures
from churn.drift.reference import GRID_PROBABILITY, Category, Reference
from churn.drift.summary import Summary
from churn.drift.together import Together, together

STATUSES = ("ok", "warning", "alarm")  # in order of gravity
FEW = "too few rows"


@dataclass(frozen=True)
class Policy:
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
    missing: tuple[float, float]  # share in training, in the window
    outside: float  # share of the window's numbers outside the range of training
    unseen: float  # share of levels that training did not see
    probability: float  # what the change does to the mean churn probability
    profit: float  # and to the expected profit per customer


@dataclass(frozen=True)
class DriftReport:
    """What `compare` found."""

    status: str  # of STATUSES, or FEW
    rows: int
    features: dict[str, Drift]  # worst first
    score: Drift | None  # of the predicted probabilities, None where the window has none
    together: Together | None  # of all features at once, None where no sample travels

    def to_json(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def compare(reference: Reference, window: Summary, policy: Policy | None = None) -> DriftReport:
    """How the window differs from training."""
    policy = policy or Policy()
    level = policy.significance / (len(reference.features) + 1)
    if window.rows < policy.min_rows:
        return DriftReport(FEW, window.rows, {}, None, None)
    features = {name: of_feature(reference, window, name, policy, level) for name in reference.features}
    worst_first = sorted(features, key=lambda name: gravity(features[name]), reverse=True)
    score = (
        of_score(reference, window, policy, level) if window.score.any() and reference.score.any() else None
    )
    joint = together(reference, window, policy.permutations, policy.significance_together, policy.seed)
    statuses = [drift.status for drift in (*features.values(), score, joint) if drift is not None]
    status = max(statuses, key=STATUSES.index)
    return DriftReport(status, window.rows, {name: features[name] for name in worst_first}, score, joint)


def gravity(drift: Drift) -> tuple[float, ...]:
    """What is worst first: the status, then what the change does to profit and to predictions."""
    return STATUSES.index(drift.status), abs(drift.profit), abs(drift.probability), drift.psi


def of_feature(reference: Reference, window: Summary, name: str, policy: Policy, level: float) -> Drift:
    """How one column changed."""
    feature, w = reference.features[name], window.counts[name]
    r, m, n = feature.counts, reference.told["rows"], window.rows
    if isinstance(feature, Category):
        missing, unseen = feature.missing, int(w[-1])
        once = int((r == 1).sum())
        p = 2 * min(measures.p_cells(r, w, unseen=True), measures.p_unseen(unseen, once, m, n))
        size, moved = measures.psi(*pooled(r, w)), None
    else:
        missing, unseen = len(r) - 1, 0
        gaps = (int(r[-1]), m, int(w[-1]), n)
        known = r[:-1], w[:-1]
        tenths = [measures.coarse(counts) for counts in known]
        p = 3 * min(measures.p_place(*known), measures.p_cells(tenths[0], tenths[1]), measures.p_share(*gaps))
        size = measures.psi(*(np.append(one, counts[-1]) for one, counts in zip(tenths, (r, w), strict=True)))
        moved = measures.shift(*known)
    change = w / n - r / m
    return Drift(
        status=judged(p, size, moved, policy, level),
        p=min(p, 1.0),
        psi=size,
        shift=moved,
        jensen_shannon=measures.jensen_shannon(r, w),
        missing=(r[missing] / m, w[missing] / n),
        outside=window.outside[name] / n,
        unseen=unseen / n,
        probability=float(change @ reference.per_cell("probability", name)),
        profit=float(change @ reference.per_cell("profit", name)),
    )


def pooled(r: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Counts of a category with its rare levels as one cell; the unseen keep theirs."""
    rare = (r + w)[:-1] * min(r.sum(), w.sum()) < measures.EXPECTED * (r.sum() + w.sum())
    joined = [np.concatenate([x[:-1][~rare], [x[:-1][rare].sum(), x[-1]]]) for x in (r, w)]
    return joined[0], joined[1]


def of_score(reference: Reference, window: Summary, policy: Policy, level: float) -> Drift:
    """How the predicted probabilities changed."""
    r, w = (np.add.reduceat(counts, reference.score_starts) for counts in (reference.score, window.score))
    tenths = [measures.coarse(counts) for counts in (r, w)]
    p = 2 * min(measures.p_place(r, w), measures.p_cells(tenths[0], tenths[1]))
    size, moved = measures.psi(*tenths), measures.shift(r, w)
    means = [counts @ GRID_PROBABILITY / counts.sum() for counts in (reference.score, window.score)]
    return Drift(
        status=judged(p, size, moved, policy, level),
        p=min(p, 1.0),
        psi=size,
        shift=moved,
        jensen_shannon=measures.jensen_shannon(r, w),
        missing=(0.0, 0.0),
        outside=0.0,
        unseen=0.0,
        probability=float(means[1] - means[0]),
        profit=float(
            (window.score / window.score.sum() - reference.score / reference.score.sum())
            @ grid_profit(reference)
        ),
    )


def grid_profit(reference: Reference) -> np.ndarray:
    """[GRID] mean expected profit of the decision at each probability; zeros where the profile has none."""
    means = reference.told.get("score_profit")
    return np.array(means) if means else np.zeros(len(GRID_PROBABILITY))


def judged(p: float, psi: float, shift: float | None, policy: Policy, level: float) -> str:
    """The status of a change."""
    if p >= level:
        return "ok"
    moved = shift or 0.0
    if psi >= policy.alarm_psi or moved >= policy.alarm_shift:
        return "alarm"
    return "warning" if psi >= policy.warning_psi or moved >= policy.warning_shift else "ok"
