"""The endpoint's first page: what serves, a request that works, and where everything is."""

from __future__ import annotations

import html
import json
import os
import shlex
from typing import Any

from churn.bundle.choice import describe_model
from churn.serve.gate import TOKEN

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,"><title>churn: {model}</title>
<style>body {{ max-width: 50rem; margin: 0 auto; padding: 1.5rem 1rem;
font: 1rem/1.5 system-ui, sans-serif; }}
pre {{ padding: 1rem; border: 1px solid; white-space: pre-wrap; overflow-wrap: anywhere; }}
a {{ color: inherit; }}</style></head>
<body><main><h1>Churn probabilities</h1><p>Model: {model}.</p>
<h2>A request that works</h2><pre tabindex="0"><code>{curl}</code></pre>
<p>A row has exactly these fields. Numbers are numbers, categories are text (<code>"0"</code>, not 0), and
<code>customer_key</code> is the customer's id, which comes back with the answer.</p>
<ul><li><a href="docs">docs</a>: try it here</li>
<li><a href="model">model</a>: inputs, outputs, threshold, metrics</li>
<li><a href="metrics">metrics</a>: for Prometheus</li><li><a href="{health}">health</a></li></ul>
</main></body></html>
"""


def welcome_page(facts: dict[str, Any], example: dict[str, Any], address: str, health_route: str) -> str:
    """The HTML of the page; `address` is that of the predict route, `example` a row that works."""
    return PAGE.format(
        model=html.escape(describe_model(facts)),
        curl=html.escape(_curl_command(address, example)),
        health=html.escape(health_route.lstrip("/")),
    )


def _curl_command(address: str, example: dict[str, Any]) -> str:
    """The command that sends one row.

    >>> _curl_command("http://127.0.0.1:8080/predict", {"tenure": 1.0, "customer_key": ""})
    """
    body = json.dumps({"instances": [example]}, ensure_ascii=False)
    token = f" -H 'Authorization: Bearer '\"${TOKEN}\"" if os.environ.get(TOKEN) else ""
    return f"curl -s {address}{token} -H 'Content-Type: application/json' -d {shlex.quote(body)}"
