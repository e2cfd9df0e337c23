"""The newest report as gauges, in the text format that Prometheus' node exporter collects from files."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from churn.files import atomic_write
from churn.monitor.drift.compare import STATUSES

GAUGES = {
    "churn_monitor_status": "0 ok, 1 warning, 2 alarm, -1 too few rows",
    "churn_monitor_rows": "Predictions in the window",
    "churn_monitor_run_timestamp_seconds": "When the window was looked at",
    "churn_drift_status": "0 ok, 1 warning, 2 alarm, by feature; churn_probability is the score",
    "churn_drift_psi": "Population stability index since training less its bias, by feature",
    "churn_drift_jensen_shannon": "Jensen-Shannon distance to the base 2 since training, by feature",
    "churn_drift_missing_ratio": "Share of missing values, by feature",
    "churn_drift_unseen_ratio": "Share of unseen levels, by feature",
    "churn_drift_outside_ratio": "Share of numbers outside the range of training, by feature",
    "churn_drift_profit": "Expected profit per customer that the change brings, by feature",
    "churn_drift_classifier_auc": "How well a classifier tells the window from training",
    "churn_performance": "Metrics of predictions whose outcome is known, by metric",
    "churn_performance_rows": "Predictions whose outcome is known",
    "churn_performance_worse": "1 if performance dropped beyond doubt",
    "churn_expected_performance": "What calibrated probabilities promise, by metric",
}


def write_gauges(path: Path, name: str, report: dict[str, Any]) -> None:
    """Write the gauges of the data set `name`; the file appears whole, as the exporter needs it."""
    lines: list[str] = []
    told = ""
    for gauge, labels, value in _values(report):
        if gauge != told:
            lines += [f"# HELP {gauge} {GAUGES[gauge]}", f"# TYPE {gauge} gauge"]
            told = gauge
        pairs = ",".join(f'{key}="{_escaped(text)}"' for key, text in {"model": name, **labels}.items())
        lines.append(f"{gauge}{{{pairs}}} {float(value):.10g}")
    with atomic_write(path) as aside:
        aside.write_text("\n".join(lines) + "\n")


def _values(report: dict[str, Any]) -> Iterator[tuple[str, dict[str, str], float]]:
    """Each gauge with its labels and value, those of one name together."""
    yield "churn_monitor_status", {}, STATUSES.index(report["status"]) if report["status"] in STATUSES else -1
    yield "churn_monitor_rows", {}, report["rows"]
    yield "churn_monitor_run_timestamp_seconds", {}, datetime.fromisoformat(report["time"]).timestamp()
    drifts = {**report["features"], **({"churn_probability": report["score"]} if report["score"] else {})}
    for gauge, of in (
        ("churn_drift_status", lambda one: STATUSES.index(one["status"])),
        ("churn_drift_psi", lambda one: one["psi"]),
        ("churn_drift_jensen_shannon", lambda one: one["jensen_shannon"]),
        ("churn_drift_missing_ratio", lambda one: one["missing"][1]),
        ("churn_drift_unseen_ratio", lambda one: one["unseen"]),
        ("churn_drift_outside_ratio", lambda one: one["outside"]),
        ("churn_drift_profit", lambda one: one["profit"]),
    ):
        for feature, one in drifts.items():
            yield gauge, {"feature": feature}, of(one)
    if report["together"]:
        yield "churn_drift_classifier_auc", {}, report["together"]["auc"]
    if measured := report["performance"]:
        for metric in measured["change"] or ("roc_auc", "log_loss"):
            yield "churn_performance", {"metric": metric}, measured[metric]["value"]
        yield "churn_performance_rows", {}, measured["rows"]
        yield "churn_performance_worse", {}, measured["worse"]
    for metric, value in report["expected"].items():
        yield "churn_expected_performance", {"metric": metric}, value


def _escaped(text: str) -> str:
    """A label's value."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
