"""The content of the prediction log: the header of a file, and a line for each answered request.

Names of fields are only in the header. Without them the log has half the size, and is turned into Parquet in
half the time. `churn.serve.log.read` reads both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from churn.data.contract import CUSTOMER_KEY
from churn.data.id_hash import IdHash
from churn.serve.model import ServedModel
from churn.serve.protocol import RequestRows

# The last field of a prediction. No text of another one looks so: its quotation marks have a backslash.
_KEY = re.compile(rb',"%s":"[^"\\]*(?:\\.[^"\\]*)*"\}' % CUSTOMER_KEY.encode())
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
    ids: Sequence[str],
    requests: Iterable[RequestRows],
    predictions: Iterable[bytes],
    numbers: int,
    hash_id: IdHash | None,
) -> bytes:
    """A line for each request: id, time, rows (in each row numbers first, `numbers` of them), predictions.

    hash_id: its hashes take the place of the customers' ids; the predictions are then logged without them.
    """
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    lines = []
    for id, rows, answer in zip(ids, requests, predictions, strict=True):
        values = [row[:numbers] for row in rows]
        if hash_id is None:
            texts = [row[numbers:] for row in rows]
        else:
            texts = [(*row[numbers:-1], hash_id(row[-1])) for row in rows]
            answer = _KEY.sub(b"}", answer)
        lines.append(_Line(id, now, values, texts, msgspec.Raw(answer)))
    return _encode_lines(lines)
