"""The numbers of a report: each metric on the test part, with its interval, beside the baselines'."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from churn.config.training import EvaluateConfig
from churn.evaluate.bootstrap import CHUNK_CELLS, Estimate, bootstrap_counts, percentile_interval
from churn.evaluate.metrics import Ranked, compute_metrics, expected_calibration_error, rank_rows

MODEL, TRUTH = "model", "truth"  # keys of `predictions`: ours, and the probabilities that made synthetic data


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found, by name of the predictions and then by metric."""

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
    found = {name: estimate.to_json() for name, estimate in estimates.items()}
    found["ece"] = {"value": found["ece"]["value"]}
    return found


def evaluate(
    churned: np.ndarray,
    predictions: Mapping[str, np.ndarray],
    customers: np.ndarray | None,
    cfg: EvaluateConfig,
    seed: int,
) -> Evaluation:
    """Every metric of every prediction, with bootstrap 95 % intervals, and the model's paired differences.

    churned: [n] 1 = left; predictions: [n] probabilities by name, `MODEL` among them; customers: [n] who each
    row belongs to, None where each row is a customer. Customers are drawn with replacement, the same ones for
    all predictions (Efron's percentile interval). Where more than 2.5 % of the resamples leave a metric
    undefined, its interval is unknown.
    """
    customer = np.arange(len(churned)) if customers is None else np.unique(customers, return_inverse=True)[1]
    ranked = {name: rank_rows(churned, probability, customer) for name, probability in predictions.items()}
    values = {name: _point_values(churned, predictions[name], rows) for name, rows in ranked.items()}
    drawn = resampled_values(ranked, customer.max() + 1, cfg.bootstrap, seed)
    others = [name for name in predictions if name != MODEL]
    return Evaluation(
        {name: _with_intervals(values[name], drawn[name]) for name in predictions},
        {name: _with_intervals(_differences(values, name), _differences(drawn, name)) for name in others},
    )


def _point_values(churned: np.ndarray, probability: np.ndarray, ranked: Ranked) -> dict[str, float]:
    """Each metric on the rows as they are."""
    values = {
        name: float(value[0]) for name, value in compute_metrics(ranked, np.ones((1, len(churned)))).items()
    }
    return values | {"ece": expected_calibration_error(churned, probability)}


def resampled_values(
    ranked: Mapping[str, Ranked], customers: int, resamples: int, seed: int
) -> dict[str, dict[str, np.ndarray]]:
    """[resamples] values of each metric of each prediction, all on the same resamples."""
    widest = max(customers, *(len(rows.churned) for rows in ranked.values()))
    chunks = [
        {name: compute_metrics(rows, counts[:, rows.customer]) for name, rows in ranked.items()}
        for counts in bootstrap_counts(
            customers, resamples, max(1, CHUNK_CELLS // widest), np.random.default_rng(seed)
        )
    ]
    return {
        name: {metric: np.concatenate([chunk[name][metric] for chunk in chunks]) for metric in first}
        for name, first in chunks[0].items()
    }


def _differences(found: Mapping[str, Mapping[str, Any]], other: str) -> dict[str, Any]:
    """Each metric of the model minus that of another."""
    return {metric: found[MODEL][metric] - found[other][metric] for metric in found[MODEL]}


def _with_intervals(values: Mapping[str, float], drawn: Mapping[str, np.ndarray]) -> dict[str, Estimate]:
    """Values with the intervals of what was drawn; the interval of what was not drawn is unknown."""
    return {
        name: Estimate(value, *percentile_interval(drawn.get(name, np.empty(0))))
        for name, value in values.items()
    }
