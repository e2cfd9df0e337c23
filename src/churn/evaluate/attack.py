"""Whose decision flips if customers change what they can influence, and how large a change that takes.

`data.influence` says which columns those are, and how far: for a number the least and the greatest change,
for a category the levels that a customer can move to. A change costs its share of the bound, a move to
another level costs 1, and a budget is what all changes of a customer may cost together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from churn.data.dataset import Schema
from churn.errors import UserError, did_you_mean, user_error_of_many
from churn.evaluate.bootstrap import Estimate, jeffreys_interval

STEPS = 8  # sizes of a change of a number, up to its bound
SMALLEST = 1e-9  # price
COLUMNS = 3  # that one customer changes, at most
BUDGETS = (0.125, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
Predict = Callable[[pd.DataFrame], np.ndarray]


@dataclass(frozen=True)
class Attack:
    """The least budget that the search found to flip each customer's decision."""

    columns: tuple[str, ...]  # that customers can influence
    called: np.ndarray  # [n] whether each customer is called as he is
    cost: np.ndarray  # [n] budget; infinite where no change was found

    def success(self, called: bool, budget: float) -> Estimate:
        """The share of the called, or the other customers whose decision flips, with its 95 % interval."""
        cost = self.cost[self.called == called]
        flipped, rows = int((cost <= budget).sum()), len(cost)
        if not rows:
            return Estimate(np.nan, np.nan, np.nan)
        low, high = jeffreys_interval(flipped, rows)
        return Estimate(flipped / rows, float(low), float(high))

    def to_json(self) -> dict[str, Any]:
        """The section `attack` of metrics.json."""
        curves = {
            name: [self.success(called, budget).to_json() for budget in BUDGETS]
            for name, called in (("into_a_call", False), ("out_of_a_call", True))
        }
        return {"columns": list(self.columns), "customers": len(self.cost), "budget": list(BUDGETS)} | curves


def check_influence(influence: Mapping[str, Any], schema: Schema, frame: pd.DataFrame) -> None:
    """Raise one `UserError` that lists what is wrong with `data.influence`."""
    faults = {
        name: fault for name, bound in influence.items() if (fault := _fault(name, bound, schema, frame))
    }
    if faults:
        problems = [UserError(fault, f"data.influence.{name}") for name, fault in faults.items()]
        raise problems[0] if len(problems) == 1 else user_error_of_many("data.influence:", problems)


def _fault(name: str, bound: Any, schema: Schema, frame: pd.DataFrame) -> str:
    """What is wrong with the bound of one column; "" for nothing."""
    if name not in schema.features:
        return f"'{name}' is no input of the model{did_you_mean(name, schema.features)}"
    if not isinstance(bound, list) or not bound:
        return f"write [least, greatest] change for a number, [level, ...] for a category; got {bound}"
    if name in schema.categorical:
        known = set(frame[name])
        unknown = [str(level) for level in bound if str(level) not in known]
        return f"no customer has the level {', '.join(map(repr, unknown))}" if unknown else ""
    numbers = [one for one in bound if isinstance(one, int | float) and not isinstance(one, bool)]
    if len(numbers) != 2 or len(bound) != 2 or not numbers[0] <= 0 <= numbers[1]:
        return f"a number needs [least, greatest] change around 0, such as [-10, 5]; got {bound}"
    return ""


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
    changes = list(_changes(frame, influence, known))
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


class _Change(NamedTuple):
    """One way to change one column."""

    column: str
    values: np.ndarray  # [n] of each customer
    price: np.ndarray  # [n] infinite where that is no change


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

    def price(self, change: _Change) -> np.ndarray:
        """[n] the price of all changes if this one takes the place of its column's present one."""
        return self.spent - self.prices[change.column] + change.price

    def with_change(self, change: _Change) -> pd.DataFrame:
        """The rows with one change more."""
        return self.rows.assign(**{change.column: change.values})

    def take(self, changes: list[_Change], chosen: np.ndarray) -> None:
        """Apply to each customer the change with the number `chosen` [n]; -1 for none."""
        for number, (column, values, price) in enumerate(changes):
            rows = chosen == number
            own = self.rows[column].to_numpy(values.dtype)
            self.rows[column] = np.where(rows, values, own)
            self.prices[column] = np.where(rows, price, self.prices[column])


def _changes(frame: pd.DataFrame, influence: Mapping[str, Any], known: pd.DataFrame) -> Iterator[_Change]:
    """Every single change of a column that is searched."""
    for name, bound in influence.items():
        if pd.api.types.is_numeric_dtype(frame[name]):
            steps = _number_changes(frame[name].to_numpy(float), bound, known[name].to_numpy(float))
            yield from (_Change(name, *step) for step in steps)
        else:
            own = frame[name].to_numpy(object)
            for level in map(str, bound):
                yield _Change(name, np.full(len(own), level, object), np.where(own == level, np.inf, 1.0))


def _number_changes(
    own: np.ndarray, bound: list[float], known: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """New values and prices for each size of a change, down and up."""
    known = known[~np.isnan(known)]
    ends = known.min(initial=np.inf), known.max(initial=-np.inf)
    whole = len(known) > 0 and bool((known % 1 == 0).all())
    for limit in filter(None, bound):
        for step in range(1, STEPS + 1):
            changed = np.clip(own + limit * step / STEPS, *ends)
            changed = np.where(np.sign(changed - own) == np.sign(limit), changed, own)
            changed = own + np.trunc(changed - own) if whole else changed
            moved = np.abs(changed - own)
            yield changed, np.where(moved > 0, moved / abs(limit), np.inf)
