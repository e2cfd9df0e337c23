"""A line every few seconds about rows that are read or written, or days that are simulated."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from churn.errors import count

T = TypeVar("T")
SECONDS = 3.0  # between two lines


def announced(parts: Iterable[T], size: Callable[[T], int], verb: str, unit: str = "row") -> Iterator[T]:
    """The same parts; a line every few seconds says how many rows, or other units, they had so far.

    >>> for table in announced(tables, len, "written"):
    """
    done, said = 0, time.monotonic()
    for part in parts:
        yield part
        done += size(part)
        if time.monotonic() - said > SECONDS:
            print(f"  {count(done, unit)} {verb}", flush=True)
            said = time.monotonic()
