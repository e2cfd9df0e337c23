"""The metrics of a server of several processes: each writes down its own, and each can add up all.

They lie in memory that the supervisor made: a killed process leaves its counts to the one that replaces it.
"""

from __future__ import annotations

import copy
import fcntl
import os
import pickle
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from churn.serve.metrics import Metrics

SHARE_SECONDS = 0.05  # between two writings: a killed process loses no more than these
HEAD = struct.Struct("<QQ")  # where the counts that were written to their end lie, and how long they are


def make_files(processes: int) -> list[int]:
    """A file in memory for each process, open; its number is passed on."""
    return [os.memfd_create("churn-metrics") for _ in range(processes)]


class SharedMetrics:
    """The metrics of this process, number `own` of those with these files."""

    def __init__(self, files: Sequence[int], own: int, metrics: Metrics) -> None:
        self.files, self.own, self.metrics = files, own, metrics
        if before := _read(files[own]):
            metrics.add(before | {"in_flight": 0})

    def write(self) -> None:
        """Let the other processes know the own counts."""
        counts = self.metrics.counts() | {"process": os.getpid(), "bundle": self.metrics.bundle}
        if self.metrics.unseen_cells:
            counts["unseen_cells"] = self.metrics.unseen_cells.counts()
        content = pickle.dumps(counts)
        with _locked(self.files[self.own], fcntl.LOCK_EX) as file:
            start, length = _place(file)
            before = HEAD.size + len(content) <= start  # there is room before the last ones
            place = HEAD.size if before else start + length
            os.pwrite(file, content, place)  # beside the last ones, which hold if a kill cuts these
            os.pwrite(file, HEAD.pack(place, len(content)), 0)

    def total(self) -> Metrics:
        """The metrics of all processes together."""
        self.write()
        parts = [part for part in map(_read, self.files) if part]
        total = Metrics([part["process"] for part in parts])
        total.bundle = self.metrics.bundle
        total.unseen_cells = cells = copy.deepcopy(self.metrics.unseen_cells)
        for number, part in enumerate(parts):
            total.add(part)
            if cells and number != self.own and part["bundle"] == total.bundle and "unseen_cells" in part:
                cells.add_counts(*part["unseen_cells"])
        return total


def _read(file: int) -> dict[str, Any]:
    """The last counts in a file; empty if there are none."""
    with _locked(file, fcntl.LOCK_SH):
        start, length = _place(file)
        content = os.pread(file, length, start)
    counts: dict[str, Any] = pickle.loads(content) if content else {}
    return counts


def _place(file: int) -> tuple[int, int]:
    """Where the last counts lie, and how long they are."""
    start, length = HEAD.unpack(os.pread(file, HEAD.size, 0).ljust(HEAD.size, b"\0"))
    return start or HEAD.size, length


@contextmanager
def _locked(file: int, kind: int) -> Iterator[int]:
    """The file, locked against the other processes."""
    fcntl.lockf(file, kind)
    try:
        yield file
    finally:
        fcntl.lockf(file, fcntl.LOCK_UN)
