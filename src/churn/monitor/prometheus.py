"""The newest report as gauges, in a text file that the node exporter of Prometheus collects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from churn.monitor.drift.alarm import STATUSES

GAUGES = {
    "churn_monitor_status": "0 ok, 1 warning, 2 alarm, -1 too few rows",
    "churn_monitor_rows": "Predictions in the window",
    "churn_monitor_run_timestamp_seconds": "When the monitor ran",
    "churn_drift_status": "0 ok, 1 warning, 2 alarm, by feature; churn_probability is the prediction",
    "churn_drift_psi": "Population stability index since training less its bias, by feature",
    "churn_drift_jensen_shannon": "Jensen-Shannon distance to the base 2 since training, by feature",
    "churn_drift_missing_ratio": "Share of missing values, by feature",
    "churn_drift_unseen_ratio": "Share of unseen levels, by feature",
    "churn_drift_outside_ratio": "Share of numbers outside the range of training, by feature",
    "churn_drift_profit": "Expected profit per customer that the change brings, by feature",
    "churn_drift_classifier_auc": "AUC of a classifier that distinguishes the window from training",
    "churn_performance": "Metrics of predictions whose outcome is known, by metric",
    "churn_performance_rows": "Predictions whose outcome is known",
    "churn_performance_worse": "1 if a metric is significantly worse than in the test",
    "churn_expected_performance": "Expected metrics if the probabilities are calibrated, by metric",
}
DRIFTS: dict[str, Callable[[dict[str, Any]], float]] = {
    "churn_drift_status": lambda drift: STATUSES.index(drift["status"]),
    "churn_drift_psi": lambda drift: drift["psi"],
    "churn_drift_jensen_shannon": lambda drift: drift["jensen_shannon"],
    "churn_drift_missing_ratio": lambda drift: drift["missing"][1],
    "churn_drift_unseen_ratio": lambda drift: drift["unseen"],
    "churn_drift_outside_ratio": lambda drift: drift["outside"],
    "churn_drift_profit": lambda drift: drift["profit"],
}


def write_gauges(path: Path, name: str, report: dict[str, Any]) -> None:
    """Write the gauges of a report, labelled with the data set `name`; the file appears whole."""
    registry, gauges = CollectorRegistry(), dict[str, Gauge]()
    for gauge, labels, value in _values(report):
        if gauge not in gauges:
            gauges[gauge] = Gauge(gauge, GAUGES[gauge], ["model", *labels], registry=registry)
        gauges[gauge].labels(model=name, **labels).set(value)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_to_textfile(str(path), registry)


def _values(report: dict[str, Any]) -> Iterator[tuple[str, dict[str, str], float]]:
    """The name, the further labels and the value of each gauge."""
    yield "churn_monitor_status", {}, STATUSES.index(report["status"]) if report["status"] in STATUSES else -1
    yield "churn_monitor_rows", {}, report["rows"]
    yield "churn_monitor_run_timestamp_seconds", {}, datetime.fromisoformat(report["time"]).timestamp()
    drifts = {**report["features"], **({"churn_probability": report["score"]} if report["score"] else {})}
    for gauge, value_of in DRIFTS.items():
        for feature, drift in drifts.items():
            yield gauge, {"feature": feature}, value_of(drift)
    if report["together"]:
        yield "churn_drift_classifier_auc", {}, report["together"]["auc"]
    if measured := report["performance"]:
        for metric in measured["change"] or ("roc_auc", "log_loss"):
            yield "churn_performance", {"metric": metric}, measured[metric]["value"]
        yield "churn_performance_rows", {}, measured["rows"]
        yield "churn_performance_worse", {}, measured["worse"]
    for metric, value in report["expected"].items():
        yield "churn_expected_performance", {"metric": metric}, value
