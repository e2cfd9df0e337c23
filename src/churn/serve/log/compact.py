"""Turns closed files of log lines into Parquet in the background, each line exactly once."""

from __future__ import annotations

import fcntl
import json
import os
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq

from churn.files import atomic_write, clear_partials
from churn.serve.log.read import read_lines_file
from churn.serve.log.write import SUFFIX

NICENESS = 10  # gives a tenth of a busy core, which is what compaction needs under a full load of single rows
AFTER_FAILURE_SECONDS = 30


class Compactor(threading.Thread):
    """Compacts closed files at a low priority, once in `seconds`.

    It is a thread, not a process: Arrow works without the GIL, and a process would need memory of its own.
    """

    def __init__(self, folder: Path, seconds: float = 1.0) -> None:
        super().__init__(name="compactor", daemon=True)
        self.folder, self.seconds, self.stopped = folder, seconds, threading.Event()
        self.failures = 0

    def run(self) -> None:
        """Compact until stopped."""
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        while not self.stopped.wait(self.seconds):
            try:
                compact_all(self.folder)
            except Exception as error:  # such as a full disk; the lines are still there for another try
                self.failures += 1
                traceback.print_exception(error)
                self.stopped.wait(AFTER_FAILURE_SECONDS)

    def stop(self) -> None:
        """Finish the current file, and compact the last closed ones."""
        self.stopped.set()
        self.join()
        compact_all(self.folder)


def compact_all(folder: Path) -> int:
    """Turn every closed file of lines into a Parquet file; gives the number of files.

    Files that a killed server left are closed, too. It is safe to run in several processes at once.

    >>> compact_all(Path("runs/log"))
    """
    done = 0
    for file in sorted(folder.glob(f"[!.]*{SUFFIX}")):
        with _exclusive(file) as locked:
            if locked:
                _compact_file(file)
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


def _compact_file(file: Path) -> None:
    """Write the Parquet file, then remove the lines.

    A kill between the two leaves both files; readers then prefer the Parquet file.
    """
    target = file.with_suffix(".parquet")
    clear_partials(file.parent, target.name)
    if not target.exists():
        write_parquet(file, target)
    file.unlink()


def write_parquet(file: Path, target: Path) -> None:
    """Write a file of lines as Parquet, or nothing if it has no line.

    The Parquet file is on disk before it has its name.
    """
    header, tables = read_lines_file(file)
    first = next(tables, None)
    if first is None:
        return
    schema = first.schema.with_metadata({b"churn": json.dumps(header).encode()})
    with atomic_write(target) as aside, pq.ParquetWriter(aside, schema, compression="zstd") as writer:
        writer.write_table(first)
        for table in tables:
            writer.write_table(table)
