"""What our network is compared with: predictions of the test part by what else one would use."""

from __future__ import annotations

import numpy as np

from churn import baselines
from churn.config import Config, ModelName, tutorial
from churn.schema import Dataset
from churn.split import Splits
from churn.train import train


def predict(data: Dataset, parts: Splits, cfg: Config) -> dict[str, np.ndarray]:
    """[n] probabilities of the test rows by name: the baselines', and the tutorial's if it is not ours."""
    train_rows, validation_rows, (test, _) = (
        (data.frame.iloc[part], data.churned[part]) for part in (parts.train, parts.validation, parts.test)
    )
    fitted = baselines.fit(*train_rows, *validation_rows, data.schema, cfg.seed)
    predictions = {name: of(test) for name, of in fitted.items()}
    if cfg.model.name != ModelName.tutorial:
        predictions["tutorial"] = train(data, parts, tutorial(cfg), quiet=True).predict(test)
    return predictions
