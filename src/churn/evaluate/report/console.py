"""What `churn train` says on the terminal about the data and the result."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from churn.data.experiment import Experiment
from churn.evaluate.bootstrap import Estimate
from churn.evaluate.evaluation import MODEL, Evaluation

SHOWN = {
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "log_loss": "log loss",
    "lift_at_10": "lift at 10 %",
}
NAMES = {
    MODEL: "this model",
    "tutorial": "tutorial's network",
    "boosting": "gradient boosting",
    "logistic_regression": "logistic regression",
    "base_rate": "base rate",
    "truth": "best possible",
}


def describe_data(experiment: Experiment) -> str:
    """The table in a line or two, roles to copy if they were inferred, and what one must know about it."""
    data, cfg = experiment.data, experiment.cfg.data
    sizes = ", ".join(f"{rows:,} {name}" for name, rows in experiment.splits.sizes().items())
    lines = [f"{data.origin}: {len(data):,} rows, {data.churned.mean():.1%} churned ({sizes})"]
    lines += [f"  {note}" for note in data.notes]
    if not (cfg.target and (cfg.numeric or cfg.categorical)):
        roles = data.schema.to_yaml().rstrip().replace("\n", "\n  ")
        lines += [f"Roles as they were inferred, to be copied into configs/data/{data.name}.yaml:\n  {roles}"]
    lines += [f"! {finding.title}\n    {finding.evidence}\n    {finding.advice}" for finding in data.findings]
    return "\n".join(lines)


def summarize_run(evaluation: Evaluation, run: Path, registered: str) -> str:
    """The main numbers beside the baselines', and where to look."""
    header = f"{'':20}" + "".join(f"{title:>27}" for title in SHOWN.values())
    rows = [
        f"{name:20}" + "".join(f"{_format_estimate(evaluation.scores[key][metric]):>27}" for metric in SHOWN)
        for key, name in NAMES.items()
        if key in evaluation.scores
    ]
    place = f"\nReport: {run / 'report.html'}\nBundle: {run / 'bundle'}  (registered as {registered})"
    return "\n".join(["", "On the test part, with 95 % intervals:", header, *rows, place])


def _format_estimate(estimate: Estimate) -> str:
    """A number with its interval."""
    if np.isnan(estimate.low):
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"
