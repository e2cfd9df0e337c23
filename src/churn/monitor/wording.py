"""The monitor's results in words, for the terminal and for the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from churn.errors import count
from churn.monitor.drift.alarm import TOO_FEW_ROWS
from churn.monitor.performance import LEAST, LEAST_EACH

SCORE = "churn probability"


def summarize_report(report: dict[str, Any], folder: Path) -> str:
    """The lines that `churn monitor` prints: what changed, and how good the predictions are."""
    lines = [
        f"{report['status'].upper()}: {report['rows']:,} predictions, "
        f"{report['from'][:16]} to {report['until'][:16]}"
    ]
    if report["other_bundles"]:
        lines.append(f"  {report['other_bundles']:,} answers of other bundles are left out")
    if report["repeated"]:
        lines.append(f"  {report['repeated']:,} further requests about the same customers are left out")
    lines += [f"  {note}" for note in report["notes"]]
    if report["status"] == TOO_FEW_ROWS:
        lines.append("  too few for a verdict (monitor.min_rows)")
    for name, drift in {**report["features"], SCORE: report["score"]}.items():
        if drift and drift["status"] != "ok":
            lines.append(f"  {drift['status']:8}{name}: {describe_change(drift)}")
    joint = report["together"]
    if joint and joint["status"] != "ok":
        text = f"a classifier distinguishes them from training with AUC {joint['auc']:.2f}"
        lines.append(f"  {joint['status']:8}all features together: {text}")
    if report["performance"]:
        lines.append(f"  {_describe_performance(report['performance'])}")
    lines += [f"  {text}" for text in describe_outcomes(report)]
    return "\n".join([*lines, f"Page: {folder / 'report.html'}"])


def _describe_performance(measured: dict[str, Any]) -> str:
    auc, worse = measured["roc_auc"], measured["worse_in"]
    change = f"worse in {', '.join(worse)}" if worse else "no worse than in the test"
    change = change if measured["comparable"] else "not compared with the test"
    interval = f"({auc['low']:.3f} to {auc['high']:.3f})"
    return f"{measured['rows']:,} settled: ROC AUC {auc['value']:.3f} {interval}, {change}"


def describe_outcomes(report: dict[str, Any]) -> list[str]:
    """When outcomes are known, which of them are not, and what they are too few for; empty without labels."""
    labels = report["labels"]
    if labels is None:
        return []
    lines = describe_labels(labels)
    if labels["settled"] and not report["performance"]:
        settled, left = count(labels["settled"], "settled prediction"), f"{labels['left']:,} of them left"
        least = f"{LEAST}, and {LEAST_EACH} who left and stayed each"
        reach = "monitor.label_days says how old they may be"
        lines.append(f"{settled}, {left}: too few to measure the performance ({least}, not called; {reach})")
    if report["performance"] and not report["performance"]["comparable"]:
        lines.append("not compared with the test: too few control customers stand for those who were called")
    return lines


def describe_labels(labels: dict[str, Any]) -> list[str]:
    """When an outcome is known, and which predictions the labels say nothing about yet."""
    if labels["closed_until"] is None:
        named = "the labels name nobody who stayed until now (monitor.until, retrain.now)"
        return [f"{named}, so that no outcome window is closed"]
    lines = [f"an outcome is known {count(labels['horizon'], 'day')} after a prediction (data.horizon)"]
    if labels["open"]:
        until = labels["closed_until"][:16]
        verb = "wait" if labels["open"] > 1 else "waits"
        waiting = f"{count(labels['open'], 'prediction')} {verb}"
        lines.append(f"{waiting}: the labels reach to {until}, the outcome windows further")
    if labels["unlabelled"]:
        lines.append(f"{count(labels['unlabelled'], 'prediction')} with a closed window, but without a label")
    return lines


def describe_change(drift: dict[str, Any], means: bool = True) -> str:
    """How a feature, or the score, changed; with its means, if they are not said elsewhere."""
    parts = []
    before, after = drift["missing"]
    if abs(after - before) > 0.005:
        parts.append(f"missing {_percent(before)} → {_percent(after)}")
    if drift["unseen"]:
        parts.append(f"unseen levels {_percent(drift['unseen'])}")
    if drift["outside"] > 0.001:
        parts.append(f"out of range {_percent(drift['outside'])}")
    moved = f"moved by {drift['shift']:.2f} sd".replace("-", "−") if drift["shift"] else ""
    if means and (both := describe_means(drift)):
        parts.append(f"mean {both}")
    if moved:
        parts.append(moved)
    parts.append(f"PSI {max(drift['psi'], 0):.3f}, Jensen–Shannon {drift['jensen_shannon']:.2f}")
    parts.append(f"mean probability {100 * drift['probability']:+.1f} points".replace("-", "−"))
    return ", ".join(parts)


def describe_means(drift: dict[str, Any]) -> str:
    """The mean of a number in training and in the window, in the unit of the column; "" if unknown.

    >>> describe_means({"spread": {"means": [66.71, 87.42]}})
    "66.7 → 87.4"
    """
    spread = drift.get("spread") or {}
    means = spread.get("means")
    if means is None:
        return ""
    largest = max(map(abs, means))
    digits = 0 if largest >= 1_000 else 1 if largest >= 10 else 2
    return " → ".join(f"{mean:,.{digits}f}" for mean in means).replace("-", "−") + spread.get("unit", "")


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
