"""Finds the servers of this machine: each holds a lock on a file that is named after its process id.

The file says what the server serves, so that whoever asks for a reload can wait until it is done.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from churn.config.root import Config

FOLDER = "serving"
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Status:
    """What a server serves, and how its last loading went."""

    digest: str = ""  # of the bundle that answers; empty until the first one is loaded
    loading: bool = True
    loads: int = 0  # finished loadings, also those that failed
    failure: str = ""  # why the last one failed
    named: str | None = None  # the bundle that the server was started with: bundle=DIR
    name: str = ""  # of the bundle that answers
    path: str = ""  # its directory


@contextmanager
def announce(root: str) -> Iterator[Callable[[Status], None]]:
    """Let `reload_servers` find this process, which must already handle SIGHUP; gives a way to say more.

    The lock ends with the process, however that ends.
    """
    folder = Path(root) / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    file, aside = folder / str(os.getpid()), folder / f".{os.getpid()}"
    with aside.open("wb", buffering=0) as lock:

        def say(status: Status) -> None:
            try:
                lock.seek(0)
                lock.truncate()
                lock.write(json.dumps(asdict(status)).encode())
            except OSError as error:
                error.filename = str(file)
                raise

        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            say(Status())
            aside.replace(file)  # it is locked before it has its name
            yield say
        finally:
            aside.unlink(missing_ok=True)
            file.unlink(missing_ok=True)


class Announcer:
    """Says how a server does: on the terminal, and in the file that `promote` reads."""

    def __init__(self, cfg: Config, listener: socket.socket) -> None:
        host, port = listener.getsockname()[:2]
        self.url = f"http{'s' * bool(cfg.serve.certificate)}://{host}:{port}{cfg.serve.predict_route}"
        self.before, self.ending = Status(named=cfg.bundle), ExitStack()
        self.write: Callable[[Status], None] = lambda status: None
        if not os.environ.get("AIP_STORAGE_URI"):  # a container on Vertex AI has one bundle for life
            self.write = self.ending.enter_context(announce(cfg.run.root))
            self.write(self.before)

    def __call__(self, status: Status) -> None:
        """Print what was loaded, or why it was not, and write the state down."""
        if status.loads > self.before.loads and status.failure:
            print(f"churn: not reloaded: {status.failure}", flush=True)
        elif status.loads > self.before.loads:
            print(f"Serving {status.name} ({status.digest[:12]}) on {self.url}", flush=True)
        self.before = status
        try:
            self.write(status)
        except OSError as error:  # the server answers on; a promotion waits for it in vain
            print(f"churn: what this server serves cannot be written down: {error}", flush=True)

    def close(self) -> None:
        """Let no promotion find the server any more."""
        self.ending.close()


def reload_servers(root: str) -> dict[int, Status]:
    """Make the servers below `root` look for the champion again; gives their state before, by process id."""
    signalled = {}
    for file in (Path(root) / FOLDER).glob("[0-9]*"):
        with file.open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                signalled[int(file.name)] = _read_status(root, int(file.name)) or Status()
                os.kill(int(file.name), signal.SIGHUP)
            else:
                file.unlink(missing_ok=True)  # that process has ended, and another may have its id
    return signalled


def wait_for_reload(root: str, process: int, before: Status, digest: str, seconds: float) -> str:
    """Wait until a server answers with the bundle of that digest; gives "", or why it does not.

    `before` is the state that `reload_servers` gave.
    """
    if before.named and before.digest != digest:
        return f"it serves the bundle that it was started with: bundle={before.named}"
    loads, end = before.loads + (2 if before.loading else 1), time.monotonic() + seconds
    while time.monotonic() < end:
        status = _read_status(root, process)
        if status is None:
            return "it has ended"
        if status.digest == digest:
            return ""
        if status.loads >= loads and status.failure:
            return status.failure
        time.sleep(POLL_SECONDS)
    return f"it has not loaded it within {seconds:g} seconds"


def _read_status(root: str, process: int) -> Status | None:
    """What a server says; None if there is no such server."""
    file = Path(root) / FOLDER / str(process)
    for _ in range(50):  # it may be writing right now
        try:
            return Status(**json.loads(file.read_text()))
        except FileNotFoundError:
            return None
        except json.JSONDecodeError:
            time.sleep(0.001)
    return Status()
