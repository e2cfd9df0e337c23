"""The content of the prediction log: the header of a file, and a line for each answered request.

Names of fields are only in the header. Without them the log has half the size, and is turned into Parquet in
half the time. `churn.serve.log.read` reads both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from churn.serve.model import ServedModel
from churn.serve.protocol import RequestRows

_encode_lines = msgspec.json.Encoder().encode_lines


class _Line(msgspec.Struct, gc=False):
    request_id: str
    time: str
    numbers: list[tuple[float, ...]]
    texts: list[tuple[str, ...]]
    predictions: msgspec.Raw


def log_header(model: ServedModel) -> dict[str, Any]:
    """The first line of each file: which bundle answered, and what the values of the other lines are."""
    return {
        "bundle": model.bundle.digest,
        "name": model.bundle.facts["name"],
        "threshold": model.bundle.facts.get("threshold"),
        "numbers": model.fields.numbers,
        "texts": model.fields.texts,
        "outputs": model.outputs,
    }


def log_lines(
    ids: Sequence[str], requests: Iterable[RequestRows], predictions: Iterable[bytes], numbers: int
) -> bytes:
    """A line for each request: id, time, rows (in each row numbers first, `numbers` of them), predictions."""
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    return _encode_lines(
        [
            _Line(
                id,
                now,
                [row[:numbers] for row in rows],
                [row[numbers:] for row in rows],
                msgspec.Raw(answer),
            )
            for id, rows, answer in zip(ids, requests, predictions, strict=True)
        ]
    )
