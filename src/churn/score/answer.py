"""The bundle's answers for a chunk of customers."""

from __future__ import annotations

from typing import Any, NoReturn

import pyarrow as pa

from churn.bundle.model import Model
from churn.bundle.reasons import reason_columns
from churn.data.coded import ArrowFeatures
from churn.data.dataset import Schema
from churn.data.features import id_column
from churn.data.sources.chunk import Chunk
from churn.score.output import sort_outputs


def score_chunk(
    model: Model, chunk: Chunk, features: ArrowFeatures | None, reasons: bool = False
) -> pa.Table:
    """One row per customer: the id if the table has one, then the bundle's outputs, reasons in words.

    `features` are those of the chunk, or None if some cell cannot be used. Raises `UserError`, which names
    these cells.
    """
    schema = model.bundle.schema
    if features is None or chunk.broken:
        refuse(chunk, schema)
    outputs = model.answer(features, reasons or None)
    table: dict[str, Any] = {name: pa.array(outputs[name]) for name in sort_outputs(outputs)}
    if "reason_1" in outputs:
        table |= reason_columns(outputs, features)
    if (name := schema.id) and name in chunk.table.column_names:
        table = {name: _ids(chunk, name)} | table
    return pa.table(table)


def refuse(chunk: Chunk, schema: Schema) -> NoReturn:
    """Raise the error that names the cells of a chunk that cannot be used."""
    from churn.data.sources import files
    from churn.data.validate import to_features

    to_features(files.to_raw_table(chunk.file, [chunk]), schema)
    raise AssertionError(f"{chunk.file}: a cell cannot be used, but to_features accepts all")


def _ids(chunk: Chunk, name: str) -> pa.Array | pa.ChunkedArray:
    """The ids, digit for digit: as whole numbers if the whole table has them so, else as text."""
    column = chunk.table[name]
    if chunk.typed and pa.types.is_integer(column.type):
        return column
    return pa.array(id_column(column).texts, pa.string())
