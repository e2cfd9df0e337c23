"""The gate decides whether the challenger may serve: it compares both models on rows that neither has seen.

Every bound is one-sided. All come from one bootstrap over customers, so that comparisons share its resamples.
Differences are gains: above 0 the challenger is better.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from scipy.special import expit

from churn.bundle.registry import CHALLENGER, CHAMPION, REFERENCE
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

ROWS = 1_400  # fresh rows for which the margins in the configuration are
GATE_METRICS = {
    "log_loss": METRICS["log_loss"],
    "roc_auc": METRICS["roc_auc"],
    "calibration": Metric("calibration", "log loss that a recalibration would save; less is better", 4, -1),
    "profit": Metric("profit", "per customer, in the currency of the decision", 4, 1),
}


@dataclass(frozen=True)
class FreshRows:
    """Labelled rows, with each model's probabilities and decisions."""

    churned: np.ndarray  # [n] 1 = left
    probability: Mapping[str, np.ndarray]  # [n] by CHAMPION, CHALLENGER and, where there is one, REFERENCE
    called: Mapping[str, np.ndarray]  # [n] bool, by the same names: whether the model calls the customer
    brings: np.ndarray  # [n] profit of calling each customer
    customers: np.ndarray | None = None  # [n] the customer of each row; None: each row is one
    segments: Mapping[str, np.ndarray] = field(default_factory=dict)  # [n] bool by name


@dataclass(frozen=True)
class GateCheck:
    """One requirement of the challenger."""

    question: str
    gain: float
    bound: float  # one-sided bound of the gain: the lower one; the upper one for a segment
    least: float  # what the bound must exceed; for a segment, the least allowed gain
    passed: bool
    needed: bool = True  # for a promotion; of the checks that are not needed, one must pass


@dataclass(frozen=True)
class Verdict:
    """The decision with its evidence."""

    promote: bool
    reason: str
    rows: int
    scores: dict[str, dict[str, float]]  # metrics on the fresh rows, by model
    checks: list[GateCheck]
    models: dict[str, str] = field(default_factory=dict)  # which version each is, in words

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def judge_challenger(fresh: FreshRows, alarmed: bool, cfg: GateConfig, seed: int) -> Verdict:
    """Decide whether the challenger replaces the champion.

    After an alarm it must be no worse (in log loss and AUC, by the margin) and better calibrated or more
    profitable. Without an alarm its log loss must be lower and its AUC no worse. "Better" needs more
    confidence than "no worse": equal models are hardly ever exchanged. It must never be worse than the
    reference by the margin, because small losses of many promotions would add up, nor harm a segment. Too few
    rows give no promotion.

    >>> verdict = judge_challenger(fresh, alarmed=True, cfg=GateConfig(), seed=0)
    >>> verdict.promote, verdict.reason
    """
    n, churners = len(fresh.churned), int(fresh.churned.sum())
    if are_too_few(n, churners, cfg):
        too_few = f"{n:,} fresh rows with {churners:,} churners are too few to tell"
        return Verdict(False, too_few, n, {}, [])
    values, drawn = bootstrap_metrics(fresh, cfg.bootstrap, seed)
    compare, strict = (_Comparison(values, drawn, 1 - one) for one in (cfg.confidence, cfg.superiority))
    margins = {metric: margin(metric, n, cfg) for metric in ("log_loss", "roc_auc")}
    checks = [compare.no_worse(CHAMPION, metric, allowed) for metric, allowed in margins.items()]
    if alarmed:
        checks += [strict.better(metric, needed=False) for metric in ("calibration", "profit")]
    else:
        checks[0] = strict.better("log_loss")
    if REFERENCE in fresh.probability:
        checks += [compare.no_worse(REFERENCE, metric, allowed) for metric, allowed in margins.items()]
    outside = (1 - cfg.confidence) / max(1, len(fresh.segments))  # Bonferroni: each of them can stop it
    by_segment = _Comparison(values, drawn, outside)
    for name, inside in fresh.segments.items():
        checks.append(by_segment.no_harm(name, margin("log_loss", int(inside.sum()), cfg)))
    return Verdict(*_conclude(checks), n, values, checks)


def are_too_few(rows: int, churners: int, cfg: GateConfig) -> bool:
    """Whether fresh rows, with so many churners among them, allow no verdict."""
    return rows < cfg.min_rows or min(churners, rows - churners) < cfg.min_churners


def rollback_config(cfg: Config) -> Config:
    """The configuration with the confidence that a rollback needs in its gate."""
    strict = cfg.retrain.rollback_confidence
    gate = replace(cfg.retrain.gate, confidence=strict, superiority=strict)
    return replace(cfg, retrain=replace(cfg.retrain, gate=gate))


def is_regression(before: Verdict) -> bool:
    """Whether a promotion was a mistake.

    `before`: the verdict without an alarm on the previous model as the challenger. Its significantly lower
    log loss is enough, whatever its AUC: a model that ranks well with wrong probabilities is a mistake, too.
    """
    return bool(before.checks) and before.checks[0].passed


def _conclude(checks: list[GateCheck]) -> tuple[bool, str]:
    """Whether to promote, and the reason: the first check that failed, or those that speak for it."""
    if failed := next((check for check in checks if check.needed and not check.passed), None):
        return False, f"not shown: {failed.question}"
    merits = [check for check in checks if not check.needed]
    if merits and not any(check.passed for check in merits):
        return False, f"no worse, but not shown: {' or '.join(check.question for check in merits)}"
    return True, "; ".join(check.question for check in (merits or checks[:1]) if check.passed)


def margin(metric: str, rows: int, cfg: GateConfig) -> float:
    """The largest loss that counts as no worse.

    It is wider on few rows, where most equal models would fail otherwise: it shrinks with the root of the
    number of rows, down to half of the configured margin.
    """
    at_1400 = {"log_loss": cfg.margin_log_loss, "roc_auc": cfg.margin_auc}[metric]
    return at_1400 * max(0.5, float(np.sqrt(ROWS / max(rows, 1))))


@dataclass(frozen=True)
class _Comparison:
    """Metrics on the rows and on the resamples; a share `outside` of the resamples lies beyond a bound."""

    values: dict[str, dict[str, float]]
    drawn: dict[str, dict[str, np.ndarray]]
    outside: float

    def gain(self, other: str, metric: str, upper: bool = False) -> tuple[float, float]:
        """The challenger's gain over another model, and its one-sided bound."""
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
        """No significant loss, and no loss larger than the margin for a segment of this size."""
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
    """[B] values of each metric of a model, for weights [B, n] of the rows in the order of `fresh`.

    `calibration` is the part of the log loss that a logistic recalibration would save. The log loss of a
    segment has the segment's name.
    """
    ordered = weights[:, ranked.order]
    log_loss = probability_metrics(ranked, ordered)["log_loss"]
    line = calibration_line(ranked, ordered, ranked.line)
    chance = np.clip(expit(line[:, :1] + line[:, 1:] * ranked.log_odds), EPSILON, 1 - EPSILON)
    recalibrated = -np.log(np.where(ranked.churned == 1, chance, 1 - chance))
    total = weights.sum(axis=1)
    metrics = {
        "log_loss": log_loss,
        "roc_auc": ranking_metrics(ranked, ordered)["roc_auc"],
        "calibration": log_loss - (ordered * recalibrated).sum(axis=1) / total,
        "profit": weights @ (fresh.brings * fresh.called[name]) / total,
    }
    loss = row_log_loss(fresh.churned, fresh.probability[name])
    for segment, inside in fresh.segments.items():
        metrics[segment] = weights @ (loss * inside) / np.maximum(weights @ inside.astype(float), 1)
    return metrics


def row_log_loss(churned: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """[n] log loss (nats) of each row."""
    chance = np.clip(probability, EPSILON, 1 - EPSILON)
    return -np.log(np.where(churned == 1, chance, 1 - chance))
