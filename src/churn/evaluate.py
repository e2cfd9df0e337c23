"""The numbers of a report: each metric on the test part, with its interval, beside the baselines'."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from churn.config import EvaluateConfig
from churn.metrics import Ranked, expected_calibration_error, metrics, rank

MODEL, TRUTH = "model", "truth"  # keys of `predictions`: ours, and the probabilities that made synthetic data
OUTSIDE = 0.025  # share of the resamples beyond each end of an interval
CELLS = 200_000  # weights in memory at a time: 1.6 MB, which stays in a processor's cache


@dataclass(frozen=True)
class Estimate:
    """A number from a sample with its 95 % interval; NaN where it is undefined or unknown."""

    value: float
    low: float
    high: float

    @property
    def negative(self) -> Estimate:
        """The estimate of the negative."""
        return Estimate(-self.value, -self.high, -self.low)

    def to_json(self) -> dict[str, float | None]:
        """The three numbers, null for NaN."""
        return {name: None if np.isnan(number) else float(number) for name, number in vars(self).items()}


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found, by name of the predictions and then by metric."""

    scores: dict[str, dict[str, Estimate]]
    differences: dict[str, dict[str, Estimate]]  # the model's score minus the other's, on the same resamples

    def to_json(self) -> dict[str, Any]:
        """The sections `test`, `baselines` and, where the truth is known, `best_possible` of metrics.json."""
        compared = {name: self._with_difference(name) for name in self.differences}
        best = {"best_possible": compared.pop(TRUTH)} if TRUTH in compared else {}
        return {"test": section(self.scores[MODEL]), "baselines": compared, **best}

    def _with_difference(self, name: str) -> dict[str, Any]:
        difference = section(self.differences[name])
        return {k: {**v, "difference": difference[k]} for k, v in section(self.scores[name]).items()}


def section(estimates: Mapping[str, Estimate]) -> dict[str, dict[str, float | None]]:
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
    ranked = {name: rank(churned, probability, customer) for name, probability in predictions.items()}
    values = {name: point_values(churned, predictions[name], rows) for name, rows in ranked.items()}
    drawn = resampled_values(ranked, customer.max() + 1, cfg.bootstrap, seed)
    others = [name for name in predictions if name != MODEL]
    return Evaluation(
        {name: estimates(values[name], drawn[name]) for name in predictions},
        {name: estimates(minus(values, name), minus(drawn, name)) for name in others},
    )


def point_values(churned: np.ndarray, probability: np.ndarray, ranked: Ranked) -> dict[str, float]:
    """Each metric on the rows as they are."""
    values = {name: float(value[0]) for name, value in metrics(ranked, np.ones((1, len(churned)))).items()}
    return values | {"ece": expected_calibration_error(churned, probability)}


def resampled_values(
    ranked: Mapping[str, Ranked], customers: int, resamples: int, seed: int
) -> dict[str, dict[str, np.ndarray]]:
    """[resamples] values of each metric of each prediction, all on the same resamples."""
    widest = max(customers, *(len(rows.churned) for rows in ranked.values()))
    chunks = [
        {name: metrics(rows, counts[:, rows.customer]) for name, rows in ranked.items()}
        for counts in draws(customers, resamples, max(1, CELLS // widest), np.random.default_rng(seed))
    ]
    return {
        name: {metric: np.concatenate([chunk[name][metric] for chunk in chunks]) for metric in first}
        for name, first in chunks[0].items()
    }


def minus(found: Mapping[str, Mapping[str, Any]], other: str) -> dict[str, Any]:
    """Each metric of the model minus that of another."""
    return {metric: found[MODEL][metric] - found[other][metric] for metric in found[MODEL]}


def estimates(values: Mapping[str, float], drawn: Mapping[str, np.ndarray]) -> dict[str, Estimate]:
    """Values with the intervals of what was drawn; the interval of what was not drawn is unknown."""
    return {name: Estimate(value, *interval(drawn.get(name, np.empty(0)))) for name, value in values.items()}


def draws(customers: int, resamples: int, size: int, random: np.random.Generator) -> Iterator[np.ndarray]:
    """Chunks [<= size, customers] of how often each customer is in each resample."""
    for first in range(0, resamples, size):
        rows = min(size, resamples - first)
        drawn = random.integers(customers, size=(rows, customers)) + customers * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * customers).reshape(rows, customers).astype(float)


def interval(values: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of the resamples' values; NaN, NaN where too many are undefined to tell."""
    known = values[np.isfinite(values)]
    if len(known) == 0 or len(known) < (1 - OUTSIDE) * len(values):
        return np.nan, np.nan
    low, high = np.quantile(known, [OUTSIDE, 1 - OUTSIDE])
    return float(low), float(high)
