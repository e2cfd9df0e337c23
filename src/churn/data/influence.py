"""What customers can change themselves: `data.influence`, its bounds, and rows as they would then be.

For a number it gives the least and the greatest change, for a category the levels that a customer can move
to. A change costs its share of the bound, a move to another level costs 1, and a budget is what all changes
of a customer may cost together. Whole numbers stay whole, and all stay in the range of known rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from churn.errors import UserError, did_you_mean, user_error_of_many

if TYPE_CHECKING:
    import pandas as pd

    from churn.data.dataset import Schema

STEPS = 8  # sizes of a change of a number, up to its bound
COLUMNS = 3  # that one customer changes, at most


class Change(NamedTuple):
    """One way to change one column."""

    column: str
    values: np.ndarray  # [n] of each customer
    price: np.ndarray  # [n] infinite where that is no change


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


def single_changes(
    frame: pd.DataFrame, influence: Mapping[str, Any], known: pd.DataFrame
) -> Iterator[Change]:
    """Every change of one column of the rows [n]; `known` are the training rows.

    >>> [change.column for change in single_changes(test.frame, {"Contract": ["One year"]}, train.frame)]
    """
    for name, bound in influence.items():
        if frame[name].dtype.kind == "f":
            steps = _number_changes(frame[name].to_numpy(float), bound, known[name].to_numpy(float))
            yield from (Change(name, *step) for step in steps)
        else:
            own = frame[name].to_numpy(object)
            for level in map(str, bound):
                yield Change(name, np.full(len(own), level, object), np.where(own == level, np.inf, 1.0))


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


def random_changes(
    frame: pd.DataFrame, influence: Mapping[str, Any], known: pd.DataFrame, budget: float, seed: int
) -> pd.DataFrame:
    """The rows, each with random changes of up to three columns that cost at most `budget` together."""
    random, changes = np.random.default_rng(seed), list(single_changes(frame, influence, known))
    rows, spent = frame.copy(), np.zeros(len(frame))
    untouched = {name: np.full(len(frame), True) for name in influence}
    for _ in range(min(COLUMNS, len(influence))):
        chosen = random.integers(len(changes), size=len(frame))
        for number, (column, values, price) in enumerate(changes):
            takes = (chosen == number) & untouched[column] & (spent + price <= budget)
            rows[column] = np.where(takes, values, rows[column].to_numpy(values.dtype))
            spent, untouched[column] = np.where(takes, spent + price, spent), untouched[column] & ~takes
    return rows
