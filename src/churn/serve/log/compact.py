"""Turns closed files of log lines into Parquet in the background, each line exactly once."""

from __future__ import annotations

import fcntl
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import pyarrow.parquet as pq

from churn.data.forgotten import Forgotten
from churn.files import PERSONAL, atomic_write, clear_partials, make_folder
from churn.refusals import refusal_of
from churn.serve.log.broken import FOLDER as BROKEN
from churn.serve.log.broken import UNREADABLE
from churn.serve.log.erase import without_rows_of
from churn.serve.log.lines_file import LinesFile
from churn.serve.log.retention import remove_old
from churn.serve.log.write import SUFFIX

NOBODY = Forgotten()
NICENESS = 10  # gives a tenth of a busy core, which is what compaction needs under a full load of single rows
AFTER_FAILURE_SECONDS = 30
RETENTION_SECONDS = 3_600.0  # between two looks for files that are too old


class Compactor(threading.Thread):
    """Compacts closed files at a low priority, once in `seconds`, and removes old ones once an hour.

    It is a thread, not a process: Arrow works without the GIL, and a process would need memory of its own.
    """

    def __init__(
        self,
        folder: Path,
        keep_days: float | None = None,
        forgotten: Callable[[], Forgotten] = Forgotten,
        seconds: float = 1.0,
    ) -> None:
        super().__init__(name="compactor", daemon=True)
        self.keep_days, self.forgotten, self.looked = keep_days, forgotten, float("-inf")
        self.folder, self.seconds, self.stopped = folder, seconds, threading.Event()
        self.failures, self.trouble = 0, ""

    def run(self) -> None:
        """Compact until stopped."""
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        while not self.stopped.wait(self.seconds):
            try:
                compact_all(self.folder, self.forgotten)
                self._remove_old()
                self.trouble = ""
            except Exception as error:  # such as a full disk; the lines are still there for another try
                self.failures += 1
                self.trouble = f"{self.folder}: lines cannot be turned into Parquet: {error}"
                if not refusal_of(error):  # a bug
                    traceback.print_exception(error)
                self.stopped.wait(AFTER_FAILURE_SECONDS)

    def _remove_old(self) -> None:
        """Remove files that are too old, once an hour."""
        if time.monotonic() - self.looked >= RETENTION_SECONDS:
            self.looked = time.monotonic()
            remove_old(self.folder, self.keep_days)

    def stop(self) -> None:
        """Finish the current file, and compact the last closed ones."""
        self.stopped.set()
        self.join()
        compact_all(self.folder, self.forgotten)


def compact_all(folder: Path, forgotten: Callable[[], Forgotten] = Forgotten) -> int:
    """Turn every closed file of lines into a Parquet file; gives the number of files.

    The lines of customers on the list are left out. Files that a killed server left are closed, too. It is
    safe to run in several processes at once.

    >>> compact_all(Path("runs/log"))
    """
    done = 0
    for file in sorted(path for path in folder.glob(f"[!.]*{SUFFIX}") if path.is_file()):
        with _exclusive(file) as locked:
            if locked:
                _compact_file(file, forgotten)
                done += 1
    return done


@contextmanager
def _exclusive(file: Path) -> Iterator[bool]:
    """Locks the file while the block runs; False if another process writes or compacts it."""
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except FileNotFoundError:  # another process has just compacted it
        yield False
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield file.exists()
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)


def _compact_file(file: Path, forgotten: Callable[[], Forgotten]) -> None:
    """Write the Parquet file, then remove the lines.

    A kill between the two leaves both files; readers then prefer the Parquet file. A file that has no header
    is moved to the folder `broken`; a broken line is copied there.
    """
    target = file.with_suffix(".parquet")
    clear_partials(file.parent, target.name)
    try:
        _write_without(forgotten, file, target)
    except UNREADABLE as error:
        make_folder(file.parent / BROKEN)
        file.replace(file.parent / BROKEN / file.name)
        print(f"churn: {file} is no part of a log ({error}): moved to {BROKEN}/", file=sys.stderr)
    else:
        file.unlink()


def _write_without(forgotten: Callable[[], Forgotten], file: Path, target: Path) -> None:
    """Write the Parquet file, and again while the list grows.

    `churn forget` passes over a file that is being compacted: its Parquet file may have no name yet.
    """
    heeded = None
    while heeded is None or forgotten().hashes != heeded.hashes:
        heeded = forgotten()
        write_parquet(file, target, heeded)


def write_parquet(file: Path, target: Path, forgotten: Forgotten = NOBODY) -> None:
    """Write a file of lines as Parquet, or nothing if it has no line.

    The Parquet file is on disk before it has its name.
    """
    lines = LinesFile(file)
    tables = lines.chunks()
    if (first := next(tables, None)) is not None:
        schema = first.schema.with_metadata({b"churn": json.dumps(lines.header).encode()})
        with (
            atomic_write(target, PERSONAL) as aside,
            pq.ParquetWriter(aside, schema, compression="zstd") as writer,
        ):
            for table in chain([first], tables):
                writer.write_table(without_rows_of(table, forgotten))
    if lines.broken:
        _keep_broken(file, lines)


def _keep_broken(file: Path, lines: LinesFile) -> None:
    """Write the broken lines of a file, below its header, to the folder `broken`."""
    with atomic_write(file.parent / BROKEN / file.name, PERSONAL) as aside:
        head = json.dumps(lines.header).encode() + b"\n"
        aside.write_bytes(head + b"".join(line for _, line in lines.broken))
    print(f"churn: {file}: {len(lines.broken):,} broken lines are in {BROKEN}/{file.name}", file=sys.stderr)
