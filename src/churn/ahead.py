"""Work that goes on in a thread while the caller does its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
END = object()


def ahead(items: Iterable[T], depth: int = 2) -> Iterator[T]:
    """The same items, up to `depth` of them made in a thread while the caller works on those before.

    What making one raises is raised where it would have come.
    """
    source = iter(items)
    with ThreadPoolExecutor(1) as thread:
        coming = deque(thread.submit(next, source, END) for _ in range(depth))
        while (item := coming.popleft().result()) is not END:
            coming.append(thread.submit(next, source, END))
            yield item  # type: ignore[misc]
