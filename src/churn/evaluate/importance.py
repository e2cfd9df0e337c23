"""Permutation importance: what the model loses when one column is shuffled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pandas as pd
from sklearn.metrics import log_loss, roc_auc_score

from churn.config.training import EvaluateConfig
from churn.data.dataset import Finding
from churn.errors import shell_override
from churn.evaluate.bootstrap import Estimate

GOOD_AUC = 0.9  # ROC AUC from which one asks: with one honest main cause it was .75 to .85, with a leak 1.00
NEARLY_ALL = 0.75  # share of what the model has above 0.5 that one column may carry without a finding
ROWS = 200_000  # rows that are predicted at a time, at least one shuffle


@dataclass(frozen=True)
class Importance:
    """The cost of shuffling one feature: the mean over the shuffles, with the least and the largest cost."""

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
    """The importance of each feature on the rows of `frame`, largest loss of AUC first.

    Features with the same content share their importance, so that each seems to have little.
    Source: Breiman 2001, Random Forests; Fisher, Rudin and Dominici 2019 for any model.

    >>> permutation_importance(trained.predict, test.frame, test.churned, EvaluateConfig(), seed=42)
    """
    shuffles = shuffle_columns(frame, cfg.importance_repeats, np.random.default_rng(seed))
    at_once = max(1, ROWS // len(frame))
    batches = iter(lambda: list(islice(shuffles, at_once)), [])
    probability = np.concatenate([predict(pd.concat(batch)) for batch in batches])
    before = predict(frame)
    auc, loss = roc_auc_score(churned, before), log_loss(churned, before)

    def cost(name: str, shuffled: np.ndarray) -> Importance:
        lost = [auc - roc_auc_score(churned, after) for after in shuffled]
        gained = [log_loss(churned, after) - loss for after in shuffled]
        return Importance(name, _mean_and_range(lost), _mean_and_range(gained))

    by_feature = probability.reshape(len(frame.columns), cfg.importance_repeats, len(frame))
    costs = map(cost, frame.columns, by_feature)
    return sorted(costs, key=lambda importance: -importance.roc_auc.value)


def find_dominant_feature(importance: Sequence[Importance], roc_auc: float) -> tuple[Finding, ...]:
    """A finding if one column carries nearly everything that a good model knows; `roc_auc` is the model's.

    Such a column is the best there is, or it was filled in after the customer had left.
    """
    if not importance or roc_auc < GOOD_AUC:
        return ()
    first = importance[0]
    if first.roc_auc.value < NEARLY_ALL * (roc_auc - 0.5):
        return ()
    return (
        Finding(
            f"column '{first.feature}' carries nearly everything that the model knows",
            f"ROC AUC {roc_auc:.3f}, and {roc_auc - first.roc_auc.value:.3f} if this column is shuffled",
            f"if it is known only for customers who left: {shell_override('data.drop', first.feature)}",
        ),
    )


def shuffle_columns(frame: pd.DataFrame, repeats: int, random: np.random.Generator) -> Iterator[pd.DataFrame]:
    """Copies of the frame with one column shuffled: `repeats` copies for each column in turn."""
    for name in frame.columns:
        for _ in range(repeats):
            copy = frame.copy()
            copy[name] = frame[name].array.take(random.permutation(len(frame)))
            yield copy


def _mean_and_range(values: list[float]) -> Estimate:
    return Estimate(float(np.mean(values)), min(values), max(values))
