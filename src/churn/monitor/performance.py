"""The performance on settled predictions, from counts by probability, outcome and treatment."""

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
# The best value of each metric that is compared with the bundle's test
RIGHT = {"roc_auc": 1.0, "log_loss": 0.0, "calibration_slope": 1.0, "calibration_intercept": 0.0}
FALSE_ALARMS = 0.01  # share of runs in which an unchanged model is called worse
SIDES = float(ndtri(1 - FALSE_ALARMS / len(RIGHT) / 2))  # standard errors, corrected for several metrics
NORMAL = float(ndtri(0.975))
RESAMPLES = 500
LEAST = 100  # settled predictions, of which at least LEAST_EACH left and as many stayed; fewer give no result
LEAST_EACH = 10
DECILES = 10
HEAVIEST = 0.01  # of all customers: the most whom a control customer may stand for in the comparison


@dataclass
class Outcomes:
    """Settled predictions as counts. `a + b` has those of both."""

    # [treatment, churned, grid cell of the probability]
    counts: np.ndarray = field(default_factory=lambda: np.zeros((3, 2, GRID), int))

    def add(self, probability: np.ndarray, churned: np.ndarray, treated: np.ndarray | None = None) -> None:
        """Count predictions [n] with their outcome and their treatment [n], each 1, 0 or UNKNOWN."""
        known = np.asarray(churned) != UNKNOWN
        group = np.zeros(int(known.sum()), int) if treated is None else np.asarray(treated)[known] + 1
        cells = (group * 2 + np.asarray(churned, int)[known]) * GRID + grid_cell(
            np.asarray(probability)[known]
        )
        self.counts += np.bincount(cells.astype(int), minlength=6 * GRID).reshape(3, 2, GRID)

    def __add__(self, other: Outcomes) -> Outcomes:
        return Outcomes(self.counts + other.counts)


def expected_performance(rows: np.ndarray) -> dict[str, float]:
    """The metrics of rows [GRID] without labels, if the probabilities are calibrated (CBPE, by NannyML)."""
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

    Called customers are left out, because the call may have changed the outcome; control customers get a
    higher weight to represent them, by decile. There is no comparison (`comparable`) where these are too few:
    the highest risks would be missing. `worse` if the interval of some change for the worse excludes
    zero; over all metrics this errs in `FALSE_ALARMS` of the runs. `estimate_error`: the metric less the one
    that CBPE expected of the same customers. None if too few predictions are settled.
    """
    counts = outcomes.counts[[NEITHER, CONTROL]]
    left, stayed = counts[:, 1].sum(), counts[:, 0].sum()
    if left + stayed < LEAST or min(left, stayed) < LEAST_EACH:
        return None
    scale = np.stack([np.ones(GRID), _control_weights(outcomes)])[:, None, :]
    values = _resampled(counts, np.broadcast_to(scale, counts.shape), seed)
    found = {name: Estimate.from_resamples(values[name]) for name in SHOWN}
    comparable = _are_called_represented(outcomes)
    changes = {
        name: _change_since_test(found[name], own[name])
        for name in RIGHT
        if comparable and own.get(name, {}).get("low") is not None and not np.isnan(found[name].low)
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
        "comparable": comparable,
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


def _change_since_test(measured: Estimate, own: Mapping[str, float]) -> Estimate:
    """The difference of a metric from that of the bundle's test, which had other customers."""
    error = np.hypot(measured.high - measured.low, own["high"] - own["low"]) / (2 * NORMAL)
    change, reach = measured.value - own["value"], SIDES * float(error)
    return Estimate(change, change - reach, change + reach)


def _is_worse(name: str, change: Estimate, own: float) -> bool:
    """Whether a change is significant and leads away from the best value."""
    significant = change.low > 0 or change.high < 0
    return significant and abs(own + change.value - RIGHT[name]) > abs(own - RIGHT[name])


def _deciles(rows: np.ndarray) -> np.ndarray:
    """[GRID] the decile of each grid cell, 0 to 9, by the rows [GRID] in the cells."""
    middle = np.cumsum(rows) - rows / 2
    return np.minimum((DECILES * middle / max(rows.sum(), 1)).astype(int), DECILES - 1)


def _control_weights(outcomes: Outcomes) -> np.ndarray:
    """[GRID] the weight of a control customer: itself and its share of the called customers of its decile."""
    by_group = outcomes.counts.sum(axis=1)
    decile = _deciles(by_group[CONTROL] + by_group[TREATED])
    control, treated = (np.bincount(decile, by_group[group], DECILES) for group in (CONTROL, TREATED))
    return (1 + treated / np.maximum(control, 1))[decile]


def _are_called_represented(outcomes: Outcomes) -> bool:
    """Whether the control customers can stand for the called ones."""
    groups = outcomes.counts.sum(axis=(1, 2))
    return bool(groups[TREATED] <= HEAVIEST * groups.sum() * max(groups[CONTROL], 1))


def measure_treatment(outcomes: Outcomes) -> dict[str, Any] | None:
    """The effect of calling: churn rate of called customers minus that of the control group, also by decile.

    Each with Newcombe's 95 % interval (1998, Statistics in Medicine 17, method 10). None if a group is empty.
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
    """The difference of churn rates, from counts [control and treated, stayed and left]; None if empty."""
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
