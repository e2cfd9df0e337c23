"""The endpoint's routes. There are six, so that no framework is loaded for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any
from uuid import uuid4

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from churn.config.serving import ServeConfig
from churn.serve.batching import Batcher
from churn.serve.gate import Gate
from churn.serve.metrics import Metrics
from churn.serve.openapi import describe, docs_pages
from churn.serve.refused import CLOSING, RefusedError
from churn.serve.routes import DOCS, DOCS_FILES, METRICS, MODEL, OPENAPI, START
from churn.serve.welcome import welcome_page

JSON, HTML = b"application/json", b"text/html; charset=utf-8"
READING = ("GET", "HEAD")

Page = tuple[int, bytes, bytes]  # code, type and content of an answer


class Endpoint:
    """The routes as an ASGI application, and what `PredictCycle` asks for predictions.

    `batcher` is None until the first model is warm.
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
            MODEL: self._model,
            METRICS: self._metrics,
            OPENAPI: self._openapi,
        }

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer any request but one for predictions. Anybody may ask for the health."""
        path, method = scope["path"], scope["method"]
        is_docs = path == DOCS or path.startswith(f"{DOCS_FILES}/")
        try:
            if path != self.cfg.health_route:
                self.gate.check_caller(dict(scope["headers"]))
            if path == self.cfg.predict_route:
                raise RefusedError(405, "method", "send rows with POST", headers=[(b"allow", b"POST")])
            if path not in self.pages and path != START and not is_docs:
                raise RefusedError(404, "path", f"there is: {START}, {DOCS}, {', '.join(self.pages)}")
            if method not in READING:
                raise RefusedError(405, "method", "only GET", headers=[(b"allow", b"GET, HEAD")])
        except RefusedError as refused:
            await self._refuse(send, refused)
        else:
            if is_docs:
                self.docs = self.docs or await asyncio.to_thread(docs_pages)
                await self.docs(scope, receive, send)
            else:
                page = self._welcome(scope) if path == START else self.pages[path]()
                await _send(send, page, self.draining)

    async def answer_surplus(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request on a connection that is one too many: the health keeps its place."""
        if scope["path"] == self.cfg.health_route:
            await self(scope, receive, send)
        else:
            close = [(b"connection", b"close")]
            refused = RefusedError(503, "connections", "too many connections: try again", headers=close)
            await self._refuse(send, refused)

    async def _refuse(self, send: Any, refused: RefusedError) -> None:
        """Count an error and send it; where the body may not have been read, the connection ends."""
        self.metrics.refused(refused.code, refused.reason)
        close = self.draining or refused.code in CLOSING
        await _send(send, (refused.code, JSON, refused.body()), close, refused.headers)

    def next_identity(self) -> str:
        """The id of a request that brings none."""
        return f"{self.process}-{next(self.numbers)}"

    def submit(self, identity: str, body: bytes | bytearray) -> asyncio.Future[bytes]:
        """The body of the answer to a request, once it is there; raises `RefusedError` for a bad request."""
        batcher = self.batcher
        if batcher is None:
            if self.draining:
                raise RefusedError(503, "draining", "the server is about to end")
            raise RefusedError(503, "loading", "the model is being loaded")
        return batcher.submit(identity, batcher.model.read(body))

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


def _json(code: int, content: dict[str, Any]) -> Page:
    return code, JSON, msgspec.json.encode(content)


async def _send(send: Any, page: Page, close: bool, more: Sequence[tuple[bytes, bytes]] = ()) -> None:
    code, kind, body = page
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), *more]
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": code, "headers": headers})
    await send({"type": "http.response.body", "body": body})
