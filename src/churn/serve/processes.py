"""The servers of this machine: each keeps a file locked that is named after its process."""

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
    """Let `reload` find this process, which must handle SIGHUP by now; the lock ends with it in any case."""
    folder = Path(root) / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    file, aside = folder / str(os.getpid()), folder / f".{os.getpid()}"
    with aside.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        aside.replace(file)  # it appears locked
        try:
            yield
        finally:
            file.unlink(missing_ok=True)


def reload_servers(root: str) -> int:
    """Tell the servers below `root` to look for the champion again; gives how many were told."""
    told = 0
    for file in (Path(root) / FOLDER).glob("[0-9]*"):
        with file.open() as other:
            try:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.kill(int(file.name), signal.SIGHUP)
                told += 1
            else:
                file.unlink(missing_ok=True)  # of a process that is no more, whose number another may have
    return told
