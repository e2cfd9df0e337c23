"""Whether the endpoint answers as the bundle does on this machine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from churn.bundle.bundle import Bundle
from churn.data.dataset import CUSTOMER_KEY, MISSING_BELOW
from churn.errors import UserError
from churn.vertex.cloud.client import Clients
from churn.vertex.cloud.deployment import Deployment, deployed_id
from churn.vertex.cloud.state import State

TOLERANCE = 1e-5  # of a probability: other TensorFlow, other processor


class MismatchError(UserError):
    """The deployed version answers otherwise than the bundle, or not at all."""


def to_instances(rows: pd.DataFrame, bundle: Bundle) -> list[dict[str, Any]]:
    """Rows as Vertex AI takes them; JSON there has neither NaN nor null, so "missing" is spelled out."""
    columns = {}
    for field in bundle.facts["inputs"]:
        values = rows[field["column"]]
        columns[field["input"]] = values.fillna(MISSING_BELOW) if field["kind"] == "number" else values
    columns[CUSTOMER_KEY] = [f"row-{i}" for i in range(len(rows))]
    table: list[dict[str, Any]] = pd.DataFrame(columns).to_dict("records")  # type: ignore[assignment]
    return table


def check_parity(
    clients: Clients, target: Deployment, state: State, bundle: Bundle, rows: pd.DataFrame, answers: int
) -> None:
    """Send rows until `answers` answers came from the bundle's deployed model; raises `MismatchError`.

    Vertex AI sends a request where the traffic split says, so most are spent on other versions.
    """
    identity = deployed_id(bundle)
    keys = np.array([f"row-{i}" for i in range(len(rows))], dtype=object)
    expected = bundle.predict(rows, keys)
    sent, body, found = _make_predictor(clients, target, state), to_instances(rows, bundle), 0
    for _ in range(20 * answers * 100 // max(state.share(identity), 1)):
        answer = sent(body)
        if answer.deployed_model_id == identity:
            _compare_answers([dict(row) for row in answer.predictions], expected)
            found += 1
        if found == answers:
            return
    raise MismatchError(f"only {found} of {answers} answers came from the new version", target.endpoint)


def _make_predictor(clients: Clients, target: Deployment, state: State) -> Any:
    """A function from instances to the endpoint's answer; a dedicated endpoint has an address of its own."""
    from google.protobuf import json_format, struct_pb2

    assert state.endpoint
    client = clients.predictions
    if dns := state.endpoint.dedicated_endpoint_dns:
        options = {"api_endpoint": dns}
        client = type(client)(
            credentials=client.transport._credentials, transport="rest", client_options=options
        )

    def send(rows: list[dict[str, Any]]) -> Any:
        values = [json_format.ParseDict(row, struct_pb2.Value()) for row in rows]
        return client.predict(endpoint=target.endpoint, instances=values)

    return send


def _compare_answers(answer: list[dict[str, Any]], expected: dict[str, np.ndarray]) -> None:
    """Raise `MismatchError` unless every output of every row is as expected."""
    rows = len(next(iter(expected.values())))
    if len(answer) != rows or any(row.keys() != expected.keys() for row in answer):
        raise MismatchError(
            f"the endpoint answers {len(answer)} rows with other outputs than the bundle's {rows}"
        )
    for name, ours in expected.items():
        theirs = [row[name] for row in answer]
        if ours.dtype == object:
            wrong = [a for a, b in zip(theirs, ours.tolist(), strict=True) if a != _decode(b)]
        else:
            apart = np.abs(np.asarray(theirs, float) - ours)
            wrong = list(apart[~(apart <= TOLERANCE)])
        if wrong:
            raise MismatchError(
                f"the endpoint's {name} is not the bundle's in {len(wrong)} of {ours.size} values"
            )


def _decode(value: Any) -> Any:
    """Strings of a graph are bytes; in lists of them too."""
    return (
        value.decode()
        if isinstance(value, bytes)
        else [_decode(v) for v in value]
        if isinstance(value, list)
        else value
    )
