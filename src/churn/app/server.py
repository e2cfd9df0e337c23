"""The app as an ASGI application: who may open it, the page, and the reports of the runs."""

from __future__ import annotations

import hmac
import os
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from shiny import App
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.staticfiles import StaticFiles

from churn.app import models
from churn.app.page import page
from churn.app.session import serve_session
from churn.config.root import Config
from churn.serve.gate import TOKEN, Gate
from churn.serve.refused import RefusedError

COOKIE = "churn_token"


class Guarded:
    """Lets in whom the endpoint lets in; a browser shows the token once, as ?token=, and gets a cookie."""

    def __init__(self, inner: Any, cfg: Config) -> None:
        self.inner, self.gate, self.token = inner, Gate(cfg.serve), os.environ.get(TOKEN)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self.inner(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if scope["type"] == "http" and self._shows_token(scope):
            answer = RedirectResponse(scope["path"], 303)
            answer.set_cookie(COOKIE, quote(self.token or ""), httponly=True, samesite="strict")
            await answer(scope, receive, send)
            return
        try:
            self._check(headers, scope["type"] == "websocket")
        except RefusedError as refused:
            await _refuse(refused, scope, receive, send)
        else:
            await self.inner(scope, receive, send)

    def _check(self, headers: dict[bytes, bytes], socket: bool) -> None:
        cookie = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1")).get(COOKIE)
        shown = cookie.value.encode() if cookie else b""
        if self.token and hmac.compare_digest(shown, quote(self.token).encode()):
            headers = {**headers, b"authorization": f"Bearer {self.token}".encode()}
        self.gate.check_caller(headers)
        origin = urlsplit(headers.get(b"origin", b"").decode("latin-1")).netloc
        if socket and origin.encode("latin-1") != headers.get(b"host", b""):
            raise RefusedError(403, "origin", "pages of other sites may not use this one")

    def _shows_token(self, scope: Any) -> bool:
        shown = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        return bool(self.token) and hmac.compare_digest(shown.encode(), str(self.token).encode())


async def _refuse(refused: RefusedError, scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    text = "open the page as .../?token=TOKEN" if refused.code == 401 else str(refused)
    await PlainTextResponse(text, refused.code)(scope, receive, send)


class _Reports(StaticFiles):
    """The pages of runs and of the monitor, and nothing else of their folder."""

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        """The file of a page; none for any other."""
        return super().lookup_path(path) if path.endswith(("report.html", "card.md")) else ("", None)


def make_app(cfg: Config) -> Any:
    """The application that `churn app` serves."""
    root = Path(cfg.run.root)
    root.mkdir(parents=True, exist_ok=True)
    app = App(lambda request: page(models.list_models(cfg)), serve_session(cfg))
    app.starlette_app.mount("/files", _Reports(directory=root))
    # The page comes before the mount in Shiny's routes, which take everything.
    routes = app.starlette_app.router.routes
    routes.insert(0, routes.pop())
    return Guarded(app, cfg)
