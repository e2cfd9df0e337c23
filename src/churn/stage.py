"""`churn train`: start the worker process, then run the pipeline."""

from __future__ import annotations

import os
from importlib.util import find_spec

from churn.config.root import Config
from churn.errors import missing_extra
from churn.parallel import LAZY, WorkerProcess


def train(cfg: Config) -> float:
    """Run the pipeline; gives the log loss of the held-out rows, for sweeps."""
    if find_spec("tensorflow") is None:
        raise missing_extra("tensorflow", "train")
    several_cores = (os.cpu_count() or 1) > 1
    # The worker starts first: it imports its libraries while this process imports the pipeline's.
    with WorkerProcess("churn.evaluate.baselines") if several_cores else LAZY as worker:
        from churn import pipeline

        return pipeline.run(cfg, worker)
