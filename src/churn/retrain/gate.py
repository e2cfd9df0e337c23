"""Whether the challenger may serve: paired evidence on fresh rows that neither model has seen.

Every bound is one-sided and comes from one bootstrap over customers, whose resamples all comparisons share.
Differences are gains: above 0 the challenger is the better one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from scipy.special import expit

from churn.config.loop import GateConfig
from churn.config.root import Config
from churn.evaluate.bootstrap import Measure, bootstrap, resample_weights
from churn.evaluate.metrics import (
    EPSILON,
    METRICS,
    Metric,
    Ranked,
    calibration_line,
    probability_metrics,
    rank_rows,
    ranking_metrics,
)

CHAMPION, CHALLENGER, REFERENCE = "champion", "challenger", "reference"
ROWS = 1_400  # at which the margins of the configuration hold
GATE_METRICS = {
    "log_loss": METRICS["log_loss"],
    "roc_auc": METRICS["roc_auc"],
    "calibration": Metric("calibration", "nats that a recalibration would save; less is better", 4, -1),
    "profit": Metric("profit", "per customer, in the currency of the decision", 4, 1),
}


@dataclass(frozen=True)
class FreshRows:
    """Labelled rows and what each model says about them."""

    churned: np.ndarray  # [n] 1 = left
    probability: Mapping[str, np.ndarray]  # [n] by CHAMPION, CHALLENGER and, where there is one, REFERENCE
    called: Mapping[str, np.ndarray]  # [n] bool, by the same names: the decision
    brings: np.ndarray  # [n] money that calling each customer brings
    customers: np.ndarray | None = None  # [n] who each row belongs to; None: each row is one
    segments: Mapping[str, np.ndarray] = field(default_factory=dict)  # [n] bool by name


@dataclass(frozen=True)
class GateCheck:
    """One question to the challenger."""

    question: str
    gain: float
    bound: float  # of the gain: one-sided, lower; of harm to a segment the upper one
    least: float  # what the bound, or the gain of a segment, must not be below
    passed: bool
    needed: bool = True  # for the promotion; of those that are not, one is


@dataclass(frozen=True)
class Verdict:
    """The decision with its evidence."""

    promote: bool
    reason: str
    rows: int
    scores: dict[str, dict[str, float]]  # by model and metric
    checks: list[GateCheck]

    def to_json(self) -> dict[str, Any]:
        """Plain values, null for NaN."""
        return asdict(self)


def judge_challenger(fresh: FreshRows, alarmed: bool, cfg: GateConfig, seed: int) -> Verdict:
    """Whether the challenger replaces the champion.

    After an alarm it must be no worse (log loss and AUC, by less than the margin) and better calibrated or
    more profitable; without one it must have the lower log loss, and no worse AUC. Never may it be worse than
    the reference by the margin, since margins add up, nor harm a segment. Too few rows are no evidence.
    """
    n, churners = len(fresh.churned), int(fresh.churned.sum())
    if n < cfg.min_rows or min(churners, n - churners) < cfg.min_churners:
        few = f"{n:,} fresh rows with {churners:,} churners are too few to tell"
        return Verdict(False, few, n, {}, [])
    values, drawn = bootstrap_metrics(fresh, cfg.bootstrap, seed)
    against = _Comparison(values, drawn, 1 - cfg.confidence)
    checks = [
        against.no_worse(CHAMPION, metric, margin(metric, n, cfg)) for metric in ("log_loss", "roc_auc")
    ]
    if alarmed:
        checks += [against.better(metric, needed=False) for metric in ("calibration", "profit")]
    else:
        checks[0] = against.better("log_loss")
    if REFERENCE in fresh.probability:
        checks += [against.no_worse(REFERENCE, m, margin(m, n, cfg)) for m in ("log_loss", "roc_auc")]
    share = (1 - cfg.confidence) / max(1, len(fresh.segments))
    for name, inside in fresh.segments.items():
        allowed = margin("log_loss", int(inside.sum()), cfg)
        checks.append(_Comparison(values, drawn, share).no_harm(name, allowed))
    return Verdict(*_conclude(checks), n, values, checks)


def rollback_config(cfg: Config) -> Config:
    """The configuration whose gate asks as much of the model before as a rollback needs."""
    gate = replace(cfg.retrain.gate, confidence=cfg.retrain.rollback_confidence)
    return replace(cfg, retrain=replace(cfg.retrain, gate=gate))


def is_regression(before: Verdict) -> bool:
    """Whether a promotion was a mistake, by the model before judged as if it were the challenger.

    Its lower log loss, beyond doubt, is enough: to rank well and foretell wrongly is a mistake, too.
    """
    return bool(before.checks) and before.checks[0].passed


def _conclude(checks: list[GateCheck]) -> tuple[bool, str]:
    """The decision, and the first thing that speaks against it or else what speaks for it."""
    if failed := next((check for check in checks if check.needed and not check.passed), None):
        return False, f"not shown: {failed.question}"
    merits = [check for check in checks if not check.needed]
    if merits and not any(check.passed for check in merits):
        return False, f"no worse, but not shown: {' or '.join(check.question for check in merits)}"
    return True, "; ".join(check.question for check in (merits or checks[:1]) if check.passed)


def margin(metric: str, rows: int, cfg: GateConfig) -> float:
    """What counts as no worse: wider on few rows, where less would keep out most equals."""
    at_1400 = {"log_loss": cfg.margin_log_loss, "roc_auc": cfg.margin_auc}[metric]
    return at_1400 * max(0.5, float(np.sqrt(ROWS / max(rows, 1))))


@dataclass(frozen=True)
class _Comparison:
    """Values, and values of the resamples, of which a share `outside` lies beyond a bound."""

    values: dict[str, dict[str, float]]
    drawn: dict[str, dict[str, np.ndarray]]
    outside: float

    def gain(self, other: str, metric: str, upper: bool = False) -> tuple[float, float]:
        """The challenger's gain over another, and its one-sided bound; the bound is NaN if it is unknown."""
        sign = GATE_METRICS.get(metric, METRICS["log_loss"]).better  # segments have their log loss
        gain = sign * (self.values[CHALLENGER][metric] - self.values[other][metric])
        gains = sign * (self.drawn[CHALLENGER][metric] - self.drawn[other][metric])
        return float(gain), float(np.quantile(gains, 1 - self.outside if upper else self.outside))

    def no_worse(self, other: str, metric: str, margin: float) -> GateCheck:
        """Non-inferiority."""
        gain, bound = self.gain(other, metric)
        question = f"{GATE_METRICS[metric].label} no worse than the {other}'s"
        return GateCheck(question, gain, bound, -margin, bound > -margin)

    def better(self, metric: str, needed: bool = True) -> GateCheck:
        """Superiority over the champion."""
        gain, bound = self.gain(CHAMPION, metric)
        question = f"{GATE_METRICS[metric].label} better than the champion's"
        return GateCheck(question, gain, bound, 0.0, bound > 0, needed)

    def no_harm(self, segment: str, margin: float) -> GateCheck:
        """Harm is a loss that is beyond doubt, or larger than the margin of a segment of its size."""
        gain, bound = self.gain(CHAMPION, segment, upper=True)
        harmless = bound >= 0 and gain >= -margin
        return GateCheck(f"no harm to {segment}", gain, bound, -margin, harmless)


def bootstrap_metrics(
    fresh: FreshRows, resamples: int, seed: int
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, np.ndarray]]]:
    """Each metric of each model: on the rows as they are, and [resamples] values on shared resamples."""
    measures = {name: _metrics_of(fresh, name) for name in fresh.probability}
    weights = resample_weights(len(fresh.churned), fresh.customers, resamples, seed)
    found = bootstrap(measures, weights)
    values = {
        name: {metric: float(samples[0]) for metric, samples in scores.items()}
        for name, scores in found.items()
    }
    drawn = {
        name: {metric: samples[1:] for metric, samples in scores.items()} for name, scores in found.items()
    }
    return values, drawn


def _metrics_of(fresh: FreshRows, name: str) -> Measure:
    """The metrics of a model, as a function of row weights."""
    ranked = rank_rows(fresh.churned, fresh.probability[name])
    return lambda weights: _weighted_metrics(ranked, fresh, name, weights)


def _weighted_metrics(
    ranked: Ranked, fresh: FreshRows, name: str, weights: np.ndarray
) -> dict[str, np.ndarray]:
    """[B] values of each metric of a model for weights [B, n] of the rows as they stand in `fresh`.

    `calibration` is the part of the log loss that a logistic recalibration would save; segments have their
    log loss under their own name.
    """
    ordered = weights[:, ranked.order]
    log_loss = probability_metrics(ranked, ordered)["log_loss"]
    line = calibration_line(ranked, ordered, ranked.line)
    chance = np.clip(expit(line[:, :1] + line[:, 1:] * ranked.log_odds), EPSILON, 1 - EPSILON)
    possible = -np.log(np.where(ranked.churned == 1, chance, 1 - chance))
    total = weights.sum(axis=1)
    found = {
        "log_loss": log_loss,
        "roc_auc": ranking_metrics(ranked, ordered)["roc_auc"],
        "calibration": log_loss - (ordered * possible).sum(axis=1) / total,
        "profit": weights @ (fresh.brings * fresh.called[name]) / total,
    }
    loss = row_log_loss(fresh.churned, fresh.probability[name])
    for segment, inside in fresh.segments.items():
        found[segment] = weights @ (loss * inside) / np.maximum(weights @ inside.astype(float), 1)
    return found


def row_log_loss(churned: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """[n] log loss of each row, in nats."""
    chance = np.clip(probability, EPSILON, 1 - EPSILON)
    return -np.log(np.where(churned == 1, chance, 1 - chance))
