"""Numbers in words: what an evaluation means for a decision."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from churn.bundle.decision import NOBODY
from churn.bundle.money import format_amount
from churn.config.training import DecisionConfig
from churn.evaluate.bootstrap import Estimate
from churn.evaluate.evaluation import MODEL, TRUTH, Evaluation
from churn.evaluate.metrics import METRICS, Metric
from churn.evaluate.profit import Profit, Sensitivity

NAMES = {
    MODEL: "this network",
    "boosting": "gradient boosting",
    "logistic_regression": "logistic regression",
    "tutorial": "plain dense network",
    "base_rate": "base rate",
    TRUTH: "best possible",
}
RIVALS = ("boosting", "logistic_regression")  # the network has to be better than these
DECISIVE = ("roc_auc", "log_loss")  # one for the order, one for the probabilities
MARKS = {"better": "▲", "worse": "▼", "alike": "≈", "": ""}
ANSWERS = {  # whether the network is worth its cost: the first that is true of a rival
    "worse": "No: worse than",
    "mixed": "Undecided: in one way better and in another worse than",
    "alike": "Undecided: not distinguishable from",
    "better": "Yes: better than",
}
ASSUMED = {
    "customer_value": "a customer's worth is",
    "contact_cost": "a call costs",
    "offer_cost": "the offer costs",
    "success": "the offer keeps",
}
NOISE = 1e-12  # smaller differences come from floating-point sums


@dataclass(frozen=True)
class Statement:
    """One of the sentences at the top of the page."""

    number: str  # in large type
    text: str
    detail: str


def display_name(name: str) -> str:
    """The name of a prediction for people.

    >>> display_name("boosting")
    'gradient boosting'
    """
    return NAMES.get(name, name.replace("_", " "))


def format_value(metric: Metric, value: float, sign: bool = False) -> str:
    """A value of the metric with its number of digits; a dash for NaN.

    >>> format_value(METRICS["roc_auc"], 0.85)
    '0.8500'
    """
    if np.isnan(value):
        return "–"
    rounded = round(value * (100 if metric.percent else 1), metric.digits) + 0.0  # no −0.0
    text = f"{rounded:{'+' if sign else ''}.{metric.digits}f}".replace("-", "−")
    return text + (" %" if metric.percent else "")


def format_interval(metric: Metric, estimate: Estimate, sign: bool = False) -> str:
    """`low … high`, or an empty text if the interval is unknown."""
    if np.isnan(estimate.low):
        return ""
    return f"{format_value(metric, estimate.low, sign)} … {format_value(metric, estimate.high, sign)}"


def compare_estimate(metric: Metric, difference: Estimate) -> str:
    """Whether the network is "better" or "worse"; "alike" if the interval spans 0; "" if that is unknown."""
    if not metric.better or np.isnan(difference.low):
        return ""
    if difference.low < NOISE and difference.high > -NOISE:
        return "alike"
    return "better" if difference.value * metric.better > 0 else "worse"


def statements(evaluation: Evaluation, rows: int) -> list[Statement]:
    """The main results on `rows` test rows, most useful first."""
    return [_top_tenth(evaluation), _ranking(evaluation), _calibration(evaluation, rows)]


def money_statement(profit: Profit, cfg: DecisionConfig) -> Statement:
    """What the decision earns, and what calling everybody would."""
    chosen, everyone = profit.strategies[0], next(s for s in profit.strategies if s.name == "everyone")

    def amount(value: float) -> str:
        return format_amount(1_000 * value, cfg.currency)

    text = (
        f"is what calling {100 * chosen.called:.0f} % of 1,000 customers earns at the assumed costs; "
        f"calling all of them: {amount(everyone.profit.value)}."
    )
    low, high = chosen.profit.low, chosen.profit.high
    detail = "" if np.isnan(low) else f"95 % interval {amount(low)} … {amount(high)}"
    unit = "" if cfg.currency else "; the currency is that of the assumptions (decision.currency)"
    return Statement(amount(chosen.profit.value), text, detail + unit)


def confusion(churned: np.ndarray, called: np.ndarray) -> list[tuple[str, int, int]]:
    """For those who left and those who stayed: how many were called, and how many not.

    >>> confusion(np.array([1, 0]), np.array([True, False]))
    [('left', 1, 0), ('stayed', 0, 1)]
    """
    rows = (("left", churned == 1), ("stayed", churned == 0))
    return [(name, int((group & called).sum()), int((group & ~called).sum())) for name, group in rows]


def _top_tenth(evaluation: Evaluation) -> Statement:
    captured, lift = (evaluation.scores[MODEL][name] for name in ("captured_at_10", "lift_at_10"))
    return Statement(
        f"{100 * captured.value:.0f} %",
        "of the churners are reached by calling the 10 % of the customers who are most at risk: "
        f"{lift.value:.1f} times as many as by calling at random.",
        f"95 % interval {format_interval(METRICS['captured_at_10'], captured)}",
    )


def _ranking(evaluation: Evaluation) -> Statement:
    auc = evaluation.scores[MODEL]["roc_auc"]
    share = f"{100 * auc.value:.0f} %"
    text = f"ROC AUC: in {share} of the pairs of a churner and a stayer, the churner ranks higher."
    if TRUTH in evaluation.scores:
        best = evaluation.scores[TRUTH]["roc_auc"].value
        text += f" The true probabilities of these synthetic customers reach {best:.3f}: more is luck."
    return Statement(f"{auc.value:.3f}", text, f"95 % interval {format_interval(METRICS['roc_auc'], auc)}")


def _calibration(evaluation: Evaluation, rows: int) -> Statement:
    slope, shift = (evaluation.scores[MODEL][f"calibration_{name}"] for name in ("slope", "intercept"))
    possible = {
        "too extreme": slope.high < 1,
        "too cautious": slope.low > 1,
        "on the whole too low": shift.low > 0,
        "on the whole too high": shift.high < 0,
    }
    faults = [fault for fault, shown in possible.items() if shown]
    if faults:
        text = f"Calibration slope (1 is right): the probabilities are {' and '.join(faults)}."
    elif np.isnan([slope.low, shift.low]).any():
        text = f"Calibration slope: {rows:,} rows are too few to tell whether the probabilities are right."
    else:
        text = f"Calibration slope (1 is right): as far as {rows:,} rows can tell, 30 % means 30 %."
    intervals = [
        format_interval(METRICS[f"calibration_{name}"], estimate) or "unknown"
        for name, estimate in (("slope", slope), ("intercept", shift))
    ]
    return Statement(
        format_value(METRICS["calibration_slope"], slope.value),
        text,
        f"95 % interval {intervals[0]}; calibration intercept (0 is right) {intervals[1]}",
    )


def verdict(evaluation: Evaluation) -> tuple[str, list[str]]:
    """Whether the network is better than its rivals, and the numbers by rival; "" without rivals."""
    results = {rival: _compare(evaluation, rival) for rival in RIVALS if rival in evaluation.differences}
    numbers = [
        f"{display_name(rival)}: "
        + ", ".join(_describe_difference(name, evaluation.differences[rival][name]) for name in DECISIVE)
        for rival in results
    ]
    for result, answer in ANSWERS.items():
        if rivals := [display_name(rival) for rival in results if results[rival] == result]:
            return f"{answer} {' and '.join(rivals)}", numbers
    return "", []


def _compare(evaluation: Evaluation, rival: str) -> str:
    """The network beside a rival, by order and probabilities together: a key of `ANSWERS`."""
    results = {compare_estimate(METRICS[name], evaluation.differences[rival][name]) for name in DECISIVE}
    if results >= {"better", "worse"}:
        return "mixed"
    return next((result for result in ("better", "worse") if result in results), "alike")


def _describe_difference(name: str, difference: Estimate) -> str:
    metric = METRICS[name]
    interval = format_interval(metric, difference, sign=True) or "unknown"
    return f"{metric.label} {format_value(metric, difference.value, sign=True)} (95 % interval {interval})"


def format_money(value: float) -> str:
    """A profit per customer as profit per 1,000 customers: three digits, or whole units from 100 on."""
    if np.isnan(value):
        return "–"
    amount = 1_000 * value
    text = f"{amount:,.0f}" if abs(amount) >= 100 else f"{amount:.3g}"
    return text.replace("-", "−") if amount else "0"


def format_money_interval(estimate: Estimate) -> str:
    """`low … high` per 1,000 customers, or an empty text if the interval is unknown or empty."""
    if np.isnan(estimate.low) or estimate.low == estimate.high:
        return ""
    return f"{format_money(estimate.low)} … {format_money(estimate.high)}"


def describe_customer_value(cfg: DecisionConfig) -> str:
    """What a customer is worth."""
    if cfg.value_column is None:
        return f"{cfg.customer_value:,g}"
    times = "" if cfg.value_factor == 1 else f" × {cfg.value_factor:,g}"
    return f"their own {cfg.value_column}{times}"


def describe_assumption(case: Sensitivity, cfg: DecisionConfig) -> str:
    """The true value of an assumption, beside the assumed one."""
    key, own = case.assumption, case.assumption == "customer_value" and cfg.value_column
    assumed = cfg.value_factor if own else getattr(cfg, key)
    name = f"{cfg.value_column} ×" if own else ASSUMED[key]
    if key == "success":
        return f"{name} {100 * case.value:.0f} %, not {100 * assumed:.0f} %"
    return f"{name} {case.value:,g}, not {assumed:,g}"


def describe_threshold(threshold: float) -> str:
    """A threshold in words."""
    return "nobody" if threshold >= NOBODY else f"from {threshold:.3f}"
