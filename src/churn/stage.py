"""`churn train`: the pipeline and its helper, who imports the libraries beside this process."""

from __future__ import annotations

import os

from churn.config import Config
from churn.helper import LATER, Helper


def train(cfg: Config) -> float:
    """Run the pipeline; gives the log loss of held-out rows, for sweeps."""
    several = (os.cpu_count() or 1) > 1
    with Helper("churn.peers") if several else LATER as helper:
        from churn import pipeline

        return pipeline.run(cfg, helper)
