"""A predict request and its answer, without ASGI.

uvicorn answers a request in a task of its own, through four messages and two writes. That costs more than
reading, computing and logging a row. So `Connection` gives predict requests to a `PredictCycle`, which has
what uvicorn's protocol uses of its own `RequestResponseCycle`.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from churn.serve.refused import CLOSING, RefusedError

if TYPE_CHECKING:
    from churn.serve.app import Endpoint

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LONGEST_ID = 128  # characters that are kept of a request id that a client sends


class PredictCycle:
    """A request whose headers are here: its body is read, and its answer sent in one write.

    `begin` is to be called when the requests before it on the same connection have their answers.
    """

    def __init__(self, endpoint: Endpoint, connection: HttpToolsProtocol) -> None:
        self.endpoint, self.connection = endpoint, connection
        self.headers, self.expects_continue = dict(connection.headers), connection.expect_100_continue
        version, keep_alive = connection.parser.get_http_version(), connection.parser.should_keep_alive()
        self.keep_alive = keep_alive and version != "1.0"
        self.identity = ""
        self.reading = False
        # uvicorn's protocol adds to the body, changes the flags, and calls `message_event.set()`.
        self.body, self.more_body = bytearray(), True
        self.response_complete = self.disconnected = False

    @property
    def message_event(self) -> PredictCycle:
        """Itself: an attribute would keep it in memory until the next garbage collection."""
        return self

    async def run_asgi(self, app: Any) -> None:
        """Begin: uvicorn calls this for a request that had to wait for the one before."""
        self.begin()

    def begin(self) -> None:
        """Check the headers, then read the body."""
        self.identity = _request_id(self.headers) or self.endpoint.next_identity()
        self.endpoint.metrics.in_flight += 1
        try:
            self.endpoint.gate.check_post(self.headers)
        except RefusedError as refused:
            self._refuse(refused)
            return
        self.reading = True
        if self.expects_continue:
            self.connection.transport.write(CONTINUE)
        self.set()

    def set(self) -> None:
        """Go on after a part of the body has arrived, or the connection was lost."""
        if not self.reading:
            return
        if self.disconnected:
            self._refuse(RefusedError(400, "gone", "the client has gone"))
        elif not self.more_body:
            self._submit()
        else:  # a client that still sends reads no answer: a body that is too long is read to its end
            del self.body[self.endpoint.cfg.max_request_bytes + 1 :]
            self.connection.flow.resume_reading()

    def abandon(self) -> None:
        """End without an answer: the connection says what is wrong with the request."""
        if self.reading:
            self.reading, self.response_complete = False, True
            self.endpoint.metrics.in_flight -= 1

    def _submit(self) -> None:
        """Ask the model, now that the body is here."""
        self.reading, most = False, self.endpoint.cfg.max_request_bytes
        body, self.body = self.body, bytearray()  # a connection that waits for its next request keeps no body
        try:
            if len(body) > most:
                raise RefusedError(413, "size", f"the body has more than {most:,} bytes: send fewer rows")
            answer = self.endpoint.submit(self.identity, body)
        except Exception as error:
            self._fail(error)
        else:
            answer.add_done_callback(self._answer)

    def _answer(self, answer: asyncio.Future[bytes]) -> None:
        if error := answer.exception():
            self._fail(error)
        else:
            self.endpoint.metrics.requests["200"] += 1
            self._send(200, answer.result())

    def _fail(self, error: BaseException) -> None:
        """Send an error; one that is no refusal is ours."""
        if isinstance(error, RefusedError):
            self._refuse(error)
        else:
            self._refuse(RefusedError(500, "model", f"the model failed on request {self.identity}"))
            traceback.print_exception(error)

    def _refuse(self, refused: RefusedError) -> None:
        """Count an error and send it; where the body may not have been read, the connection ends."""
        self.reading = False
        self.endpoint.metrics.refused(refused.code, refused.reason)
        self.keep_alive = self.keep_alive and refused.code not in CLOSING
        self._send(refused.code, refused.body(), refused.headers)

    def _send(self, code: int, body: bytes, more: Sequence[tuple[bytes, bytes]] = ()) -> None:
        """Send an answer, as soon as the client has taken enough of the one before."""
        if self.connection.flow.write_paused:
            self.connection.loop.create_task(self._write_when_drained(code, body, more))
        else:
            self._write(code, body, more)

    async def _write_when_drained(self, *answer: Any) -> None:
        await self.connection.flow.drain()
        self._write(*answer)

    def _write(self, code: int, body: bytes, more: Sequence[tuple[bytes, bytes]]) -> None:
        self.keep_alive = self.keep_alive and not self.endpoint.draining
        headers = [*self.connection.server_state.default_headers, *more]
        if not self.keep_alive:
            headers.append((b"connection", b"close"))
        head = b"%scontent-type: application/json\r\ncontent-length: %d\r\nx-request-id: %s\r\n" % (
            STATUS_LINE[code],
            len(body),
            self.identity.encode("latin-1"),
        )
        transport = self.connection.transport
        if not transport.is_closing():
            lines = [b"%s: %s\r\n" % header for header in headers]
            transport.write(b"".join([head, *lines, b"\r\n", body]))
        self.response_complete = True
        self.endpoint.metrics.in_flight -= 1
        if not self.keep_alive:
            transport.close()
        self.connection.on_response_complete()


def _request_id(headers: dict[bytes, bytes]) -> str:
    """The request id that the client sent (X-Request-Id), or ""."""
    return headers.get(b"x-request-id", b"")[:LONGEST_ID].decode("latin-1")
