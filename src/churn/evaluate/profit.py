"""The profit of the decision on the test part, beside other strategies and under other assumptions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import beta
from sklearn.isotonic import IsotonicRegression

from churn.bundle.decision import call_gain, choose_threshold, customer_values, expected_profit
from churn.config.training import DecisionConfig, EvaluateConfig
from churn.evaluate.bootstrap import Estimate, resample_weights

SHARES = np.linspace(0, 1, 51)  # of the customers called: the points of the curve
TUTORIAL = 0.5  # the article's threshold
ASSUMPTIONS = ("customer_value", "contact_cost", "offer_cost", "success")
FACTORS = (0.5, 2.0)
FREE = 1e-9  # money: calls that cost nothing are weighed as if they cost this


@dataclass(frozen=True)
class Outcome:
    """Customers of one part of the split: their predictions, and whether they left."""

    frame: pd.DataFrame  # features as in `Dataset.frame`
    churned: np.ndarray  # [n] 1 = left
    probability: np.ndarray  # [n]
    ids: np.ndarray | None = None  # [n] the customer of each row; None: each row is a customer


@dataclass(frozen=True)
class Curve:
    """Profit per customer, called or not, by the share called, with its 95 % interval."""

    share: np.ndarray  # [G] of the customers, most profitable first
    profit: np.ndarray  # [G]
    low: np.ndarray  # [G]
    high: np.ndarray  # [G]


@dataclass(frozen=True)
class Strategy:
    """A way to choose whom to call."""

    name: str
    called: float  # share of the customers
    profit: Estimate  # per customer
    difference: Estimate  # its profit minus that of the chosen threshold, on the same resamples


@dataclass(frozen=True)
class Sensitivity:
    """The cost of a wrong assumption."""

    assumption: str  # a key of `DecisionConfig`
    value: float  # its true value; a factor if each customer has a value of their own
    threshold: float  # the choice with the true value
    profit: float  # per customer, of the threshold chosen
    attainable: float  # per customer, of `threshold`


@dataclass(frozen=True)
class Profit:
    """The decision section of the report; money per customer of the test part."""

    threshold: float
    curve: Curve
    strategies: list[Strategy]  # the chosen threshold first
    sensitivity: list[Sensitivity]
    expected_maximum: float  # EMP: the maximum, averaged over the distribution of the offer's success
    expected_share: float  # share of the customers called to reach it

    def to_json(self) -> dict[str, Any]:
        """The section `profit` of metrics.json; money per customer."""
        return {
            "threshold": self.threshold,
            "rules": [
                {"name": strategy.name, "called": strategy.called, "profit": strategy.profit.to_json()}
                for strategy in self.strategies
            ],
            "sensitivity": [vars(case) for case in self.sensitivity],
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
    """The profit of the threshold `chosen` on the test part, with bootstrap 95 % intervals.

    `calibration` are the rows that chose the threshold; under other assumptions they choose another one.

    >>> measure_profit(test, calibration, 0.2, cfg.decision, cfg.evaluate, cfg.seed).strategies[0].profit
    """
    value = customer_values(test.frame, cfg)
    expected = expected_profit(test.probability, value, cfg)
    called = _strategies(test.probability, expected, chosen, cfg)
    curves, profits = _bootstrap_profit(
        test, expected, np.stack(list(called.values()), axis=1), cfg, evaluate.bootstrap, seed
    )
    low, high = np.quantile(curves[1:], [0.025, 0.975], axis=0)
    maximum, share = expected_maximum_profit(test.churned, test.probability, cfg, value)
    return Profit(
        threshold=chosen,
        curve=Curve(SHARES, curves[0], low, high),
        strategies=[
            Strategy(
                name,
                float(called[name].mean()),
                Estimate.from_resamples(profit),
                Estimate.from_resamples(profit - profits[:, 0]),
            )
            for name, profit in zip(called, profits.T, strict=True)
        ],
        sensitivity=[
            _sensitivity_to(test, calibration, chosen, cfg, key, factor)
            for key in ASSUMPTIONS
            if _assumed(key, cfg)  # twice nothing is nothing
            for factor in FACTORS
        ],
        expected_maximum=maximum,
        expected_share=share,
    )


def _strategies(
    probability: np.ndarray, expected: np.ndarray, chosen: float, cfg: DecisionConfig
) -> dict[str, np.ndarray]:
    """[n] whether each strategy calls the customer, by its name for people; the chosen threshold first."""
    strategies = {
        f"probability at least {chosen:.3f} (chosen)": probability >= chosen,
        "nobody": np.zeros(len(probability), bool),
        "everyone": np.ones(len(probability), bool),
        f"probability at least {TUTORIAL} (whatever a call costs)": probability >= TUTORIAL,
    }
    if cfg.value_column is not None:
        fixed = cfg.threshold is not None or cfg.top_share is not None
        strategies["each by their own value" + ", as churn score does" * (not fixed)] = expected > 0
    return strategies


def _bootstrap_profit(
    test: Outcome, expected: np.ndarray, called: np.ndarray, cfg: DecisionConfig, resamples: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Curves [1 + B, G] and profits [1 + B, S] of the strategies: of the rows, then of their resamples.

    Customers of equal expected profit are called in any order: the curve is straight between the first and
    the last of them.
    """
    order = np.argsort(-expected, kind="stable")
    ends = np.append(0, 1 + np.flatnonzero(np.diff(-expected[order], append=np.inf)))
    gain = call_gain(test.churned, customer_values(test.frame, cfg), cfg)
    curves: list[np.ndarray] = []
    profits: list[np.ndarray] = []
    for weights in resample_weights(len(gain), test.ids, resamples, seed):
        total = weights.sum(axis=1, keepdims=True)
        profits.append(weights @ (gain[:, None] * called) / total)
        ordered = weights[:, order] / total
        reached = np.pad(ordered.cumsum(axis=1), ((0, 0), (1, 0)))
        earned = np.pad((ordered * gain[order]).cumsum(axis=1), ((0, 0), (1, 0)))
        curves.extend(np.interp(SHARES, x, y) for x, y in zip(reached[:, ends], earned[:, ends], strict=True))
    return np.array(curves), np.concatenate(profits)


def _assumed(key: str, cfg: DecisionConfig) -> float:
    """What is assumed; of the customers' own values, their factor."""
    own = key == "customer_value" and cfg.value_column is not None
    return cfg.value_factor if own else float(getattr(cfg, key))


def _sensitivity_to(
    test: Outcome, calibration: Outcome, chosen: float, cfg: DecisionConfig, key: str, factor: float
) -> Sensitivity:
    """The case that the true value of an assumption is `factor` times the assumed one."""
    truth = {key: getattr(cfg, key) * factor}
    if key == "success":
        truth[key] = min(truth[key], 0.99)
    elif key == "customer_value":
        truth["value_factor"] = cfg.value_factor * factor
    true_cfg = replace(cfg, **truth, threshold=None, top_share=None)
    values = customer_values(calibration.frame, true_cfg)
    better = choose_threshold(true_cfg, calibration.churned, calibration.probability, values)
    gain = call_gain(test.churned, customer_values(test.frame, true_cfg), true_cfg)
    profits = [float(np.mean(gain * (test.probability >= threshold))) for threshold in (chosen, better)]
    value = truth["value_factor"] if key == "customer_value" and cfg.value_column else truth[key]
    return Sensitivity(key, value, better, *profits)


def expected_maximum_profit(
    churned: np.ndarray, probability: np.ndarray, cfg: DecisionConfig, value: np.ndarray
) -> tuple[float, float]:
    """Profit per customer, and share called, if each success rate of the offer had its own best threshold.

    The rate is distributed as Beta(success * evidence, (1 - success) * evidence); the best thresholds are the
    corners of the convex hull of the ROC curve, here with the value [n] of each customer. Source: Verbraken,
    Verbeke and Baesens 2013, equation 14.
    """
    gain = np.where(churned == 1, value - cfg.offer_cost, 0.0)  # of a call, times the success rate
    cost = np.where(churned == 1, cfg.contact_cost, cfg.contact_cost + cfg.offer_cost)
    weight, probability = np.maximum(cost, FREE), probability.astype(float)
    hull = IsotonicRegression().fit_transform(probability, gain / weight, sample_weight=weight)
    _, segment, rows = np.unique(-hull, return_inverse=True, return_counts=True)  # most gain per cost first
    gains, costs = np.bincount(segment, gain), np.bincount(segment, cost)
    # the success rate from which it pays to call one segment more
    pays = np.where((gains == 0) & (costs == 0), 0.0, 1.0)
    np.divide(costs, gains, out=pays, where=gains > 0)
    edges = np.clip(np.concatenate([[0], pays, [1]]), 0, 1)
    a, b = cfg.success * cfg.success_evidence, (1 - cfg.success) * cfg.success_evidence
    chance = np.diff(beta.cdf(edges, a, b))
    mean_part = np.diff(beta.cdf(edges, a + 1, b)) * a / (a + b)  # integral of the rate over its density
    gained, spent, called = (np.append(0, np.cumsum(each)) for each in (gains, costs, rows))
    profit = gained @ mean_part - spent @ chance
    return float(profit / len(churned)), float(called @ chance / len(churned))
