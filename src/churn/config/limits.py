"""Bounds of configuration keys: declared with each key, checked before any work begins."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass
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
PORT = Bound("from 0 to 65535", lambda x: 0 <= x <= 65_535)


def key(default: Any, bound: Bound) -> Any:
    """A field of a configuration class for a number, or a list of numbers, that must keep a bound.

    A number that is null is not checked.

    >>> epochs: int = key(12, ONE_OR_MORE)
    """
    metadata = {"bound": bound}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def check_bounds(cfg: Any) -> None:
    """Raise one `UserError` that lists every number of a configuration outside its bound."""
    problems = [
        UserError(f"{name}={value:g} makes no sense", do=f"choose a number that is {bound.text}")
        for name, value, bound in _bounded_numbers(cfg, "")
        if not bound.holds(value)
    ]
    if problems:
        raise problems[0] if len(problems) == 1 else user_error_of_many("the configuration:", problems)


def check_lists(cfg: Any, prefix: str = "") -> None:
    """Raise `UserError` for something else than a list where one belongs.

    OmegaConf 2.3.1 refuses a text there, but not a ${...} that stands for one.
    """
    for declared in fields(cfg):
        value, name = getattr(cfg, declared.name), f"{prefix}{declared.name}"
        if is_dataclass(value):
            check_lists(value, f"{name}.")
        elif str(declared.type).startswith("list[") and not isinstance(value, list):
            raise UserError(f"{name}={value} is no list", do=f"{name}=[...]")


def _bounded_numbers(cfg: Any, prefix: str) -> Iterator[tuple[str, float, Bound]]:
    """The full key, the value and the bound of each number."""
    for declared in fields(cfg):
        value, name = getattr(cfg, declared.name), f"{prefix}{declared.name}"
        if is_dataclass(value):
            yield from _bounded_numbers(value, f"{name}.")
        elif (bound := declared.metadata.get("bound")) and value is not None:
            for number in value if isinstance(value, list) else [value]:
                yield name, number, bound
