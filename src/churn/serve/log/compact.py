"""From closed files of log lines to Parquet, in the background, each line exactly once."""

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

from churn.files import atomic_write
from churn.serve.log.read import read_lines_file
from churn.serve.log.write import SUFFIX

NICENESS = 10  # a tenth of a busy core: what compaction needs under full load of single rows
AFTER_FAILURE_SECONDS = 30


class Compactor(threading.Thread):
    """Compacts what is closed, every now and then, at a low priority.

    A thread and not a process: Arrow's work holds no Python lock, and a second process would need
    memory of its own.
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
            except Exception as error:  # such as a full disk: the lines are still there, to be tried again
                self.failures += 1
                traceback.print_exception(error)
                self.stopped.wait(AFTER_FAILURE_SECONDS)

    def stop(self) -> None:
        """Finish what is begun, and the last closed files."""
        self.stopped.set()
        self.join()
        compact_all(self.folder)


def compact_all(folder: Path) -> int:
    """Turn every closed file of lines into a Parquet file; gives how many.

    Whatever a killed server left is closed, too. Safe to run in several processes at once.
    """
    done = 0
    for file in sorted(folder.glob(f"[!.]*{SUFFIX}")):
        with _exclusive(file) as mine:
            if mine:
                _compact_file(file)
                done += 1
    return done


@contextmanager
def _exclusive(file: Path) -> Iterator[bool]:
    """Whether nobody else writes or compacts the file; nobody will, while the block runs."""
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except FileNotFoundError:  # compacted by another process in this moment
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
    """Write the Parquet file and remove the lines.

    A kill between the two leaves both under one name, of which the Parquet file counts.
    """
    target = file.with_suffix(".parquet")
    for partial in file.parent.glob(f".{target.name}.*.partial"):  # of a killed process
        partial.unlink()
    if not target.exists():
        write_parquet(file, target)
    file.unlink()


def write_parquet(file: Path, target: Path) -> None:
    """The Parquet file of a file of lines, on disk before it has its name; none of a file without lines."""
    header, tables = read_lines_file(file)
    first = next(tables, None)
    if first is None:
        return
    facts = {b"churn": json.dumps(header).encode()}
    with atomic_write(target) as aside:
        with pq.ParquetWriter(aside, first.schema.with_metadata(facts), compression="zstd") as writer:
            writer.write_table(first)
            for table in tables:
                writer.write_table(table)
        with aside.open("rb") as written:
            os.fsync(written.fileno())
