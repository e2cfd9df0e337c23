"""The endpoint in OpenAPI's terms, and a page that shows them."""

from __future__ import annotations

from typing import Any

from churn.config.serving import ServeConfig
from churn.serve.model import ServedModel
from churn.serve.protocol import JSON_SCHEMAS
from churn.serve.routes import METRICS, MODEL

TEXT = "Churn probabilities, by Vertex AI's prediction contract."
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


def describe(cfg: ServeConfig, model: ServedModel | None) -> dict[str, Any]:
    """The routes; the predict route once there is a model."""
    paths = {
        cfg.health_route: _page("Health", {"200": "The model is warm", "503": "It is loaded, or drains"}),
        MODEL: _page("What serves: name, digest, inputs, outputs, threshold, metrics", {"200": "Facts"}),
        METRICS: _page("For Prometheus", {"200": "Metrics"}, "text/plain"),
    }
    if model:
        paths[cfg.predict_route] = {"post": _predict_schema(model)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "churn", "version": "1", "description": TEXT},
        "paths": paths,
    }


def docs_pages() -> Any:
    """An ASGI application with the page /docs and its files, which needs no internet."""
    from fastapi_offline import FastAPIOffline

    return FastAPIOffline(title="churn")


def _page(summary: str, codes: dict[str, str], kind: str = "application/json") -> dict[str, Any]:
    answers = {code: {"description": text, "content": {kind: {}}} for code, text in codes.items()}
    return {"get": {"summary": summary, "responses": answers}}


def _predict_schema(model: ServedModel) -> dict[str, Any]:
    """The predict route, with an example row."""
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
