"""Finds the servers of this machine: each holds a lock on a file that is named after its process id."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = "serving"


@contextmanager
def announce(root: str) -> Iterator[None]:
    """Let `reload_servers` find this process, which must already handle SIGHUP.

    The lock ends with the process, however that ends.
    """
    folder = Path(root) / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    file, aside = folder / str(os.getpid()), folder / f".{os.getpid()}"
    with aside.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        aside.replace(file)  # it is locked before it has its name
        try:
            yield
        finally:
            file.unlink(missing_ok=True)


def reload_servers(root: str) -> int:
    """Make the servers below `root` look for the champion again; gives the number of servers."""
    signalled = 0
    for file in (Path(root) / FOLDER).glob("[0-9]*"):
        with file.open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.kill(int(file.name), signal.SIGHUP)
                signalled += 1
            else:
                file.unlink(missing_ok=True)  # that process has ended, and another may have its id
    return signalled
