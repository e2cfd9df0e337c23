"""A process of a server of several: its connections and its orders come from the supervisor."""

from __future__ import annotations

import gc
import pickle
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from churn.bundle.bundle import Bundle
from churn.errors import UserError
from churn.refusals import refusal_of
from churn.serve.processes import Status
from churn.serve.server import Server
from churn.serve.shared_metrics import SHARE_SECONDS, SharedMetrics
from churn.serve.supervisor import CONNECTION, DRAIN, LONGEST_MESSAGE, RELOAD, STOP, Job


class Worker(Server):
    """The server, without a port: each connection arrives as a file descriptor."""

    def __init__(self, job: Job, channel: socket.socket) -> None:
        super().__init__(job.cfg, Bundle.load(Path(job.bundle)), job.log_folder, job.hash_id)
        self.channel, self.shared = channel, SharedMetrics(job.files, job.number, self.metrics)
        self.endpoint.total = self.shared.total

    def take_orders(self, sockets: list[socket.socket]) -> None:
        """Listen to the supervisor, and tell it what is loaded."""
        self.say = self._report
        self.channel.setblocking(False)
        self.loop.add_reader(self.channel, self._receive)
        self._share()

    def _report(self, status: Status) -> None:
        with suppress(OSError):  # the supervisor has ended, which the next `_receive` sees
            self.channel.send(pickle.dumps(status))

    def _receive(self) -> None:
        """Take a connection or an order. Where the supervisor has ended, drain and end."""
        try:
            order, files, *_ = socket.recv_fds(self.channel, len(CONNECTION), 1)
        except BlockingIOError:
            return
        except OSError:
            order, files = b"", []
        if files:
            self.joining.take(socket.socket(fileno=files[0]))
        elif order == RELOAD:
            self.reload()
        elif order in (DRAIN, b""):
            self.handle_exit(signal.SIGTERM, None)
        elif order == STOP:
            self.handle_exit(signal.SIGINT, None)
        if not order:
            self.loop.remove_reader(self.channel)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Do what the supervisor orders. A signal to all processes reaches it, too: it counts only once."""
        if frame is None:
            super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no connection any more, answer the requests that are there, then close the log."""
        self.loop.remove_reader(self.channel)
        await super().shutdown([])

    def _share(self) -> None:
        """Write the metrics down, again and again."""
        self.shared.write()
        self.loop.call_later(SHARE_SECONDS, self._share)


def _work(channel: socket.socket) -> None:
    """Serve, as the supervisor at the other end of the channel asks; an error of the user's goes to it."""
    gc.set_threshold(100_000)  # as `churn.__main__` does
    job: Job = pickle.loads(channel.recv(LONGEST_MESSAGE))
    try:
        Worker(job, channel).run([])
    except Exception as error:
        refused = error if isinstance(error, UserError) else refusal_of(error)
        if not refused:
            raise
        channel.setblocking(True)
        channel.send(pickle.dumps(refused))
        sys.exit(2)


if __name__ == "__main__":
    _work(socket.socket(fileno=int(sys.argv[1])))
