"""Starts the processes of a server of several, gives each connection to the next one, and replaces the dead.

The supervisor accepts the connections itself, since the kernel balances them badly. Of 32 that come at once,
one of two processes took all where both accepted on one socket, and 16 to 24 where each had opened the port
itself (SO_REUSEPORT, which draws by lot); a process killed then takes those along that wait for it. The
supervisor loads no model, and reads and writes nothing of what a connection carries.
"""

from __future__ import annotations

import asyncio
import pickle
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

from churn.bundle.bundle import Bundle
from churn.config.root import Config
from churn.data.id_hash import IdHash
from churn.serve.processes import Announcer, Status
from churn.serve.shared_metrics import make_files

CONNECTION, RELOAD, DRAIN, STOP = b"connection", b"reload", b"drain", b"stop"  # the orders
LONGEST_MESSAGE = 1 << 17  # bytes
AGAIN_SECONDS = 5.0  # after a process that could not start
BUSY_SECONDS = 0.01  # until a process that had no room for a connection or an order is tried again
HANGS_SECONDS = 30.0  # after which a process that has no room for an order hangs
AT_ONCE = 64  # connections accepted in one go


@dataclass(frozen=True)
class Job:
    """What a process needs to know."""

    cfg: Config
    bundle: str  # its directory
    log_folder: Path | None
    hash_id: IdHash | None
    files: list[int]  # of `SharedMetrics`
    number: int


@dataclass
class _Process:
    """A process, and what it said."""

    number: int
    process: subprocess.Popen[bytes]
    channel: socket.socket
    loads_before: int  # of the process that this one replaces, less the first one
    status: Status = field(default_factory=Status)
    refusal: Exception | None = None  # why it could not start

    @property
    def ready(self) -> bool:
        """Whether it answers."""
        return bool(self.status.digest)


class Supervisor:
    """`serve.processes` processes behind one port; SIGHUP, SIGTERM and Ctrl-C ask all of them."""

    def __init__(
        self, cfg: Config, bundle: Bundle, log_folder: Path | None, hash_id: IdHash | None = None
    ) -> None:
        self.job = Job(cfg, str(bundle.path), log_folder, hash_id, make_files(cfg.serve.processes), 0)
        self.cfg, self.status = cfg, Status(named=cfg.bundle)
        self.processes: dict[int, _Process] = {}
        self.turns = count()
        self.kept: socket.socket | None = None  # a connection that no process could take yet
        self.started = self.ending = False
        self.failure: Exception | None = None

    def run(self, listener: socket.socket) -> None:
        """Serve until a signal ends it; raises the error of a process that cannot start at first."""
        asyncio.run(self._run(listener))
        if self.failure:
            raise self.failure

    async def _run(self, listener: socket.socket) -> None:
        self.loop, self.listener = asyncio.get_running_loop(), listener
        self.ended = self.loop.create_future()
        self.loop.add_signal_handler(signal.SIGHUP, self._order, RELOAD)
        self.loop.add_signal_handler(signal.SIGTERM, self._drain)
        self.loop.add_signal_handler(signal.SIGINT, self._stop)
        self.say = Announcer(self.cfg, listener)
        for number in range(self.cfg.serve.processes):
            self._start(number)
        listener.setblocking(False)
        self.loop.add_reader(listener, self._accept)
        await self.ended

    def _start(self, number: int) -> None:
        """Start a process, with the bundle that the others serve."""
        if self.ending:
            return
        channel, its_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its_end:
            process = subprocess.Popen(
                [sys.executable, "-m", "churn.serve.worker", str(its_end.fileno())],
                pass_fds=[its_end.fileno(), *self.job.files],
                start_new_session=True,  # Ctrl-C goes to this process only
            )
        job = replace(self.job, number=number, bundle=self.status.path or self.job.bundle)
        channel.send(pickle.dumps(job))
        channel.setblocking(False)
        one = self.processes[number] = _Process(number, process, channel, max(0, self.status.loads - 1))
        self.loop.add_reader(channel, self._hear, one)

    def _accept(self) -> None:
        """Give new connections to the processes in turn; to those that answer, if there are any."""
        for _ in range(AT_ONCE):
            if self.kept is None:
                try:
                    self.kept, _ = self.listener.accept()
                except (BlockingIOError, ConnectionAbortedError):
                    return
            if not self._give(self.kept):  # all are busy: the others wait in the system's queue
                self.loop.remove_reader(self.listener)
                self.loop.call_later(BUSY_SECONDS, self._accept_again)
                return
            self.kept.close()
            self.kept = None

    def _give(self, connection: socket.socket) -> bool:
        """Give a connection to the next process that has room; False if none has."""
        able = [one for one in self.processes.values() if one.ready] or [*self.processes.values()]
        first = next(self.turns)
        return any(_pass(connection, able[(first + i) % len(able)]) for i in range(len(able)))

    def _accept_again(self) -> None:
        if self.listener.fileno() >= 0:
            self.loop.add_reader(self.listener, self._accept)
            self._accept()

    def _hear(self, one: _Process) -> None:
        """Take note of what a process says, or of its end."""
        try:
            message = one.channel.recv(LONGEST_MESSAGE)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        if not message:
            self._bury(one)
            return
        said = pickle.loads(message)
        if isinstance(said, Status):
            began = not one.ready
            one.status = replace(said, loads=said.loads + one.loads_before)
            if began and one.ready and self._is_behind(one):
                self._tell(one, RELOAD)
            self._say_together()
        else:
            one.refusal = said

    def _is_behind(self, one: _Process) -> bool:
        """Whether the others were asked to reload before this one could hear it."""
        others = [other.status for other in self.processes.values() if other.ready and other is not one]
        return any(status.loading or status.digest != one.status.digest for status in others)

    def _say_together(self) -> None:
        """Say how those do that answer; nothing before all do for the first time."""
        states = [one.status for one in self.processes.values() if one.ready]
        self.started = self.started or len(states) == self.cfg.serve.processes
        if not self.started or not states:
            return
        same = len({status.digest for status in states}) == 1
        self.status = replace(
            states[0],
            digest=states[0].digest if same else "",
            loading=any(status.loading for status in states),
            loads=min(status.loads for status in states),
            failure=next((status.failure for status in states if status.failure), ""),
            named=self.cfg.bundle,
        )
        self.say(self.status)

    def _bury(self, one: _Process) -> None:
        """Replace a process that has ended: at once, or a little later if it never answered."""
        self.loop.remove_reader(one.channel)
        one.channel.close()
        del self.processes[one.number]
        code = one.process.wait()
        if not self.started and not self.ending:
            self.failure = one.refusal or RuntimeError(f"a process of the server ended with exit code {code}")
            self._stop()
        elif not self.ending:
            why = one.refusal or (f"signal {-code}" if code < 0 else f"exit code {code}")
            print(f"churn: a process of the server ended ({why}): another one starts", file=sys.stderr)
            self.loop.call_later(0 if one.ready else AGAIN_SECONDS, self._start, one.number)
        self._end_if_alone()

    def _order(self, order: bytes) -> None:
        for one in self.processes.values():
            self._tell(one, order)

    def _tell(self, one: _Process, order: bytes, waited: float = 0.0) -> None:
        """Give a process an order; again while as many connections wait for it as the system lets."""
        try:
            one.channel.send(order)
        except BlockingIOError:
            if waited < HANGS_SECONDS:
                self.loop.call_later(BUSY_SECONDS, self._tell, one, order, waited + BUSY_SECONDS)
            else:
                one.process.kill()
        except OSError:  # it has ended, or hears nothing any more
            one.process.kill()

    def _drain(self) -> None:
        """Report unhealthy, answer for `serve.drain_seconds` more, and end; at once if asked again."""
        if self.ending:
            self._stop()
            return
        self.ending = True
        self._order(DRAIN)
        self.loop.call_later(self.cfg.serve.drain_seconds, self._close)
        self._end_if_alone()

    def _stop(self) -> None:
        """End at once, after the answers that are being computed."""
        self.ending = True
        self._close()
        self._order(STOP)
        self._end_if_alone()

    def _close(self) -> None:
        """Accept no connection any more."""
        if self.listener.fileno() >= 0:
            self.loop.remove_reader(self.listener)
            self.listener.close()
        if self.kept:
            self.kept.close()

    def _end_if_alone(self) -> None:
        if self.ending and not self.processes and not self.ended.done():
            self._close()
            self.say.close()
            self.ended.set_result(None)


def _pass(connection: socket.socket, one: _Process) -> bool:
    """Give a connection to a process; False if that is impossible."""
    try:
        socket.send_fds(one.channel, [CONNECTION], [connection.fileno()])
    except OSError:  # it has ended, or as many wait for it as the system lets
        return False
    return True
