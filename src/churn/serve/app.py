"""The endpoint's routes. There are six, so that no framework is loaded for them."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any
from uuid import uuid4

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from churn.config.serving import ServeConfig
from churn.serve.batching import Batcher
from churn.serve.gate import Gate, Headers
from churn.serve.metrics import Metrics
from churn.serve.openapi import describe, docs_pages
from churn.serve.refused import RefusedError
from churn.serve.welcome import welcome_page

CLOSING = (401, 403, 405, 413, 415)  # errors for which the body is not read to its end
JSON, HTML = b"application/json", b"text/html; charset=utf-8"
READING = ("GET", "HEAD")
DOCS_FILES = "/static-offline-docs"  # as fastapi-offline calls it
LONGEST_ID = 128  # characters that are kept of a request id that a client sends


Page = tuple[int, bytes, bytes]  # code, type and content of an answer


class Endpoint:
    """The ASGI application. `batcher` is None until the first model is warm.

    Predict requests do not pass through FastAPI, because its own work costs more than the model's.
    """

    def __init__(self, cfg: ServeConfig, metrics: Metrics) -> None:
        self.cfg, self.metrics = cfg, metrics
        self.batcher: Batcher | None = None
        self.draining = False
        self.gate = Gate(cfg)
        self.total: Callable[[], Metrics] = lambda: metrics  # of all processes that serve
        self.trouble: Callable[[], str] = str  # what is wrong with the log; "" for nothing
        self.process, self.numbers = uuid4().hex, count()  # of the request ids that the server gives
        self.docs: Any = None  # loaded when somebody asks for them
        self.pages: dict[str, Callable[[], Page]] = {
            cfg.health_route: self._health,
            "/model": self._model,
            "/metrics": self._metrics,
            "/openapi.json": self._openapi,
        }

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["path"] == self.cfg.predict_route and scope["method"] == "POST":
            await self._predict(scope, receive, send)
        else:
            await self._read(scope, receive, send)

    async def _predict(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a predict request with predictions or with an error."""
        self.metrics.in_flight += 1
        headers = dict(scope["headers"])
        identity = _request_id(headers) or f"{self.process}-{next(self.numbers)}"
        try:
            self.gate.check_post(headers)
            body = await self.answer(identity, await _read_body(receive, self.cfg.max_request_bytes))
            self.metrics.requests["200"] += 1
            await _send(send, (200, JSON, body), identity, self.draining)
        except RefusedError as refused:
            await self._refuse(send, refused, identity)
        finally:
            self.metrics.in_flight -= 1

    async def _read(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer any request but one for predictions. Anybody may ask for the health."""
        path, method = scope["path"], scope["method"]
        is_docs = path == "/docs" or path.startswith(f"{DOCS_FILES}/")
        try:
            if path != self.cfg.health_route:
                self.gate.check_caller(dict(scope["headers"]))
            if path == self.cfg.predict_route:
                raise RefusedError(405, "method", "send rows with POST", headers=[(b"allow", b"POST")])
            if path not in self.pages and path != "/" and not is_docs:
                raise RefusedError(404, "path", f"there is: /, /docs, {', '.join(self.pages)}")
            if method not in READING:
                raise RefusedError(405, "method", "only GET", headers=[(b"allow", b"GET, HEAD")])
        except RefusedError as refused:
            await self._refuse(send, refused, "")
        else:
            if is_docs:
                self.docs = self.docs or await asyncio.to_thread(docs_pages)
                await self.docs(scope, receive, send)
            else:
                page = self._welcome(scope) if path == "/" else self.pages[path]()
                await _send(send, page, "", self.draining)

    async def answer_surplus(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request on a connection that is one too many: the health keeps its place."""
        if scope["path"] == self.cfg.health_route:
            await self._read(scope, receive, send)
        else:
            close = [(b"connection", b"close")]
            refused = RefusedError(503, "connections", "too many connections: try again", headers=close)
            await self._refuse(send, refused, "")

    async def _refuse(self, send: Any, refused: RefusedError, identity: str) -> None:
        """Count an error and send it; where the body may not have been read, the connection ends."""
        self.metrics.refused(refused.code, refused.reason)
        close = self.draining or refused.code in CLOSING
        await _send(send, (refused.code, JSON, refused.body()), identity, close, refused.headers)

    async def answer(self, identity: str, body: bytes) -> bytes:
        """The body of the answer to a request; raises `RefusedError` where there is none."""
        batcher = self.batcher
        if batcher is None:
            raise RefusedError(503, "loading", "the model is being loaded")
        try:
            return await batcher.submit(identity, batcher.model.read(body))
        except RefusedError:
            raise
        except Exception as error:
            traceback.print_exception(error)
            raise RefusedError(500, "model", f"the model failed on request {identity}") from error

    def swap(self, batcher: Batcher) -> None:
        """Answer new requests with another model; those that wait get their answer from the old one."""
        self.batcher = batcher
        self.metrics.bundle = {
            "name": batcher.model.bundle.facts["name"],
            "digest": batcher.model.bundle.digest,
        }
        self.metrics.unseen_cells = batcher.model.unseen

    def _health(self) -> Page:
        """200 once the model is loaded and has answered a row; 503 before, and while the server drains.

        `log` says what is wrong where the log cannot be written.
        """
        state = "draining" if self.draining else "ready" if self.batcher else "loading"
        trouble = self.trouble()
        return _json(
            200 if state == "ready" else 503, {"status": state} | ({"log": trouble} if trouble else {})
        )

    def _welcome(self, scope: Any) -> Page:
        """What serves, and a request that works."""
        if self.batcher is None:
            return 503, b"text/plain", b"The model is being loaded."
        model, host = self.batcher.model, dict(scope["headers"]).get(b"host", b"localhost").decode("latin-1")
        address = f"{scope['scheme']}://{host}{self.cfg.predict_route}"
        page = welcome_page(model.bundle.facts, model.example, address, self.cfg.health_route)
        return 200, HTML, page.encode()

    def _model(self) -> Page:
        """What serves: name, digest, inputs, outputs, threshold, metrics."""
        if self.batcher is None:
            return _json(503, {"status": "loading"})
        model = self.batcher.model
        return _json(200, {**model.description, "digest": model.bundle.digest, **model.bundle.facts})

    def _metrics(self) -> Page:
        """For Prometheus."""
        return 200, CONTENT_TYPE_LATEST.encode(), generate_latest(self.total().registry)

    def _openapi(self) -> Page:
        model = self.batcher.model if self.batcher else None
        return _json(200, describe(self.cfg, model))


async def _read_body(receive: Any, max_bytes: int) -> bytes:
    """The whole body of a request; raises `RefusedError` if it is too long or does not end."""
    parts: list[bytes] = []
    size, more = 0, True
    while more and size <= max_bytes:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RefusedError(400, "gone", "the client has gone")
        body: bytes = message["body"]
        parts.append(body)
        size, more = size + len(body), message["more_body"]
    if size > max_bytes:
        while more:  # a client that still sends reads no answer; `Connection` bounds what it may send
            more = (await receive()).get("more_body", False)
        raise RefusedError(413, "size", f"the body has more than {max_bytes:,} bytes: send fewer rows")
    return body if len(parts) == 1 else b"".join(parts)


def _request_id(headers: Headers) -> str:
    """The request id that the client sent (X-Request-Id), or ""."""
    return headers.get(b"x-request-id", b"")[:LONGEST_ID].decode("latin-1")


def _json(code: int, content: dict[str, Any]) -> Page:
    return code, JSON, msgspec.json.encode(content)


async def _send(
    send: Any, page: Page, identity: str, close: bool, more: Sequence[tuple[bytes, bytes]] = ()
) -> None:
    code, kind, body = page
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), *more]
    if identity:
        headers.append((b"x-request-id", identity.encode("latin-1")))
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": code, "headers": headers})
    await send({"type": "http.response.body", "body": body})
