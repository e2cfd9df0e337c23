"""The features of an Arrow table on the way into the graph, without a pandas copy.

A text is looked at once, however many rows have it: what a category means is decided for its few different
texts, and each row keeps a code. What a cell means is decided by `churn.data.infer.cells`, as everywhere.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from churn.data.dataset import Schema
from churn.data.infer.cells import TOO_LARGE, strip_point_zero, to_numbers, to_text
from churn.data.sources.parquet import PANDAS_TYPES


class DictionaryColumn(NamedTuple):
    """A column of texts: the text of row i is `levels[codes[i]]`."""

    levels: np.ndarray  # [k] object, str
    codes: np.ndarray  # [n] int32

    @property
    def texts(self) -> np.ndarray:
        """[n] the to_text themselves."""
        return self.levels[self.codes]

    def looked_up(self, words: dict[str, int]) -> np.ndarray:
        """[n] int32 where each row's text is in a vocabulary, 0 where it is not."""
        return np.array([words.get(level, 0) for level in self.levels], np.int32)[self.codes]


ArrowFeatures = dict[
    str, "np.ndarray | DictionaryColumn"
]  # by the name of the feature; numbers float32 with NaN


def to_arrow_features(table: pa.Table, schema: Schema) -> ArrowFeatures | None:
    """The features of a table as the readers of `churn.data` give it; the same as `validate.features`.

    None where a column is missing or a cell cannot be used: `validate.features` says which.
    """
    if not set(schema.features) <= set(table.column_names):
        return None
    found: ArrowFeatures = {}
    for name in schema.numeric:
        value = _number_column(table[name], schema)
        if value is None:
            return None
        found[name] = value
    return found | {name: dictionary_column(table[name], schema.missing) for name in schema.categorical}


def to_matrices(rows: ArrowFeatures, schema: Schema, words: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """[F, n] float32 to_numbers, and [C, n] int32 codes of the to_text by a vocabulary."""
    numbers = [np.asarray(rows[name]) for name in schema.numeric]
    coded = [rows[name] for name in schema.categorical]
    codes = [column.looked_up(words) for column in coded if isinstance(column, DictionaryColumn)]
    count = len((numbers or codes)[0])
    return np.array(numbers, np.float32).reshape(-1, count), np.array(codes, np.int32).reshape(-1, count)


def dictionary_column(column: pa.ChunkedArray, missing: Collection[str] = ()) -> DictionaryColumn:
    """The texts of a column, blank where they mean "missing"."""
    coded = _encode_dictionary(column)
    levels = to_text(_to_series(coded.dictionary), missing).to_numpy(object)
    codes = coded.indices.cast(pa.int32()).fill_null(len(levels)).to_numpy(zero_copy_only=False)
    return DictionaryColumn(np.append(levels, ""), codes)


def _number_column(column: pa.ChunkedArray, schema: Schema) -> np.ndarray | None:
    """[n] float32, NaN where missing; None if a cell is neither a number nor missing."""
    if _is_text(column.type) and not pa.types.is_dictionary(column.type):
        value = _parse_plain_numbers(column, schema)
        if value is not None:
            return value
    missing, codes = {*schema.missing, *schema.missing_numbers}, None
    cells = column
    if _is_text(column.type):
        coded = _encode_dictionary(column)
        cells, codes = coded.dictionary, coded.indices.fill_null(len(coded.dictionary))
    value, *unusable = to_numbers(_to_series(cells), missing, schema.decimal, schema.thousands)
    if np.any(unusable):
        return None
    value = value.astype(np.float32)
    return value if codes is None else np.append(value, np.float32(np.nan))[codes.to_numpy()]


def _parse_plain_numbers(column: pa.ChunkedArray, schema: Schema) -> np.ndarray | None:
    """[n] float32 of texts that Arrow reads as numbers; None where a closer look is needed."""
    if schema.decimal != "." or schema.thousands:
        return None
    plain = {strip_point_zero(word) for word in (*schema.missing, *schema.missing_numbers)}
    whole = {f"{word}.0" for word in plain if strip_point_zero(f"{word}.0") == word}
    words = pa.array(["", *plain, *whole], column.type)
    try:
        known = pc.if_else(pc.is_in(column, words), pa.scalar(None, column.type), column)
        value = known.cast(pa.float64())
    except pa.ArrowInvalid:
        return None
    least_and_greatest = pc.min_max(value)
    extremes = [least_and_greatest["min"].as_py() or 0.0, least_and_greatest["max"].as_py() or 0.0]
    if pc.any(pc.is_nan(value)).as_py() or max(map(abs, extremes)) >= TOO_LARGE:
        return None
    return value.to_numpy().astype(np.float32)


def _encode_dictionary(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """Any column as one array of codes and the different values, as text where they are none."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    chunks = column.unify_dictionaries().combine_chunks()
    return chunks.combine_chunks() if isinstance(chunks, pa.ChunkedArray) else chunks


def _is_text(kind: pa.DataType) -> bool:
    """Whether the cells of a column are texts."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _to_series(values: pa.Array | pa.ChunkedArray) -> pd.Series:
    """The pandas column that `RawTable.frame` would have of these cells."""
    return values.to_pandas(types_mapper=PANDAS_TYPES.get, use_threads=False)
