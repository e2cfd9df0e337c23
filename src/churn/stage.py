"""`churn train`: the pipeline and its helper, who imports the libraries beside this process."""

from __future__ import annotations

import os

from churn.config.root import Config
from churn.parallel import LAZY, WorkerProcess


def train(cfg: Config) -> float:
    """Run the pipeline; gives the log loss of held-out rows, for sweeps."""
    several = (os.cpu_count() or 1) > 1
    with WorkerProcess("churn.evaluate.baselines") if several else LAZY as helper:
        from churn import pipeline

        return pipeline.run(cfg, helper)
