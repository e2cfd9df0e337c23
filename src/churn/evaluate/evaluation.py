"""The evaluation: each metric on the test part, with its interval, for the model and the baselines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from churn.config.training import EvaluateConfig
from churn.evaluate.bootstrap import Estimate, Measure, bootstrap, resample_weights
from churn.evaluate.metrics import compute_metrics, expected_calibration_error, rank_rows

MODEL, TRUTH = "model", "truth"  # keys of `predictions`: the model, and the truth of synthetic customers


@dataclass(frozen=True)
class Evaluation:
    """The result of `evaluate`, by name of the predictions and then by metric."""

    scores: dict[str, dict[str, Estimate]]
    differences: dict[str, dict[str, Estimate]]  # the model's score minus the other's, on the same resamples

    def to_json(self) -> dict[str, Any]:
        """The sections `test`, `baselines` and, where the truth is known, `best_possible` of metrics.json."""
        compared = {name: self._with_difference(name) for name in self.differences}
        best = {"best_possible": compared.pop(TRUTH)} if TRUTH in compared else {}
        return {"test": _to_json_section(self.scores[MODEL]), "baselines": compared, **best}

    def _with_difference(self, name: str) -> dict[str, Any]:
        difference = _to_json_section(self.differences[name])
        return {k: {**v, "difference": difference[k]} for k, v in _to_json_section(self.scores[name]).items()}


def _to_json_section(estimates: Mapping[str, Estimate]) -> dict[str, dict[str, float | None]]:
    """Estimates for JSON; the calibration error as a value only, because its bootstrap is biased upward."""
    section = {name: estimate.to_json() for name, estimate in estimates.items()}
    section["ece"] = {"value": section["ece"]["value"]}
    return section


def evaluate(
    churned: np.ndarray,
    predictions: Mapping[str, np.ndarray],
    customers: np.ndarray | None,
    cfg: EvaluateConfig,
    seed: int,
) -> Evaluation:
    """Every metric of every prediction, with bootstrap 95 % intervals, and the model's paired differences.

    churned: [n] 1 = left; predictions: [n] probabilities by name, `MODEL` among them; customers: [n] whose
    each row is, None if each row is a customer. All predictions use the same resamples of customers. A
    metric that more than 2.5 % of the resamples leave undefined has no interval.

    >>> evaluate(churned, {"model": probability, "base_rate": rate}, None, EvaluateConfig(), seed=42)
    """
    weights = resample_weights(len(churned), customers, cfg.bootstrap, seed)
    measures = {name: _metrics_of(churned, probability) for name, probability in predictions.items()}
    values = bootstrap(measures, weights)
    for name, probability in predictions.items():
        values[name]["ece"] = np.array([expected_calibration_error(churned, probability)])
    return Evaluation(
        {name: _to_estimates(values[name]) for name in predictions},
        {name: _to_estimates(_differences(values, name)) for name in predictions if name != MODEL},
    )


def _metrics_of(churned: np.ndarray, probability: np.ndarray) -> Measure:
    """The metrics of a prediction, as a function of row weights."""
    ranked = rank_rows(churned, probability)
    return lambda weights: compute_metrics(ranked, weights[:, ranked.order])


def _differences(values: Mapping[str, Mapping[str, np.ndarray]], other: str) -> dict[str, np.ndarray]:
    return {metric: values[MODEL][metric] - values[other][metric] for metric in values[MODEL]}


def _to_estimates(values: Mapping[str, np.ndarray]) -> dict[str, Estimate]:
    return {metric: Estimate.from_resamples(samples) for metric, samples in values.items()}
