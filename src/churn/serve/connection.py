"""The limits of a connection: what a stranger sends costs no more than its size, and nobody's place.

uvicorn bounds neither headers nor the time that a request takes to arrive, and closes only those idle
connections that had an answer.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from churn.serve.cycle import PredictCycle
from churn.serve.refused import RefusedError

if TYPE_CHECKING:
    from churn.serve.app import Endpoint

HEADER_BYTES = 16_384  # of all headers of a request, and of its first line
HEADER_SECONDS = 10.0  # for the headers to arrive, from the connection or their first byte on
REQUEST_SECONDS = 60.0  # for a whole request to arrive, and for an answer to be taken
NO_HTTP = "Invalid HTTP request received."
CHUNK_OVERHEAD = 8  # the bytes of a body of chunks may be so many times those of its content
QUIET, HEADERS, BODY = range(3)  # what is being received


class Connection(HttpToolsProtocol):
    """A connection with limits. `check` is to be called about once a second.

    Times are `monotonic`: the loop's clock stands still while it accepts connections, so that all of them
    would be equally old.
    """

    def __init__(self, endpoint: Endpoint, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self.endpoint, self.receiving, self.received, self.begun = endpoint, QUIET, 0, 0.0
        cfg = endpoint.cfg
        self.limits = (HEADER_BYTES, HEADER_BYTES, HEADER_BYTES + CHUNK_OVERHEAD * cfg.max_request_bytes)
        self.predict_url, self.surplus = cfg.predict_route.encode(), False
        self.refusal: RefusedError | None = None
        self.last_answer: RefusedError | None = None  # to be sent after those of the requests before

    def connection_made(self, transport: Any) -> None:
        """Take a connection. Beyond `serve.max_connections` the longest idle one goes."""
        super().connection_made(transport)
        self.begun = monotonic()
        if len(self.connections) > self.endpoint.cfg.max_connections:
            others = (other for other in self.connections if isinstance(other, Connection))
            if idle := [other for other in others if other is not self and other.is_idle()]:
                min(idle, key=lambda connection: connection.begun).transport.close()
            else:
                self.app, self.surplus = self.endpoint.answer_surplus, True

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of the requests, which refer to the connection."""
        super().connection_lost(exc)
        self.cycle = None  # type: ignore[assignment]
        self.pipeline.clear()

    def is_idle(self) -> bool:
        """Whether nothing is being received, computed or sent."""
        answered = self.cycle is None or self.cycle.response_complete
        return self.receiving == QUIET and answered and not self.transport.is_closing()

    def data_received(self, data: bytes) -> None:
        """Parse what arrived, and refuse what is too long."""
        if self.last_answer:
            return
        if self.receiving == QUIET:
            self.receiving, self.received, self.begun = HEADERS, 0, monotonic()
        self.received += len(data)
        self._unset_keepalive_if_required()
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self.logger.warning(NO_HTTP)
            self._refuse(self.refusal or RefusedError(400, "http", NO_HTTP))
        if self.received > self.limits[self.receiving]:
            self._refuse(_too_long(self.receiving))

    def _parse(self, data: bytes | memoryview) -> None:
        """Parse what arrived."""
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                data = memoryview(data)[offer.args[0] :]
                self._begin_without_offer()
            else:
                return

    def _begin_without_offer(self) -> None:
        """Parse the headers once more, without the offer of another protocol (RFC 9110, 7.8, allows that).

        The parser takes a body that follows an offer for the other protocol, and then for the next request.
        """
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        if method == b"CONNECT":
            raise httptools.HttpParserError
        lines = [b": ".join(header) for header in self.headers if header[0] != b"upgrade"]
        first = b"%s %s HTTP/%s" % (method, self.url, version)
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it
        self.parser.feed_data(b"\r\n".join([first, *lines, b"", b""]))

    def _should_upgrade(self) -> bool:
        """True: uvicorn then begins no answer to a request with an offer."""
        return True

    def on_headers_complete(self) -> None:
        """Begin to answer. For headers that are too long it raises an error, which stops the parser."""
        if self.transport.is_closing():  # the request before was refused
            return
        if self.received > HEADER_BYTES:  # of headers and body together
            size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
            if size > HEADER_BYTES:
                self.refusal = _too_long(HEADERS)
                raise self.refusal
        self.receiving, self.received = BODY, 0
        self._unset_keepalive_if_required()  # the request before may have been answered a moment ago
        if self._asks_for_predictions():
            self._predict()
        else:
            super().on_headers_complete()

    def _asks_for_predictions(self) -> bool:
        if self.surplus or self.parser.get_method() != b"POST" or self.parser.should_upgrade():
            return False
        if self.url == self.predict_url:
            return True
        path = httptools.parse_url(self.url).path.decode("ascii")
        return unquote(path) == self.endpoint.cfg.predict_route

    def _predict(self) -> None:
        """Answer without uvicorn, in the order of the requests of this connection."""
        cycle: Any = PredictCycle(self.endpoint, self)
        before, self.cycle = self.cycle, cycle
        if before is None or before.response_complete:
            cycle.begin()
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def on_message_complete(self) -> None:
        """The request is here."""
        super().on_message_complete()
        self.receiving, self.received, self.begun = QUIET, 0, monotonic()

    def on_response_complete(self) -> None:
        """Go on with the next request, and read no more while others wait."""
        last = not self.pipeline
        super().on_response_complete()
        if not last:
            self.flow.pause_reading()
        elif self.last_answer:
            self._send_last(self.last_answer)

    def check(self, now: float) -> None:
        """Close the connection if its request, or the first sign of one, takes too long to arrive."""
        waited = now - self.begun
        if waited > (REQUEST_SECONDS if self.receiving == BODY else HEADER_SECONDS):
            if self.receiving != QUIET:
                self._refuse(RefusedError(408, "slow", "the request did not arrive in time"))
            elif self.cycle is None:
                self.transport.close()
        if waited > REQUEST_SECONDS and self.transport.get_write_buffer_size():
            self.transport.abort()  # the client does not take its answer

    def _refuse(self, refused: RefusedError) -> None:
        """Answer what is being received with an error, after the requests before it, and close."""
        if self.transport.is_closing() or self.last_answer:
            return
        self.endpoint.metrics.refused(refused.code, refused.reason)
        waiting = bool(self.pipeline)
        if self.receiving == BODY:
            if waiting and self.pipeline[0][0] is self.cycle:
                self.pipeline.popleft()
            elif isinstance(self.cycle, PredictCycle):
                self.cycle.abandon()
        elif self.cycle is not None:
            waiting = not self.cycle.response_complete
        if waiting:
            self.last_answer = refused
            self.flow.pause_reading()
        else:
            self._send_last(refused)

    def _send_last(self, refused: RefusedError) -> None:
        """Send an error, and close."""
        if self.transport.is_closing():
            return
        body = refused.body()
        head = f"HTTP/1.1 {refused.code} {refused.reason}\r\ncontent-type: application/json\r\n"
        head += f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        self.transport.write(head.encode() + body)
        self.transport.close()


def _too_long(part: int) -> RefusedError:
    if part == BODY:
        return RefusedError(413, "size", "the body is too long")
    return RefusedError(431, "headers", f"the headers have more than {HEADER_BYTES:,} bytes")
