"""Writes the prediction log: append-only files of lines, each written before its answer goes out.

When `append` returns, the kernel has the line. It survives the death of the process, SIGKILL included; only a
crash of the machine can lose the last seconds. `churn.serve.log.overload` decides what happens when `append`
fails, and `churn.serve.log.compact` turns closed files into Parquet. A file that is being written is locked,
and the lock ends with the process, however that ends.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from churn.config.serving import LogConfig
from churn.files import PERSONAL, clear_partials, make_folder

SUFFIX = ".jsonl"


class SpoolFullError(Exception):
    """The log may not grow any further, or the disk is full."""


class Spool:
    """The log of one server and one bundle. The first line of each file is the header (`log_header`)."""

    def __init__(self, folder: Path, header: dict[str, Any], cfg: LogConfig) -> None:
        self.folder, self.header, self.cfg = folder, header, cfg
        make_folder(folder)
        clear_partials(folder)
        self.waiting = _backlog_bytes(folder)  # bytes not yet in Parquet files
        self.trouble = ""  # why the last lines could not be written, or the next file not begun
        self._open()

    def _open(self) -> None:
        """Begin a file. It gets its name when it is locked, so that no process takes it for a closed one."""
        name = f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S.%fZ}-{os.getpid()}{SUFFIX}"
        make_folder(self.folder)
        aside = self.folder / f".{name}.partial"
        file = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, PERSONAL)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            line = json.dumps(self.header).encode() + b"\n"
            if os.write(file, line) < len(line):
                raise OSError(errno.ENOSPC, "no room for the first line")
            aside.rename(self.folder / name)
        except OSError as error:
            os.close(file)
            aside.unlink(missing_ok=True)
            if not isinstance(error, FileNotFoundError):
                raise
            self._open()  # another process took it for a leftover before it was locked
            return
        self.file, self.size, self.empty, self.began = file, len(line), True, time.monotonic()
        self.path = self.folder / name

    def append(self, lines: bytes) -> None:
        """Write whole lines; raises `SpoolFullError`, and leaves nothing of them, if it cannot."""
        if self.waiting > self.cfg.max_backlog_bytes:
            self.trouble = f"{self.waiting:,} bytes wait for Parquet files (serve.log.max_backlog_bytes)"
            raise SpoolFullError(self.trouble)
        try:
            written = os.write(self.file, lines)
            while written < len(lines):
                written += os.write(self.file, lines[written:])
        except OSError as error:
            os.ftruncate(self.file, self.size)
            self.trouble = f"{self.folder}: {error.strerror or error}"
            raise SpoolFullError(self.trouble) from error
        self.trouble = ""
        self.size += written
        self.waiting += written
        self.empty = False
        if self.size > self.cfg.segment_bytes:
            self.rotate()

    def tick(self) -> None:
        """Close the file if it is old enough, or was removed; to be called about once a second."""
        self.waiting = _backlog_bytes(self.folder)
        is_old = not self.empty and time.monotonic() - self.began > self.cfg.segment_seconds
        if is_old or not self.path.exists():
            self.rotate()

    def rotate(self) -> None:
        """Begin the next file, then close this one, which can be compacted from now on.

        If no other file can be begun, for example on a full disk, this one stays in use.
        """
        previous = self.file
        try:
            self._open()
        except OSError as error:
            self.trouble = f"{self.folder}: no other file can be begun: {error.strerror}"
            return
        self.trouble = ""
        os.close(previous)

    def close(self) -> None:
        """Close the file, which also unlocks it; its number may soon be another file's."""
        file, self.file = self.file, -1
        os.close(file)


def _backlog_bytes(folder: Path) -> int:
    """Bytes in the files that are not yet compacted."""
    total = 0
    for file in folder.glob(f"[!.]*{SUFFIX}"):
        with suppress(FileNotFoundError):  # compacted a moment ago
            total += file.stat().st_size
    return total
