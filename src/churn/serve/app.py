"""The endpoint's routes: the predict route by hand, because that is fast, all others by FastAPI."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any
from uuid import uuid4

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import PlainTextResponse
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from churn.config.serving import ServeConfig
from churn.serve.batching import Batcher
from churn.serve.gate import Gate, Headers
from churn.serve.metrics import Metrics
from churn.serve.protocol import JSON_SCHEMAS, RefusedError
from churn.serve.welcome import welcome_page

CLOSING = (401, 403, 405, 413, 415)  # errors for which the body is not read to its end
ANSWERS = {  # of the predict route, by code
    "200": "One prediction per instance, in the same order",
    "400": "What is wrong in which row and field, for the first rows",
    "401": "The token is missing or wrong",
    "403": "Another host's name, or a page of another site",
    "408": "The request did not arrive in time",
    "413": "The body is too long",
    "415": "The body does not say that it is JSON",
    "431": "The headers are too long",
    "500": "The model failed",
    "503": "The model is being loaded, or there are too many connections",
}
LONGEST_ID = 128  # characters that are kept of a request id that a client sends


class Endpoint:
    """The ASGI application. `batcher` is None until the first model is warm.

    Predict requests do not pass through FastAPI, because its own work costs more than the model's.
    """

    def __init__(self, cfg: ServeConfig, metrics: Metrics) -> None:
        self.cfg, self.metrics = cfg, metrics
        self.batcher: Batcher | None = None
        self.draining = False
        self.gate = Gate(cfg)
        self.trouble: Callable[[], str] = str  # what is wrong with the log; "" for nothing
        self.process, self.numbers = uuid4().hex, count()  # of the request ids that the server gives
        self.other_routes = _other_routes(self)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"] == self.cfg.health_route:
            await self.other_routes(scope, receive, send)
        elif scope["path"] == self.cfg.predict_route and scope["method"] == "POST":
            await self._predict(scope, receive, send)
        else:
            await self._other(scope, receive, send)

    async def _predict(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a predict request with predictions or with an error."""
        self.metrics.in_flight += 1
        headers = dict(scope["headers"])
        identity = _request_id(headers) or f"{self.process}-{next(self.numbers)}"
        try:
            self.gate.check_post(headers)
            body = await self.answer(identity, await _read_body(receive, self.cfg.max_request_bytes))
            self.metrics.requests["200"] += 1
            await _send_json(send, 200, body, identity, self.draining)
        except RefusedError as refused:
            await self._refuse(send, refused, identity)
        finally:
            self.metrics.in_flight -= 1

    async def _other(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer any other request but those for the health."""
        try:
            self.gate.check_caller(dict(scope["headers"]))
            if scope["path"] == self.cfg.predict_route:
                raise RefusedError(405, "method", "send rows with POST", headers=[(b"allow", b"POST")])
        except RefusedError as refused:
            await self._refuse(send, refused, "")
        else:
            await self.other_routes(scope, receive, send)

    async def answer_surplus(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request on a connection that is one too many: the health keeps its place."""
        if scope["type"] == "http" and scope["path"] != self.cfg.health_route:
            close = [(b"connection", b"close")]
            refused = RefusedError(503, "connections", "too many connections: try again", headers=close)
            await self._refuse(send, refused, "")
        else:
            await self.other_routes(scope, receive, send)

    async def _refuse(self, send: Any, refused: RefusedError, identity: str) -> None:
        """Count an error and send it; where the body may not have been read, the connection ends."""
        self.metrics.refused(refused.code, refused.reason)
        close = self.draining or refused.code in CLOSING
        await _send_json(send, refused.code, refused.body(), identity, close, refused.headers)

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
        self.other_routes.openapi_schema = None


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
        raise RefusedError(413, "size", f"the body has more than {max_bytes:,} bytes: send fewer rows")
    return body if len(parts) == 1 else b"".join(parts)


def _request_id(headers: Headers) -> str:
    """The request id that the client sent (X-Request-Id), or ""."""
    return headers.get(b"x-request-id", b"")[:LONGEST_ID].decode("latin-1")


async def _send_json(
    send: Any, code: int, body: bytes, identity: str, close: bool, more: Sequence[tuple[bytes, bytes]] = ()
) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *more,
    ]
    if identity:
        headers.append((b"x-request-id", identity.encode("latin-1")))
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": code, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _other_routes(endpoint: Endpoint) -> FastAPI:
    """Health, model information, metrics, and the OpenAPI page."""
    about = "Churn probabilities, by Vertex AI's prediction contract."
    app = FastAPIOffline(title="churn", description=about)  # /docs works without internet

    @app.get("/", include_in_schema=False)
    async def welcome(request: Request) -> Response:
        if endpoint.batcher is None:
            return Response("The model is being loaded.", 503, media_type="text/plain")
        model = endpoint.batcher.model
        address = f"{request.base_url}{endpoint.cfg.predict_route.lstrip('/')}"
        page = welcome_page(model.bundle.facts, model.example, address, endpoint.cfg.health_route)
        return Response(page, media_type="text/html")

    @app.get(endpoint.cfg.health_route)
    async def health(response: Response) -> dict[str, str]:
        """200 once the model is loaded and has answered a row; 503 before, and while the server drains.

        `log` says what is wrong where the log cannot be written.
        """
        state = "draining" if endpoint.draining else "ready" if endpoint.batcher else "loading"
        response.status_code = 200 if state == "ready" else 503
        trouble = endpoint.trouble()
        return {"status": state} | ({"log": trouble} if trouble else {})

    @app.get("/model")
    async def model(response: Response) -> dict[str, Any]:
        """What serves: name, digest, inputs, outputs, threshold, metrics."""
        if endpoint.batcher is None:
            response.status_code = 503
            return {"status": "loading"}
        model = endpoint.batcher.model
        return {**model.description, "digest": model.bundle.digest, **model.bundle.facts}

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(generate_latest(endpoint.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    app.openapi = lambda: _openapi_schema(app, endpoint)
    return app


def _openapi_schema(app: FastAPI, endpoint: Endpoint) -> dict[str, Any]:
    """FastAPI's description of its routes, and the predict route, which it does not know."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version="1", description=app.description, routes=app.routes)
        if endpoint.batcher is None:
            return schema
        schema["paths"][endpoint.cfg.predict_route] = {"post": _predict_schema(endpoint.batcher.model)}
        app.openapi_schema = schema
    return app.openapi_schema


def _predict_schema(model: Any) -> dict[str, Any]:
    """The predict route in OpenAPI's terms, with an example row."""
    kinds = model.fields.kinds
    row = {
        "type": "object",
        "properties": {name: JSON_SCHEMAS[kind] for name, kind in kinds.items()},
        "required": [] if model.read.lenient else list(kinds),
        "additionalProperties": False,
    }
    body = {
        "type": "object",
        "properties": {"instances": {"type": "array", "items": row, "minItems": 1}, "parameters": {}},
        "required": ["instances"],
        "additionalProperties": False,
        "example": {"instances": [model.example]},
    }
    return {
        "summary": "Predict",
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {code: {"description": meaning} for code, meaning in ANSWERS.items()},
    }
