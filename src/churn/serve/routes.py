"""The routes of the server: two that the configuration or Vertex AI names, and the others."""

from __future__ import annotations

import os
import re

from churn.config.serving import ServeConfig
from churn.errors import UserError

START, DOCS, MODEL, METRICS, OPENAPI = "/", "/docs", "/model", "/metrics", "/openapi.json"
DOCS_FILES = "/static-offline-docs"  # as fastapi-offline calls it
_OTHERS = (DOCS, MODEL, METRICS, OPENAPI)
_VARIABLES = {"serve.predict_route": "AIP_PREDICT_ROUTE", "serve.health_route": "AIP_HEALTH_ROUTE"}


def check_routes(cfg: ServeConfig) -> None:
    """Raise `UserError` if the route of the predictions or of the health is none, or is taken."""
    routes = {"serve.predict_route": cfg.predict_route, "serve.health_route": cfg.health_route}
    for key, route in routes.items():
        where = f"{_VARIABLES[key] if _VARIABLES[key] in os.environ else key}={route}"
        if not re.fullmatch(r"/[^?#%\s]*", route):
            do = "write a path that begins with / and has no blank, ?, # or %, such as /predict"
            raise UserError("this is no route", where, do)
        is_start = route == START and key == "serve.health_route"
        if is_start or route in _OTHERS or route.startswith(f"{DOCS_FILES}/"):
            raise UserError("the server has another page there", where, "name another route")
    if cfg.predict_route == cfg.health_route:
        what = "predictions and health have the same route"
        raise UserError(what, cfg.predict_route, "name two: serve.predict_route=... serve.health_route=...")
