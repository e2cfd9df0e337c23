"""The endpoint in OpenAPI's terms, and a page that shows them."""

from __future__ import annotations

from typing import Any

from churn.config.serving import ServeConfig
from churn.serve.model import ServedModel
from churn.serve.protocol import EXPECTED

TEXT = "Churn probabilities, by Vertex AI's prediction contract."
DOCS = b"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>churn</title>
<link rel="stylesheet" href="https://cdn.jsdelivr.net/npm/swagger-ui-dist@5/swagger-ui.css"></head>
<body><div id="page"></div>
<script src="https://cdn.jsdelivr.net/npm/swagger-ui-dist@5/swagger-ui-bundle.js"></script>
<script>SwaggerUIBundle({url: "/openapi.json", dom_id: "#page"})</script></body></html>
"""


def describe(cfg: ServeConfig, model: ServedModel | None) -> dict[str, Any]:
    """The routes; the predict route once there is a model."""
    paths = {
        cfg.health_route: _page("Health", {"200": "The model is warm", "503": "It is loaded, or drains"}),
        "/model": _page("What serves: name, digest, inputs, outputs, threshold, metrics", {"200": "Facts"}),
        "/metrics": _page("For Prometheus", {"200": "Metrics"}),
    }
    if model:
        paths[cfg.predict_route] = {"post": _predict_schema(model)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "churn", "version": "1", "description": TEXT},
        "paths": paths,
    }


def _page(summary: str, codes: dict[str, str]) -> dict[str, Any]:
    return {"get": {"summary": summary, "responses": {c: {"description": t} for c, t in codes.items()}}}


def _predict_schema(model: ServedModel) -> dict[str, Any]:
    """The predict route, with an example row."""
    kinds = model.fields.kinds
    row = {
        "type": "object",
        "properties": {name: {"type": EXPECTED[kind].split()[-1]} for name, kind in kinds.items()},
        "required": [] if model.read.lenient else list(kinds),
        "additionalProperties": False,
    }
    body = {
        "type": "object",
        "properties": {"instances": {"type": "array", "items": row, "minItems": 1}, "parameters": {}},
        "required": ["instances"],
        "example": {"instances": [model.example]},
    }
    return {
        "summary": "Predict",
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {
            "200": {"description": "One prediction per instance, in the same order"},
            "400": {"description": "What is wrong in which row and field, for all rows"},
        },
    }
