"""Sockets that are to become connections: a client that never ends its handshake takes nobody's place."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from ssl import SSLContext

from churn.serve.connection import HEADER_SECONDS, Connection

PAUSE_SECONDS = 0.01  # after the system gave no socket, since too many files are open


class Joining:
    """At most `most` sockets whose handshake is not done, in their order; for one more the oldest goes.

    uvicorn and `Connection` know of a connection only when its handshake is done.
    """

    def __init__(self, make: Callable[[], Connection], ssl: SSLContext | None, most: int) -> None:
        self.make, self.ssl, self.most = make, ssl, most
        self.loop = asyncio.get_running_loop()
        self.listener: socket.socket | None = None
        self.tasks: dict[asyncio.Task[None], None] = {}

    def listen(self, listener: socket.socket) -> None:
        """Take what comes to a port, until `stop`."""
        listener.setblocking(False)
        self.listener = listener
        self.loop.add_reader(listener, self._accept, listener)

    def stop(self) -> None:
        """Take nothing more from the port; to be called before it is closed."""
        if self.listener:
            self.loop.remove_reader(self.listener)
            self.listener = None

    def take(self, connection: socket.socket) -> None:
        """Make a connection of a socket."""
        if self.ssl and len(self.tasks) >= self.most:  # without a handshake each is done at once
            self._end_oldest()
        task = self.loop.create_task(self._join(connection))
        self.tasks[task] = None
        task.add_done_callback(lambda task: self.tasks.pop(task, None))

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            pass
        except OSError:
            self._end_oldest()
            self.loop.remove_reader(listener)
            self.loop.call_later(PAUSE_SECONDS, self._go_on)
        else:
            self.take(connection)

    def _go_on(self) -> None:
        if self.listener:
            self.listen(self.listener)

    def _end_oldest(self) -> None:
        if self.tasks:
            oldest = next(iter(self.tasks))
            del self.tasks[oldest]
            oldest.cancel()

    async def _join(self, connection: socket.socket) -> None:
        """Answer what comes through a connection."""
        seconds = HEADER_SECONDS if self.ssl else None
        with suppress(OSError):  # the client has gone, or its handshake failed
            await self.loop.connect_accepted_socket(
                self.make, connection, ssl=self.ssl, ssl_handshake_timeout=seconds
            )
