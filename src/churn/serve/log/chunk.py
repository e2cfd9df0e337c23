"""A chunk of the log: the table that `churn.serve.log.read` describes, put together from its columns."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from churn.data.contract import CUSTOMER_KEY, MISSING_BELOW


def assemble(first: dict[str, Any], inputs: dict[str, pa.Array], outputs: pa.StructArray) -> pa.Table:
    """A chunk, its columns in the order that `churn.serve.log.read` gives."""
    columns = first | {CUSTOMER_KEY: inputs[CUSTOMER_KEY]}
    for name, values in inputs.items():
        if name != CUSTOMER_KEY:
            columns[f"inputs.{name}"] = _null_missing(values)
    for name, values in struct_fields(outputs).items():
        if name != CUSTOMER_KEY:
            columns[f"outputs.{name}"] = values
    return pa.table(columns)


def struct_fields(rows: pa.StructArray) -> dict[str, pa.Array]:
    """The columns of an array of structs by name."""
    return dict(zip(rows.type.names, rows.flatten(), strict=True))


def _null_missing(values: pa.Array) -> pa.Array:
    """Null in place of the number that means "missing"; other types as they are."""
    if not pa.types.is_floating(values.type):
        return values
    return pc.if_else(pc.less_equal(values, MISSING_BELOW), pa.scalar(None, values.type), values)
