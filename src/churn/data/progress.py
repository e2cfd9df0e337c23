"""A line every few seconds about rows that are read or written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from churn.errors import count

T = TypeVar("T")
SECONDS = 3.0  # between two lines


def announced(parts: Iterable[T], rows_of: Callable[[T], int], verb: str) -> Iterator[T]:
    """The same parts; a line every few seconds says how many rows they had so far.

    >>> for table in announced(tables, len, "written"):
    """
    rows, said = 0, time.monotonic()
    for part in parts:
        yield part
        rows += rows_of(part)
        if time.monotonic() - said > SECONDS:
            print(f"  {count(rows, 'row')} {verb}", flush=True)
            said = time.monotonic()
