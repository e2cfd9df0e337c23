"""What `churn train` prints about the data and the result."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from churn.data.dataset import Finding
from churn.data.experiment import Experiment
from churn.evaluate.bootstrap import Estimate
from churn.evaluate.evaluation import Evaluation
from churn.evaluate.metrics import METRICS
from churn.evaluate.report.wording import NAMES

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


def summarize_run(evaluation: Evaluation, run: Path, registered: str) -> str:
    """The main metrics of the network and the baselines, and where report and bundle are."""
    header = f"{'':24}" + "".join(f"{METRICS[metric].label:>27}" for metric in SHOWN)
    rows = [
        f"{label:24}"
        + "".join(f"{_format_estimate(evaluation.scores[name][metric]):>27}" for metric in SHOWN)
        for name, label in NAMES.items()
        if name in evaluation.scores
    ]
    files = f"\nReport: {run / 'report.html'}\nBundle: {run / 'bundle'}  (registered as {registered})"
    return "\n".join(["", "On the test part, with 95 % intervals:", header, *rows, files])


def _format_estimate(estimate: Estimate) -> str:
    if np.isnan(estimate.low):
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"
