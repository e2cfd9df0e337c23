"""Whose decision flips if customers change what they can influence, and how large a change that takes.

`churn.data.influence` says what they can change, and what a change costs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from churn.data.customers import number_customers
from churn.data.influence import COLUMNS, Change, single_changes
from churn.evaluate.bootstrap import Estimate
from churn.evaluate.clustered import share_interval

SMALLEST = 1e-9  # price
BUDGETS = (0.125, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
Predict = Callable[[pd.DataFrame], np.ndarray]


@dataclass(frozen=True)
class Attack:
    """The least budget that the search found to flip each customer's decision."""

    columns: tuple[str, ...]  # that customers can influence
    called: np.ndarray  # [n] whether each customer is called as he is
    cost: np.ndarray  # [n] budget; infinite where no change was found
    ids: np.ndarray | None = None  # [n] the customer of each row; None: each row is a customer

    def success(self, called: bool, budget: float) -> Estimate:
        """The share of the called, or the other customers whose decision flips, with its 95 % interval."""
        rows = self.called == called
        if not rows.any():
            return Estimate(np.nan, np.nan, np.nan)
        return share_interval(self.cost[rows] <= budget, number_customers(self.ids, len(rows))[rows])

    def to_json(self) -> dict[str, Any]:
        """The section `attack` of metrics.json."""
        curves = {
            name: [self.success(called, budget).to_json() for budget in BUDGETS]
            for name, called in (("into_a_call", False), ("out_of_a_call", True))
        }
        return {"columns": list(self.columns), "customers": len(self.cost), "budget": list(BUDGETS)} | curves


def attack(
    predict: Predict, frame: pd.DataFrame, threshold: float, influence: Mapping[str, Any], known: pd.DataFrame
) -> Attack:
    """Search the least change that flips each decision for rows [n], greedily, one column after the other.

    Changed numbers stay within the range of `known`, the training rows, and whole where all of these are. The
    search is not complete: the shares are lower bounds.

    >>> attack(predict, test.frame, 0.3, {"MonthlyCharges": [-20, 0]}, train.frame).success(False, 1.0)
    """
    probability = predict(frame)
    called, nothing = probability >= threshold, np.zeros(len(frame))
    search = _Search(frame.copy(), dict.fromkeys(influence, nothing), np.full(len(frame), np.inf))
    changes = list(single_changes(frame, influence, known))
    for _ in range(min(COLUMNS, len(influence)) + 1):
        best, best_change = np.zeros(len(frame)), np.full(len(frame), -1)
        for number, change in enumerate(changes):
            after, price = predict(search.with_change(change)), search.price(change)
            flips = (after >= threshold) != called
            search.cost = np.where(flips, np.minimum(search.cost, price), search.cost)
            gain, more = np.where(called, probability - after, after - probability), price - search.spent
            worth = np.where(more > 0, gain / np.maximum(more, SMALLEST), 0.0)
            best, best_change = np.maximum(best, worth), np.where(worth > best, number, best_change)
        search.take(changes, best_change)
        probability = predict(search.rows)
    return Attack(tuple(influence), called, search.cost)


@dataclass
class _Search:
    """How far the search has come for each of n customers."""

    rows: pd.DataFrame  # with the changes so far
    prices: dict[str, np.ndarray]  # [n] by column, of its present change
    cost: np.ndarray  # [n] the least budget that flips the decision, as far as known

    @property
    def spent(self) -> np.ndarray:
        """[n] the price of all present changes."""
        return np.sum(list(self.prices.values()), axis=0)

    def price(self, change: Change) -> np.ndarray:
        """[n] the price of all changes if this one takes the place of its column's present one."""
        return self.spent - self.prices[change.column] + change.price

    def with_change(self, change: Change) -> pd.DataFrame:
        """The rows with one change more."""
        return self.rows.assign(**{change.column: change.values})

    def take(self, changes: list[Change], chosen: np.ndarray) -> None:
        """Apply to each customer the change with the number `chosen` [n]; -1 for none."""
        for number, (column, values, price) in enumerate(changes):
            rows = chosen == number
            own = self.rows[column].to_numpy(values.dtype)
            self.rows[column] = np.where(rows, values, own)
            self.prices[column] = np.where(rows, price, self.prices[column])
