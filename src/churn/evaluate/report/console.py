"""What `churn train` prints about the data and the result."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from churn.data.dataset import Finding
from churn.data.experiment import Experiment
from churn.evaluate.bootstrap import Estimate
from churn.evaluate.evaluation import Evaluation
from churn.evaluate.report.wording import NAMES

LABELS = {  # short enough for a terminal
    "roc_auc": "ROC AUC",
    "average_precision": "avg. precision",
    "log_loss": "log loss",
    "lift_at_10": "lift, top 10 %",
}
SHOWN = ("roc_auc", "average_precision", "log_loss", "lift_at_10")


def describe_data(experiment: Experiment) -> str:
    """The table in a line or two, the inferred roles as YAML to copy, and the findings."""
    data, cfg = experiment.data, experiment.cfg.data
    sizes = ", ".join(f"{rows:,} {name}" for name, rows in experiment.splits.sizes().items())
    lines = [f"{data.origin}: {len(data):,} rows, {data.churned.mean():.1%} churned ({sizes})"]
    lines += [f"  {note}" for note in data.notes]
    if not (cfg.target and (cfg.numeric or cfg.categorical)):
        roles = data.schema.to_yaml().rstrip().replace("\n", "\n  ")
        lines += [f"Inferred roles, to be copied into configs/data/{data.name}.yaml:\n  {roles}"]
    return "\n".join([*lines, *map(describe_finding, data.findings)])


def describe_finding(finding: Finding) -> str:
    """A finding in three lines."""
    return f"! {finding.title}\n    {finding.evidence}\n    {finding.advice}"


def summarize_run(evaluation: Evaluation, run: Path, registered: str = "") -> str:
    """The main metrics of the network and the baselines, on 80 columns, and where report and bundle are."""
    header = _line("", [LABELS[metric] for metric in SHOWN])
    rows = []
    for name, label in NAMES.items():
        if name in evaluation.scores:
            estimates = [evaluation.scores[name][metric] for metric in SHOWN]
            rows.append(_line(label, [f"{estimate.value:.3f}" for estimate in estimates]))
            if not all(np.isnan(estimate.low) for estimate in estimates):
                rows.append(_line("", list(map(_format_interval, estimates))))
    files = f"\nReport: {run / 'report.html'}\nBundle: {run / 'bundle'}"
    files += f"  (registered as {registered})" if registered else ""
    return "\n".join(["", "On the test part, with 95 % intervals:", header, *rows, files])


def _line(label: str, cells: list[str]) -> str:
    return (f"{label:20}" + "".join(f"{cell:>15}" for cell in cells)).rstrip()


def _format_interval(estimate: Estimate) -> str:
    return "" if np.isnan(estimate.low) else f"{estimate.low:.3f}–{estimate.high:.3f}"
