"""The bundle's answers for a chunk of customers."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute

from churn.bundle.bundle import REASONS, Bundle
from churn.bundle.reasons import reason_columns
from churn.data.contract import CUSTOMER_KEY
from churn.data.features import ArrowFeatures, id_column
from churn.data.sources import files
from churn.data.sources.chunk import Chunk
from churn.data.validate import to_features
from churn.score.candidates import sort_outputs


def score_chunk(
    bundle: Bundle, chunk: Chunk, features: ArrowFeatures | None, reasons: bool = False
) -> pa.Table:
    """One row per customer: the id if the table has one, then the bundle's outputs, reasons in words.

    `features` are those of the chunk, or None if some cell cannot be used. Raises `UserError`, which names
    these cells.
    """
    if features is None or chunk.broken:
        to_features(files.to_raw_table(chunk.file, [chunk]), bundle.schema)  # raises the error
        raise AssertionError(f"{chunk.file}: a cell cannot be used, but to_features accepts all")
    outputs = bundle.run(features, signature=REASONS) if reasons else bundle.run_coded(features)
    outputs.pop(CUSTOMER_KEY, None)  # the table has the id itself
    table = {name: _to_arrow(outputs[name]) for name in sort_outputs(outputs)}
    if "reason_1" in table:
        frame = to_features(files.to_raw_table(chunk.file, [chunk]), bundle.schema)
        columns = {name: column.to_numpy(zero_copy_only=False) for name, column in table.items()}
        table |= reason_columns(columns, frame)
    if (name := bundle.schema.id) and name in chunk.table.column_names:
        table = {name: _ids(chunk, name)} | table
    return pa.table(table)


def _ids(chunk: Chunk, name: str) -> pa.Array | pa.ChunkedArray:
    """The ids, digit for digit: as whole numbers if the whole table has them so, else as text."""
    column = chunk.table[name]
    if chunk.typed and pa.types.is_integer(column.type):
        return column
    return pa.array(id_column(column).texts, pa.string())


def _to_arrow(tensor: object) -> pa.Array:
    """An output of the graph as an Arrow column, text in place of bytes."""
    column = pa.array(tensor.numpy())  # type: ignore[attr-defined]
    return column.cast(pa.string()) if pa.types.is_binary(column.type) else column
