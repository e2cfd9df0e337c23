"""Which columns the model leans on: what is lost when one of them is shuffled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pandas as pd
from sklearn.metrics import log_loss, roc_auc_score

from churn.config.training import EvaluateConfig
from churn.evaluate.bootstrap import Estimate

ROWS = 200_000  # rows that are predicted at a time, at least one shuffle


@dataclass(frozen=True)
class Importance:
    """What shuffling one feature costs: the mean over the shuffles, with the least and the most of them."""

    feature: str
    roc_auc: Estimate  # AUC lost
    log_loss: Estimate  # log loss gained, in nats


def permutation_importance(
    predict: Callable[[pd.DataFrame], np.ndarray],
    frame: pd.DataFrame,
    churned: np.ndarray,
    cfg: EvaluateConfig,
    seed: int,
) -> list[Importance]:
    """Permutation importance of each feature on the rows of `frame`, greatest loss of AUC first.

    A feature whose content another one repeats has little importance, however telling both are.
    Source: Breiman 2001, Random Forests; Fisher, Rudin and Dominici 2019 for any model.
    """
    shuffles = shuffle_columns(frame, cfg.importance_repeats, np.random.default_rng(seed))
    at_once = max(1, ROWS // len(frame))
    batches = iter(lambda: list(islice(shuffles, at_once)), [])
    probability = np.concatenate([predict(pd.concat(batch)) for batch in batches])
    before = predict(frame)
    auc, loss = roc_auc_score(churned, before), log_loss(churned, before)

    def cost(name: str, after: np.ndarray) -> Importance:
        lost = [auc - roc_auc_score(churned, one) for one in after]
        gained = [log_loss(churned, one) - loss for one in after]
        return Importance(name, _mean_and_range(lost), _mean_and_range(gained))

    by_feature = probability.reshape(len(frame.columns), cfg.importance_repeats, len(frame))
    found = map(cost, frame.columns, by_feature)
    return sorted(found, key=lambda one: -one.roc_auc.value)


def shuffle_columns(frame: pd.DataFrame, repeats: int, random: np.random.Generator) -> Iterator[pd.DataFrame]:
    """The frame with its first column shuffled, `repeats` times over, then with its second, and so on."""
    for name in frame.columns:
        for _ in range(repeats):
            copy = frame.copy()
            copy[name] = frame[name].array.take(random.permutation(len(frame)))
            yield copy


def _mean_and_range(values: list[float]) -> Estimate:
    """Mean, least and most."""
    return Estimate(float(np.mean(values)), min(values), max(values))
