"""Bounds of configuration keys: declared with each key, checked before any work begins."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import Field, dataclass, field, fields, is_dataclass
from datetime import date
from typing import Any

from churn.errors import UserError, user_error_of_many


@dataclass(frozen=True)
class Bound:
    """A condition on a number, in words and as a function."""

    text: str
    holds: Callable[[float], bool]


ANY_NUMBER = Bound("finite", math.isfinite)
ONE_OR_MORE = Bound("1 or more", lambda x: x >= 1)
ZERO_OR_MORE = Bound("0 or more", lambda x: x >= 0)
POSITIVE = Bound("above 0", lambda x: x > 0)
SHARE = Bound("from 0 to 1", lambda x: 0 <= x <= 1)
SHARE_ABOVE_ZERO = Bound("above 0 and at most 1", lambda x: 0 < x <= 1)
SHARE_BELOW_ONE = Bound("0 or more and below 1", lambda x: 0 <= x < 1)
BETWEEN_ZERO_AND_ONE = Bound("above 0 and below 1", lambda x: 0 < x < 1)
TREE_DEPTH = Bound("from 1 to 10", lambda x: 1 <= x <= 10)
PER_CENT = Bound("from 1 to 100", lambda x: 1 <= x <= 100)
IDLE_MINUTES = Bound("from 5 to 480", lambda x: 5 <= x <= 480)
CPUS = Bound("1, 2, 4, 6 or 8", lambda x: x in (1, 2, 4, 6, 8))
MEMORY_MIB = Bound("from 512 to 32768", lambda x: 512 <= x <= 32_768)
CONCURRENCY = Bound("from 1 to 1000", lambda x: 1 <= x <= 1_000)
DAYS = Bound("above 0 and at most 36500", lambda x: 0 < x <= 36_500)  # a century
DAYS_OR_NONE = Bound("from 0 to 36500", lambda x: 0 <= x <= 36_500)
MONTHS = Bound("from 1 to 600", lambda x: 1 <= x <= 600)
CHURN_RATE = Bound("from 0.001 to 0.999", lambda x: 0.001 <= x <= 0.999)
SEED = Bound("from 0 to 2147483647", lambda x: 0 <= x < 2**31)  # the libraries take no larger ones
PORT = Bound("from 0 to 65535", lambda x: 0 <= x <= 65_535)

YEARS = range(1900, 2200)  # of dates: what is some days before or after one is a date, too


def key(default: Any, bound: Bound) -> Any:
    """A field of a configuration class for a number, or a list of numbers, that must keep a bound.

    A number that is null is not checked.

    >>> epochs: int = key(12, ONE_OR_MORE)
    """
    metadata = {"bound": bound}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def day(default: str | None) -> Any:
    """A field of a configuration class for a date, such as 2026-11-24; null is none.

    >>> start: str = day("2025-01-01")
    """
    return field(default=default, metadata={"day": True})


def check_bounds(cfg: Any) -> None:
    """Raise one `UserError` that lists every number outside its bound, and every date that is none."""
    leaves = list(_leaves(cfg))
    problems = [
        UserError(f"{name}={value:g} makes no sense", do=f"choose a number that is {bound.text}")
        for name, value, bound in _bounded_numbers(leaves)
        if not (math.isfinite(value) and bound.holds(value))
    ]
    problems += [
        UserError(f"'{value}' is no date", name, "write it like 2026-11-24")
        for name, value, declared in leaves
        if declared.metadata.get("day") and value is not None and not _is_day(value)
    ]
    if problems:
        raise problems[0] if len(problems) == 1 else user_error_of_many("the configuration:", problems)


def check_lists(cfg: Any) -> None:
    """Raise `UserError` for something else than a list where one belongs.

    OmegaConf 2.3.1 refuses a text there, but not a ${...} that stands for one.
    """
    for name, value, declared in _leaves(cfg):
        if str(declared.type).startswith("list[") and not isinstance(value, list):
            raise UserError(f"{name}={value} is no list", do=f"{name}=[...]")


def _is_day(text: str) -> bool:
    """Whether a text is a date as in 2026-11-24."""
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return False
    return found.isoformat() == text and found.year in YEARS


_Leaf = tuple[str, Any, "Field[Any]"]


def _leaves(cfg: Any, prefix: str = "") -> Iterator[_Leaf]:
    """The full key, the value and the field of each value."""
    for declared in fields(cfg):
        value, name = getattr(cfg, declared.name), f"{prefix}{declared.name}"
        if is_dataclass(value):
            yield from _leaves(value, f"{name}.")
        else:
            yield name, value, declared


def _bounded_numbers(leaves: Iterable[_Leaf]) -> Iterator[tuple[str, float, Bound]]:
    """The full key, the value and the bound of each number."""
    for name, value, declared in leaves:
        if (bound := declared.metadata.get("bound")) and value is not None:
            for number in value if isinstance(value, list) else [value]:
                yield name, number, bound
