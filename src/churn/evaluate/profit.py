"""What the decision earns on the test part, beside other decisions and under other assumptions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import beta
from sklearn.isotonic import IsotonicRegression

from churn.bundle.decision import call_gain, choose_threshold, customer_values, expected_profit
from churn.config.training import DecisionConfig, EvaluateConfig
from churn.evaluate.bootstrap import CHUNK_CELLS, Estimate, bootstrap_counts, percentile_interval

SHARES = np.linspace(0, 1, 51)  # of the customers called, at which the curve is drawn
TUTORIAL = 0.5  # the article's threshold
ASSUMPTIONS = ("customer_value", "contact_cost", "offer_cost", "success")
FACTORS = (0.5, 2.0)


@dataclass(frozen=True)
class Outcome:
    """Customers of one part of the split: what was foretold, and what they did."""

    frame: pd.DataFrame  # features as in `Dataset.frame`
    churned: np.ndarray  # [n] 1 = left
    probability: np.ndarray  # [n]
    ids: np.ndarray | None = None  # [n] the customer of each row, None where each row is one


@dataclass(frozen=True)
class Curve:
    """Profit per customer, called or not, by the share called, best first, with its 95 % interval."""

    share: np.ndarray  # [G]
    profit: np.ndarray  # [G]
    low: np.ndarray  # [G]
    high: np.ndarray  # [G]


@dataclass(frozen=True)
class Strategy:
    """A way to choose whom to call."""

    name: str
    called: float  # share of the customers
    profit: Estimate  # per customer
    difference: Estimate  # to the chosen threshold's profit, on the same resamples


@dataclass(frozen=True)
class Sensitivity:
    """What it would have cost to be wrong in one assumption."""

    assumption: str  # a key of `DecisionConfig`
    value: float  # what it would be in truth; a factor where each customer has a value of their own
    threshold: float  # what we would have chosen, had we known
    profit: float  # per customer, of the threshold chosen
    attainable: float  # per customer, of the threshold that we would have chosen


@dataclass(frozen=True)
class Profit:
    """The decision section of the report; money per customer of the test part."""

    threshold: float
    curve: Curve
    rules: list[Strategy]  # the chosen one first
    sensitivity: list[Sensitivity]
    expected_maximum: float  # where the offer's success is uncertain, over its distribution (EMP)
    expected_share: float  # share of the customers called to reach it

    def to_json(self) -> dict[str, Any]:
        """The section `profit` of metrics.json; money per customer."""
        return {
            "threshold": self.threshold,
            "rules": [
                {"name": rule.name, "called": rule.called, "profit": rule.profit.to_json()}
                for rule in self.rules
            ],
            "sensitivity": [vars(one) for one in self.sensitivity],
            "expected_maximum": self.expected_maximum,
            "expected_share": self.expected_share,
        }


def measure_profit(
    test: Outcome,
    calibration: Outcome,
    chosen: float,
    cfg: DecisionConfig,
    evaluate: EvaluateConfig,
    seed: int,
) -> Profit:
    """What the threshold `chosen` earns on the test part; the calibration part chose it."""
    value = customer_values(test.frame, cfg)
    rules = {
        f"probability at least {chosen:.3f} (chosen)": test.probability >= chosen,
        "nobody": np.zeros(len(value), bool),
        "everyone": np.ones(len(value), bool),
        f"probability at least {TUTORIAL} (the tutorial's)": test.probability >= TUTORIAL,
    }
    expected = expected_profit(test.probability, value, cfg)
    if cfg.value_column is not None:
        rules["each by their own value, as churn score does"] = expected > 0
    order = np.argsort(-expected, kind="stable")
    curves, profits = _bootstrap_profit(
        test, order, np.stack(list(rules.values()), axis=1), cfg, evaluate.bootstrap, seed
    )
    low, high = np.quantile(curves[1:], [0.025, 0.975], axis=0)
    emp, share = expected_maximum_profit(test.churned, test.probability, cfg, value.mean())
    return Profit(
        threshold=chosen,
        curve=Curve(SHARES, curves[0], low, high),
        rules=[
            Strategy(
                name, float(called.mean()), _estimate(profits[:, i]), _estimate(profits[:, i] - profits[:, 0])
            )
            for i, (name, called) in enumerate(rules.items())
        ],
        sensitivity=[
            _sensitivity_to(test, calibration, chosen, cfg, key, by) for key in ASSUMPTIONS for by in FACTORS
        ],
        expected_maximum=emp,
        expected_share=share,
    )


def _bootstrap_profit(
    test: Outcome, order: np.ndarray, called: np.ndarray, cfg: DecisionConfig, resamples: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Curves [1 + B, G] and profits of rules [1 + B, R]: of the rows as they are, then of each resample."""
    n = len(test.churned)
    brings = call_gain(test.churned, customer_values(test.frame, cfg), cfg)
    customer = np.arange(n) if test.ids is None else np.unique(test.ids, return_inverse=True)[1]
    random, customers = np.random.default_rng(seed), customer.max() + 1
    curves: list[np.ndarray] = []
    profits: list[np.ndarray] = []

    def add(weights: np.ndarray) -> None:
        total = weights.sum(axis=1, keepdims=True)
        profits.append(weights @ (brings[:, None] * called) / total)
        ordered = weights[:, order] / total
        reached = np.pad(ordered.cumsum(axis=1), ((0, 0), (1, 0)))
        earned = np.pad((ordered * brings[order]).cumsum(axis=1), ((0, 0), (1, 0)))
        curves.extend(np.interp(SHARES, x, y) for x, y in zip(reached, earned, strict=True))

    add(np.ones((1, n)))
    for counts in bootstrap_counts(customers, resamples, max(1, CHUNK_CELLS // max(n, customers)), random):
        add(counts[:, customer])
    return np.array(curves), np.concatenate(profits)


def _estimate(values_of: np.ndarray) -> Estimate:
    """The first value with the interval of the others, which are resamples."""
    return Estimate(float(values_of[0]), *percentile_interval(values_of[1:]))


def _sensitivity_to(
    test: Outcome, calibration: Outcome, chosen: float, cfg: DecisionConfig, key: str, factor: float
) -> Sensitivity:
    """The test part under an assumption that is `factor` times what we thought."""
    truth = {key: getattr(cfg, key) * factor}
    if key == "success":
        truth[key] = min(truth[key], 0.99)
    elif key == "customer_value":
        truth["value_factor"] = cfg.value_factor * factor
    other = replace(cfg, **truth, threshold=None, top_share=None)
    known = choose_threshold(
        other, calibration.churned, calibration.probability, customer_values(calibration.frame, other)
    )
    brings = call_gain(test.churned, customer_values(test.frame, other), other)
    earned = [float(np.mean(brings * (test.probability >= limit))) for limit in (chosen, known)]
    told = truth["value_factor"] if key == "customer_value" and cfg.value_column else truth[key]
    return Sensitivity(key, told, known, *earned)


def expected_maximum_profit(
    churned: np.ndarray, probability: np.ndarray, cfg: DecisionConfig, value: float
) -> tuple[float, float]:
    """Profit per customer and share called where each success rate gets the threshold that suits it best.

    The rate is distributed as Beta(success * evidence, (1 - success) * evidence); the best thresholds are the
    corners of the convex hull of the ROC curve. Source: Verbraken, Verbeke and Baesens 2013, equation 14.
    """
    hull = IsotonicRegression(increasing=True).fit_transform(probability, churned)  # churn rate by segment
    rate, rows = np.unique(-hull, return_counts=True)
    rate = -rate  # falling
    churners = np.append(0, np.cumsum(rate * rows)) / len(churned)
    called = np.append(0, np.cumsum(rows)) / len(churned)
    a, b = cfg.success * cfg.success_evidence, (1 - cfg.success) * cfg.success_evidence
    wasted, worth = cfg.offer_cost + cfg.contact_cost, value - cfg.offer_cost
    if worth <= 0:
        return 0.0, 0.0
    # the success rate from which calling one segment more pays
    with np.errstate(divide="ignore"):
        pays = ((1 - rate) / rate * wasted + cfg.contact_cost) / worth
    edges = np.clip(np.concatenate([[0], pays, [1]]), 0, 1)
    chance = np.diff(beta.cdf(edges, a, b))
    mean_part = np.diff(beta.cdf(edges, a + 1, b)) * a / (a + b)  # integral of the rate over its density
    profit = (
        churners * (worth * mean_part - cfg.contact_cost * chance) - (called - churners) * wasted * chance
    )
    return float(profit.sum()), float(called @ chance)
