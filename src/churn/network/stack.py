"""Stack boosted trees and network: one log-odds, a weighted sum of theirs.

The weights are at least 0 and fitted on out-of-fold log-odds. Source: Breiman 1996, Stacked Regressions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from churn.network.crossfit import CrossfitPlan

STRENGTH = 2.0  # of the pull towards equal weights, as a multiple of the squared distance


@dataclass(frozen=True)
class Stack:
    """The weights of the trees of each depth and of the network, and an intercept in log-odds."""

    trees: tuple[float, ...] = ()
    network: float = 1.0
    intercept: float = 0.0

    def __call__(self, trees: Sequence[np.ndarray], network: np.ndarray) -> np.ndarray:
        """[n] log-odds from those of the trees of each depth, [n] each, and of the network [n]."""
        weighted = [weight * log_odds for weight, log_odds in zip(self.trees, trees, strict=True)]
        return sum(weighted, self.network * network + self.intercept)


NETWORK_ALONE = Stack()


def fit_stack(trees: Sequence[np.ndarray], network: np.ndarray, churned: np.ndarray) -> Stack:
    """The weights with the least log loss for out-of-fold log-odds, [n] each, and labels [n]."""
    columns = np.column_stack([*trees, network, np.ones(len(network))])
    equal = np.append(np.full(len(trees) + 1, 1 / (len(trees) + 1)), 0)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        log_odds, pull = columns @ weights, weights - equal
        value = np.sum(np.logaddexp(0, log_odds) - churned * log_odds) + STRENGTH * pull @ pull
        return value, columns.T @ (expit(log_odds) - churned) + 2 * STRENGTH * pull

    bounds = [(0, None)] * (len(trees) + 1) + [(None, None)]
    *weights, intercept = minimize(loss, equal, jac=True, bounds=bounds, method="L-BFGS-B").x.tolist()
    return Stack(tuple(weights[:-1]), weights[-1], intercept)


def stack_out_of_fold(
    trees_by_half: Sequence[np.ndarray], network: np.ndarray, churned: np.ndarray, plan: CrossfitPlan
) -> np.ndarray:
    """[n] honest log-odds: number of trees and weights come from the other half of the row's fold.

    `trees_by_half`, [2, n] for each depth, as in `churn.network.boosting.FittedTrees`; `network` [n]
    out-of-fold log-odds.
    """
    stacked = np.empty(len(churned))
    for fold, half in product(range(plan.fold_of_row.max() + 1), (0, 1)):
        in_half = plan.half_of_row == half
        rows, other = (in_half & (plan.fold_of_row == fold), ~in_half & (plan.fold_of_row == fold))
        trees = [by_half[1 - half] for by_half in trees_by_half]
        stack = fit_stack([log_odds[other] for log_odds in trees], network[other], churned[other])
        stacked[rows] = stack([log_odds[rows] for log_odds in trees], network[rows])
    return stacked
