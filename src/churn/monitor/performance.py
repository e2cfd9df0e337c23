"""What was predicted beside what happened: counts by probability, outcome and treatment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import ndtri

from churn.evaluate.bootstrap import CHUNK_CELLS, Estimate
from churn.evaluate.metrics import compute_metrics, rank_rows
from churn.monitor.drift.reference import GRID, GRID_PROBABILITY, grid_cell
from churn.monitor.labels import UNKNOWN

NEITHER, CONTROL, TREATED = 0, 1, 2  # first axis of the counts
SHOWN = ("roc_auc", "log_loss", "brier", "calibration_slope", "calibration_intercept")
RIGHT = {
    "roc_auc": 1.0,
    "log_loss": 0.0,
    "calibration_slope": 1.0,
    "calibration_intercept": 0.0,
}  # the best value
FALSE_ALARMS = 0.01  # share of runs in which a model as good as ever is called worse
SIDES = float(ndtri(1 - FALSE_ALARMS / len(RIGHT) / 2))  # standard errors, corrected for several metrics
NORMAL = float(ndtri(0.975))
RESAMPLES = 500
LEAST = 100  # settled predictions, of which at least LEAST_EACH left and stayed, before anything is said
LEAST_EACH = 10
DECILES = 10


@dataclass
class Outcomes:
    """Settled predictions. `a + b` are both of them."""

    counts: np.ndarray = field(
        default_factory=lambda: np.zeros((3, 2, GRID), int)
    )  # treatment, churned, grid

    def add(self, probability: np.ndarray, churned: np.ndarray, treated: np.ndarray | None = None) -> None:
        """Count predictions [n] with outcome [n] 1, 0 or UNKNOWN, and measure_treatment [n] 1, 0 or UNKNOWN."""
        known = np.asarray(churned) != UNKNOWN
        group = np.zeros(int(known.sum()), int) if treated is None else np.asarray(treated)[known] + 1
        cells = (group * 2 + np.asarray(churned)[known]) * GRID + grid_cell(np.asarray(probability)[known])
        self.counts += np.bincount(cells.astype(int), minlength=6 * GRID).reshape(3, 2, GRID)

    def __add__(self, other: Outcomes) -> Outcomes:
        return Outcomes(self.counts + other.counts)


def expected_performance(rows: np.ndarray) -> dict[str, float]:
    """What calibrated probabilities promise of rows [GRID], without any label (CBPE, by NannyML)."""
    total = rows.sum()
    if not total:
        return {}
    p, share = GRID_PROBABILITY, rows / total
    left, stayed = share * p, share * (1 - p)
    below = np.cumsum(stayed) - stayed / 2
    return {
        "churn_rate": float(left.sum()),
        "roc_auc": float(left @ below / (left.sum() * stayed.sum())),
        "log_loss": float(-(left @ np.log(p) + stayed @ np.log(1 - p))),
        "brier": float(share @ (p * (1 - p))),
    }


def measure_performance(outcomes: Outcomes, own: Mapping[str, Any], seed: int = 0) -> dict[str, Any] | None:
    """Metrics of the settled predictions with 95 % intervals, and their change since the bundle's own test.

    Treated customers are left out, for their fate is not what was predicted; those held out as control stand
    for them, decile by decile. `worse` where the interval of a change for the worse excludes zero, at a level
    that together errs in `FALSE_ALARMS` of the runs. `estimate_error`: the metric less what CBPE expected of
    the same customers. None where too few predictions are settled.
    """
    counts = outcomes.counts[[NEITHER, CONTROL]]
    left, stayed = counts[:, 1].sum(), counts[:, 0].sum()
    if left + stayed < LEAST or min(left, stayed) < LEAST_EACH:
        return None
    scale = np.stack([np.ones(GRID), _control_weights(outcomes)])[:, None, :]
    values = _resampled(counts, np.broadcast_to(scale, counts.shape), seed)
    found = {name: Estimate.from_resamples(values[name]) for name in SHOWN}
    changes = {
        name: _change_since_test(found[name], own[name])
        for name in RIGHT
        if own.get(name, {}).get("low") is not None
    }
    promised = expected_performance((counts * scale).sum(axis=(0, 1)))
    return {
        "rows": int(left + stayed),
        "churn_rate": float(left / (left + stayed)),
        **{name: estimate.to_json() for name, estimate in found.items()},
        "change": {name: one.to_json() for name, one in changes.items()},
        "worse_in": (
            worse := [name for name, one in changes.items() if _is_worse(name, one, own[name]["value"])]
        ),
        "worse": bool(worse),
        "expected": promised,
        "estimate_error": {name: found[name].value - promised[name] for name in promised if name in found},
    }


def _resampled(counts: np.ndarray, scale: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """[1 + RESAMPLES] values of each metric: of the counts as they are, then of bootstrap samples."""
    used = counts > 0
    rows, weight = counts[used], scale[used]
    churned = np.broadcast_to(np.arange(2)[None, :, None], counts.shape)[used]
    ranked = rank_rows(churned, np.broadcast_to(GRID_PROBABILITY, counts.shape)[used])
    random = np.random.default_rng(seed)
    drawn = random.multinomial(rows.sum(), rows / rows.sum(), RESAMPLES)
    weights = (np.concatenate([rows[None], drawn]) * weight)[:, ranked.order]
    step = max(1, CHUNK_CELLS // len(rows))
    parts = [compute_metrics(ranked, weights[first : first + step]) for first in range(0, len(weights), step)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _change_since_test(ours: Estimate, own: Mapping[str, float]) -> Estimate:
    """By how much a metric differs from the bundle's own, whose test customers are others."""
    error = np.hypot(ours.high - ours.low, own["high"] - own["low"]) / (2 * NORMAL)
    by, reach = ours.value - own["value"], SIDES * float(error)
    return Estimate(by, by - reach, by + reach)


def _is_worse(name: str, by: Estimate, own: float) -> bool:
    """Whether a change is beyond doubt, and away from the right value."""
    beyond_doubt = by.low > 0 or by.high < 0
    return beyond_doubt and abs(own + by.value - RIGHT[name]) > abs(own - RIGHT[name])


def _deciles(rows: np.ndarray) -> np.ndarray:
    """[GRID] decile, 0 to 9, of each grid cell by the rows [GRID] there."""
    middle = np.cumsum(rows) - rows / 2
    return np.minimum((DECILES * middle / max(rows.sum(), 1)).astype(int), DECILES - 1)


def _control_weights(outcomes: Outcomes) -> np.ndarray:
    """[GRID] how many customers one of the control group stands for: itself and treated ones of its tenth."""
    by_group = outcomes.counts.sum(axis=1)
    decile = _deciles(by_group[CONTROL] + by_group[TREATED])
    control, treated = (np.bincount(decile, by_group[group], DECILES) for group in (CONTROL, TREATED))
    return (1 + treated / np.maximum(control, 1))[decile]


def measure_treatment(outcomes: Outcomes) -> dict[str, Any] | None:
    """What calling does to churn: the rate of the treated minus that of the control group, and by decile.

    Each with Newcombe's 95 % interval (1998, Statistics in Medicine 17, method 10). None without both groups.
    """
    both = outcomes.counts[[CONTROL, TREATED]]
    if not both.sum(axis=(1, 2)).all():
        return None
    decile = _deciles(both.sum(axis=(0, 1)))
    parts = [both[:, :, decile == number].sum(axis=2) for number in range(DECILES)]
    return _rate_difference(both.sum(axis=2)) | {
        "deciles": [_rate_difference(part) | {"decile": i + 1} for i, part in enumerate(parts)]
    }


def _rate_difference(counts: np.ndarray) -> dict[str, Any]:
    """Difference of the churn rates of counts [control and treated, stayed and left]; None if empty."""
    rows = counts.sum(axis=1)
    numbers: dict[str, Any] = {"control": int(rows[0]), "treated": int(rows[1])}
    if not rows.all():
        return numbers | {"effect": None}
    from scipy.stats import binomtest  # takes a while to import

    rate = counts[:, 1] / rows
    tests = [binomtest(int(left), int(n)) for left, n in zip(counts[:, 1], rows, strict=True)]
    control, treated = (test.proportion_ci(method="wilson") for test in tests)
    by = float(rate[1] - rate[0])
    down = float(np.hypot(rate[1] - treated.low, control.high - rate[0]))
    up = float(np.hypot(treated.high - rate[1], rate[0] - control.low))
    return numbers | {"effect": {"value": by, "low": by - down, "high": by + up}}
