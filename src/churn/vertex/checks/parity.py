"""Check that the endpoint's answers are those of the bundle on this machine."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from churn.bundle.bundle import Bundle
from churn.data.contract import CUSTOMER_KEY, MISSING_BELOW
from churn.errors import UserError
from churn.vertex.cloud.errors import RETRY
from churn.vertex.cloud.operations import wake
from churn.vertex.cloud.session import Session
from churn.vertex.cloud.state import State, read_state

TOLERANCE = 1e-5  # of a probability: another TensorFlow, another processor


class MismatchError(UserError):
    """The deployed version's answers differ from the bundle's, or do not come."""


def to_instances(rows: pd.DataFrame, bundle: Bundle) -> list[dict[str, Any]]:
    """Rows in the form that Vertex AI takes. JSON there has neither NaN nor null, so a value stands for them.

    >>> to_instances(rows, bundle)[0]
    {'tenure': 12.0, 'charge': -1e+30, 'contract': '', 'customer_key': 'row-0'}
    """
    columns = {}
    for field in bundle.facts["inputs"]:
        values = rows[field["column"]]
        columns[field["input"]] = values.fillna(MISSING_BELOW) if field["kind"] == "number" else values
    columns[CUSTOMER_KEY] = [f"row-{i}" for i in range(len(rows))]
    table: list[dict[str, Any]] = pd.DataFrame(columns).to_dict("records")  # type: ignore[assignment]
    return table


def check_parity(session: Session, state: State, bundle: Bundle, rows: pd.DataFrame) -> None:
    """Send rows until `deploy.answers` answers came from the bundle's version; raises `MismatchError`.

    Vertex AI distributes requests by the traffic split, so other versions answer most of them.
    """
    needed, model_id = session.deployment.config.answers, session.deployment.deployed_id(bundle)
    keys = np.array([f"row-{i}" for i in range(len(rows))], dtype=object)
    expected = bundle.predict(rows, keys)
    predict, instances, compared = _make_predictor(session, state), to_instances(rows, bundle), 0
    for _ in range(20 * needed * 100 // max(state.share(model_id), 1)):
        answer = predict(instances)
        if answer.deployed_model_id == model_id:
            compare_answers([dict(row) for row in answer.predictions], expected)
            compared += 1
        if compared == needed:
            return
    if read_state(session).share(model_id) < state.share(model_id):
        what = "another command took the version's traffic while its answers were compared"
        raise UserError(what, session.deployment.endpoint, RETRY)
    what = f"only {compared} of {needed} answers came from the new version"
    raise MismatchError(what, session.deployment.endpoint)


def _make_predictor(session: Session, state: State) -> Callable[[list[dict[str, Any]]], Any]:
    """A function from instances to the endpoint's answer; a dedicated endpoint has its own address."""
    from google.protobuf import json_format, struct_pb2

    assert state.endpoint
    client = session.clients.predictions
    if dns := state.endpoint.dedicated_endpoint_dns:
        credentials, options = client.transport._credentials, {"api_endpoint": dns}
        client = type(client)(credentials=credentials, transport="rest", client_options=options)

    def predict(instances: list[dict[str, Any]]) -> Any:
        values = [json_format.ParseDict(instance, struct_pb2.Value()) for instance in instances]
        send = partial(client.predict, endpoint=session.deployment.endpoint, instances=values)
        return wake(send) if session.deployment.config.idle_minutes else send()

    return predict


def compare_answers(rows: list[dict[str, Any]], expected: dict[str, np.ndarray]) -> None:
    """Raise `MismatchError` unless every output of every row is as expected."""
    count = len(next(iter(expected.values())))
    if len(rows) != count or any(row.keys() != expected.keys() for row in rows):
        raise MismatchError(
            f"the endpoint answers {len(rows)} rows with other outputs than the bundle's {count}"
        )
    for name, values in expected.items():
        if wrong := _count_different([row[name] for row in rows], values):
            raise MismatchError(
                f"the endpoint's {name} differs from the bundle's in {wrong} of {values.size} values"
            )


def _count_different(answers: list[Any], expected: np.ndarray) -> int:
    """How many answers differ: texts exactly, numbers by more than `TOLERANCE` or by being NaN."""
    if expected.dtype == object:
        pairs = zip(answers, expected.tolist(), strict=True)
        return sum(answer != _decode(value) for answer, value in pairs)
    gaps = np.abs(np.asarray(answers, float) - expected)
    return int(np.sum(~(gaps <= TOLERANCE)))


def _decode(value: Any) -> Any:
    """A graph's strings are bytes, also within lists."""
    if isinstance(value, list):
        return [_decode(item) for item in value]
    return value.decode() if isinstance(value, bytes) else value
