"""Numbers in words: what an evaluation means to someone who has to decide."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from churn.bundle.decision import NOBODY
from churn.config.training import DecisionConfig
from churn.evaluate.bootstrap import Estimate
from churn.evaluate.evaluation import MODEL, TRUTH, Evaluation
from churn.evaluate.profit import Sensitivity

NAMES = {
    MODEL: "this network",
    "boosting": "gradient boosting",
    "logistic_regression": "logistic regression",
    "tutorial": "the tutorial's network",
    "base_rate": "base rate",
    TRUTH: "best possible",
}
RIVALS = ("boosting", "logistic_regression")  # what the network has to be better than
DECISIVE = {"roc_auc": "ROC AUC", "log_loss": "log loss"}  # for its order, and for its probabilities
MARKS = {"better": "▲", "worse": "▼", "alike": "≈", "": ""}
ANSWERS = {  # whether the network earns its place: the first that holds for a rival
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
NOISE = 1e-12  # differences this small are those of floating-point sums


@dataclass(frozen=True)
class Metric:
    """How to show and read a metric."""

    label: str
    meaning: str
    digits: int
    better: int  # 1: more is better, -1: less is better, 0: there is a right value
    percent: bool = False


METRICS = {
    "roc_auc": Metric("ROC AUC", "chance that a churner ranks above a stayer", 4, 1),
    "average_precision": Metric("Average precision", "precision over all thresholds", 4, 1),
    "lift_at_10": Metric("Lift in the top 10 %", "times as many churners as by chance", 2, 1),
    "captured_at_10": Metric("Churners in the top 10 %", "share of all churners", 1, 1, percent=True),
    "log_loss": Metric("Log loss", "nats per customer; less is better", 4, -1),
    "brier": Metric("Brier score", "mean squared error; less is better", 4, -1),
    "calibration_slope": Metric("Calibration slope", "1 is right; below 1: too extreme", 2, 0),
    "calibration_intercept": Metric("Calibration intercept", "0 is right; above 0: too low", 2, 0),
    "ece": Metric("Calibration error", "15 bins; biased upward, so without interval", 4, -1),
}


@dataclass(frozen=True)
class Statement:
    """One of the sentences at the top of the page."""

    number: str  # in large type
    text: str
    detail: str


def display_name(name: str) -> str:
    """What readers call a prediction."""
    return NAMES.get(name, name.replace("_", " "))


def shown(metric: Metric, value: float, sign: bool = False) -> str:
    """A value of the metric, with its digits; a dash where it is undefined."""
    if np.isnan(value):
        return "–"
    rounded = round(value * (100 if metric.percent else 1), metric.digits) + 0.0  # no −0.0
    text = f"{rounded:{'+' if sign else ''}.{metric.digits}f}".replace("-", "−")
    return text + (" %" if metric.percent else "")


def interval(metric: Metric, estimate: Estimate, sign: bool = False) -> str:
    """`low … high`, or nothing where it is unknown."""
    if np.isnan(estimate.low):
        return ""
    return f"{shown(metric, estimate.low, sign)} … {shown(metric, estimate.high, sign)}"


def compare_estimate(metric: Metric, difference: Estimate) -> str:
    """Whether ours is "better" or "worse" than theirs, "alike" where the interval spans 0, "" if unknown."""
    if not metric.better or np.isnan(difference.low):
        return ""
    if difference.low < NOISE and difference.high > -NOISE:
        return "alike"
    return "better" if difference.value * metric.better > 0 else "worse"


def statements(evaluation: Evaluation, rows: int) -> list[Statement]:
    """What the evaluation on so many test rows means, most useful first."""
    return [_top_tenth(evaluation), _ranking(evaluation), _calibration(evaluation, rows)]


def _top_tenth(evaluation: Evaluation) -> Statement:
    """What a call to the riskiest tenth brings."""
    captured, lift = (evaluation.scores[MODEL][name] for name in ("captured_at_10", "lift_at_10"))
    return Statement(
        f"{100 * captured.value:.0f} %",
        "of those who leave are reached by calling the 10 % most at risk: "
        f"{lift.value:.1f} times as many as by calling at random.",
        f"95 % interval {interval(METRICS['captured_at_10'], captured)}",
    )


def _ranking(evaluation: Evaluation) -> Statement:
    """How well it ranks, and how well anything could."""
    auc = evaluation.scores[MODEL]["roc_auc"]
    share = f"{100 * auc.value:.0f} %"
    text = f"ROC AUC: in {share} of pairs of one who left and one who stayed, the former ranks higher."
    if TRUTH in evaluation.scores:
        best = evaluation.scores[TRUTH]["roc_auc"].value
        text += (
            f" The known probabilities of these synthetic customers reach {best:.3f}: only luck does better."
        )
    return Statement(f"{auc.value:.3f}", text, f"95 % interval {interval(METRICS['roc_auc'], auc)}")


def _calibration(evaluation: Evaluation, rows: int) -> Statement:
    """Whether the probabilities mean what they say."""
    slope, shift = (evaluation.scores[MODEL][f"calibration_{name}"] for name in ("slope", "intercept"))
    faults = {
        "too extreme": slope.high < 1,
        "too cautious": slope.low > 1,
        "on the whole too low": shift.low > 0,
        "on the whole too high": shift.high < 0,
    }
    found = [fault for fault, there in faults.items() if there]
    if found:
        text = f"Calibration slope (1 is right): the probabilities are {' and '.join(found)}."
    elif np.isnan([slope.low, shift.low]).any():
        text = (
            f"Calibration slope: {rows:,} customers are too few to tell whether the probabilities are right."
        )
    else:
        text = f"Calibration slope (1 is right): as far as {rows:,} customers can tell, 30 % means 30 %."
    return Statement(
        shown(METRICS["calibration_slope"], slope.value),
        text,
        f"95 % interval {interval(METRICS['calibration_slope'], slope) or 'unknown'}; calibration intercept "
        f"(0 is right) {interval(METRICS['calibration_intercept'], shift) or 'unknown'}",
    )


def verdict(evaluation: Evaluation) -> tuple[str, list[str]]:
    """Whether the network earns its place beside simpler models, and the numbers by rival; "" if alone."""
    found = {rival: _compare(evaluation, rival) for rival in RIVALS if rival in evaluation.differences}
    numbers = [
        f"{display_name(rival)}: "
        + ", ".join(_by_metric(name, evaluation.differences[rival][name]) for name in DECISIVE)
        for rival in found
    ]
    for result, answer in ANSWERS.items():
        if rivals := [display_name(rival) for rival in found if found[rival] == result]:
            return f"{answer} {' and '.join(rivals)}", numbers
    return "", []


def _compare(evaluation: Evaluation, rival: str) -> str:
    """How ours stands against a rival on ranking and probability together, a key of `ANSWERS`."""
    found = {compare_estimate(METRICS[name], evaluation.differences[rival][name]) for name in DECISIVE}
    if found >= {"better", "worse"}:
        return "mixed"
    return next((result for result in ("better", "worse") if result in found), "alike")


def _by_metric(name: str, difference: Estimate) -> str:
    """A paired difference in words."""
    metric = METRICS[name]
    spread = interval(metric, difference, sign=True) or "unknown"
    return f"{DECISIVE[name]} {shown(metric, difference.value, sign=True)} (95 % interval {spread})"


def money(value: float) -> str:
    """A profit per customer, told per 1,000 customers: three digits, or whole units from 100 on."""
    if np.isnan(value):
        return "–"
    amount = 1_000 * value
    text = f"{amount:,.0f}" if abs(amount) >= 100 else f"{amount:.3g}"
    return text.replace("-", "−") if amount else "0"


def money_interval(estimate: Estimate) -> str:
    """`low … high`, or nothing where it is unknown."""
    if np.isnan(estimate.low) or estimate.low == estimate.high:
        return ""
    return f"{money(estimate.low)} … {money(estimate.high)}"


def worth(assumed: DecisionConfig) -> str:
    """What a customer is worth."""
    if assumed.value_column is None:
        return f"{assumed.customer_value:,g}"
    times = "" if assumed.value_factor == 1 else f" × {assumed.value_factor:,g}"
    return f"their own {assumed.value_column}{times}"


def assumption(changed: Sensitivity, assumed: DecisionConfig) -> str:
    """Another truth, beside what was assumed."""
    key, own = changed.assumption, changed.assumption == "customer_value" and assumed.value_column
    believed = assumed.value_factor if own else getattr(assumed, key)
    name = f"{assumed.value_column} ×" if own else ASSUMED[key]
    if key == "success":
        return f"{name} {100 * changed.value:.0f} %, not {100 * believed:.0f} %"
    return f"{name} {changed.value:,g}, not {believed:,g}"


def limit(threshold: float) -> str:
    """A threshold in words."""
    return "nobody" if threshold >= NOBODY else f"from {threshold:.3f}"
