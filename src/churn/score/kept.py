"""Columns that are carried along beside the scores, such as names and telephone numbers."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from churn.bundle.bundle import Bundle
from churn.bundle.reasons import reason_outputs
from churn.data.features import written_column
from churn.data.sources.chunk import Chunk
from churn.data.sources.columns import decode_dictionary
from churn.errors import UserError, did_you_mean

_OWN = ("action", "treated", "expected_profit", "row")  # columns of a call list beside the bundle's outputs


def own_columns(bundle: Bundle) -> set[str]:
    """The columns that the scores or a call list have themselves."""
    return {*_OWN, *bundle.facts.get("outputs", {}), *reason_outputs(bundle.schema)}


def check_kept(keep: Sequence[str], chunk: Chunk, bundle: Bundle) -> None:
    """Raise `UserError` for a column of `score.keep` that the table lacks, or that the scores have."""
    for name in keep:
        if name not in chunk.table.column_names:
            known = did_you_mean(name, chunk.table.column_names)
            do = f"one of: {', '.join(chunk.table.column_names)}"
            raise UserError(f"{chunk.file} has no column '{name}'{known}", "score.keep", do)
        if name in own_columns(bundle):
            raise UserError(f"the scores have a column '{name}' themselves", "score.keep", "rename it first")


def add_kept(scored: pa.Table, chunk: Chunk, keep: Sequence[str]) -> pa.Table:
    """The scores of a chunk with the columns `keep` after the id: typed as in the table, or as written."""
    first = scored.column_names[0]
    new = [name for name in dict.fromkeys(keep) if name not in scored.column_names]
    position = 1 if first in chunk.table.column_names else 0
    for number, name in enumerate(new):
        column = decode_dictionary(chunk.table[name]) if chunk.typed else written_column(chunk.table[name])
        scored = scored.add_column(position + number, name, column)
    return scored
