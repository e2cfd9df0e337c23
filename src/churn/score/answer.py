"""The answers for a chunk of customers."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute

from churn.bundle.bundle import REASONS, Bundle
from churn.data.dataset import CUSTOMER_KEY
from churn.data.features import ArrowFeatures
from churn.data.sources import files
from churn.data.sources.chunk import Chunk
from churn.data.sources.parquet import decode_dictionary
from churn.data.validate import to_features
from churn.score.call_list import reasons_in_words, sort_outputs


def score_chunk(bundle: Bundle, part: Chunk, ready: ArrowFeatures | None, reasons: bool = False) -> pa.Table:
    """One row per customer: the id where the table has one, then the bundle's outputs, reasons in words.

    `ready` are the features where all cells can be used. Raises `UserError` that names those that cannot.
    """
    if ready is None or part.broken:
        raw = files.to_raw_table(part.file, [part])
        to_features(raw, bundle.schema)  # says which
        raise AssertionError(f"{part.file}: unusable, but not why")
    outputs = bundle.run(ready, signature=REASONS) if reasons else bundle.run_coded(ready)
    outputs.pop(CUSTOMER_KEY, None)  # the id itself is here
    table = {name: _to_arrow(outputs[name]) for name in sort_outputs(outputs)}
    if "reason_1" in table:
        frame = to_features(files.to_raw_table(part.file, [part]), bundle.schema)
        table |= reasons_in_words(
            {name: column.to_numpy(zero_copy_only=False) for name, column in table.items()}, frame
        )
    if (name := bundle.schema.id) and name in part.table.column_names:
        table = {name: decode_dictionary(part.table[name])} | table
    return pa.table(table)


def _to_arrow(tensor: object) -> pa.Array:
    """An output of the graph as a column, text in place of bytes."""
    column = pa.array(tensor.numpy())  # type: ignore[attr-defined]
    return column.cast(pa.string()) if pa.types.is_binary(column.type) else column
