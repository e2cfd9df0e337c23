"""The metrics of a server of several processes: each writes down its own, and each can add up all.

They lie in memory that the supervisor made: a killed process leaves its counts to the one that replaces it.
"""

from __future__ import annotations

import copy
import fcntl
import os
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from churn.serve.metrics import Metrics

SHARE_SECONDS = 0.05  # between two writings: a killed process loses no more than these


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
            os.pwrite(file, content, 0)
            os.ftruncate(file, len(content))

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
    """The counts in a file; empty if there are none yet."""
    with _locked(file, fcntl.LOCK_SH):
        content = os.pread(file, os.fstat(file).st_size, 0)
    counts: dict[str, Any] = pickle.loads(content) if content else {}
    return counts


@contextmanager
def _locked(file: int, kind: int) -> Iterator[int]:
    """The file, locked against the other processes."""
    fcntl.lockf(file, kind)
    try:
        yield file
    finally:
        fcntl.lockf(file, fcntl.LOCK_UN)
