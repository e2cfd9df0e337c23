"""The features of an Arrow table, for the graph, without a pandas copy.

Each distinct text is parsed once; rows keep its code. `churn.data.infer.cells` decides what a cell means, as
everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn.data.coded import ArrowFeatures, DictionaryColumn
from churn.data.dataset import Schema
from churn.data.infer.cells import (
    EXACT,
    POINT_ZERO,
    SCIENTIFIC,
    SHORT_SCIENTIFIC,
    TOO_LARGE,
    TOO_SMALL,
    as_written,
    is_missing_code,
    spell_cells,
    to_ids,
    to_numbers,
)
from churn.data.sources.columns import decode_dictionary, is_text, pandas_type
from churn.data.spelling import FEW, NULL_MARKS, TextRules, apply_steps, level_steps

if TYPE_CHECKING:
    import pandas as pd


def to_arrow_features(table: pa.Table, schema: Schema) -> ArrowFeatures | None:
    """The features of a table from the readers of `churn.data.sources`; the same as `validate.to_features`.

    None if a column is missing or a cell cannot be used: `validate.to_features` names it.
    """
    if not set(schema.features) <= set(table.column_names):
        return None
    features: ArrowFeatures = {}
    for name in schema.numeric:
        numbers = _number_column(table[name], schema)
        if numbers is None:
            return None
        features[name] = numbers
    return features | {name: _level_column(table[name], schema) for name in schema.categorical}


def logged_column(column: pa.ChunkedArray, is_number: bool, schema: Schema) -> np.ndarray | DictionaryColumn:
    """An input as the log has it, in the meaning of the bundle: [n] float32 with NaN, or texts."""
    if not is_number:
        return _level_column(column, schema)
    numbers = column.to_numpy().astype(np.float32)
    return np.where(is_missing_code(numbers, schema), np.float32(np.nan), numbers)


def _level_column(column: pa.ChunkedArray, rules: TextRules | None = None) -> DictionaryColumn:
    """The levels of a category in their one spelling, "" where they mean "missing"."""
    return dictionary_column(column, level_steps(rules))


def dictionary_column(column: pa.ChunkedArray, steps: Sequence[tuple[str, str]]) -> DictionaryColumn:
    """The texts of a column after the steps of `churn.data.spelling`, "" where they mean "missing"."""
    encoded = _encode_dictionary(column)
    if len(encoded.dictionary) <= FEW and is_text(encoded.dictionary.type):  # most are: without pandas
        levels = [apply_steps(text or "", steps) for text in encoded.dictionary.to_pylist()]
        return DictionaryColumn(np.array([*levels, ""], object), _codes(encoded))
    return _each_level(encoded, partial(spell_cells, steps=steps))


def id_column(column: pa.ChunkedArray) -> DictionaryColumn:
    """The ids of a column, digit for digit, "" for missing ones."""
    encoded = _encode_dictionary(column)
    texts = _plain_ids(encoded.dictionary) if is_text(encoded.dictionary.type) else None
    if texts is None:
        return _each_level(encoded, to_ids)
    return DictionaryColumn(np.append(texts.to_numpy(zero_copy_only=False), ""), _codes(encoded))


def are_usable_ids(column: pa.ChunkedArray, ids: DictionaryColumn) -> bool:
    """Whether no id of a column is blank or has lost digits; `ids` is its `id_column`."""
    if pa.types.is_floating(column.type):
        wrong = pc.greater(pc.abs(column), EXACT)
        return not (column.null_count or pc.any(pc.or_(wrong, pc.is_nan(column))).as_py())
    texts = pa.array(ids.levels, pa.string())
    lost = pc.match_substring_regex(texts, f"^{SCIENTIFIC}$").to_numpy(zero_copy_only=False)
    return not ((ids.levels == "") | lost)[ids.codes].any()


def written_column(column: pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """The same as `as_written`, for texts without pandas."""
    if is_text(column.type):
        return pc.utf8_trim_whitespace(decode_dictionary(column).cast(pa.string())).fill_null("")
    return pa.array(as_written(_to_series(column)), pa.string())


def _plain_ids(texts: pa.Array) -> pa.Array | None:
    """The same as `to_ids` without pandas; None where a program wrote an id as 1e+05."""
    texts = pc.utf8_trim_whitespace(texts).fill_null("")
    texts = pc.if_else(pc.is_in(texts, pa.array(NULL_MARKS, texts.type)), "", texts)
    texts = pc.replace_substring_regex(texts, POINT_ZERO, r"\1")
    return None if pc.any(pc.match_substring_regex(texts, f"^(?:{SHORT_SCIENTIFIC})$")).as_py() else texts


def _each_level(encoded: pa.DictionaryArray, read: Callable[[pd.Series], pd.Series]) -> DictionaryColumn:
    """The texts that `read` gives for the distinct values of a column, and "" for null."""
    levels = read(_to_series(encoded.dictionary)).to_numpy(object)
    return DictionaryColumn(np.append(levels, ""), _codes(encoded))


def _codes(encoded: pa.DictionaryArray) -> np.ndarray:
    """[n] int32 the code of each row; that of null is one more than the last."""
    codes = encoded.indices.cast(pa.int32())
    codes = codes.fill_null(len(encoded.dictionary)) if codes.null_count else codes
    return codes.to_numpy(zero_copy_only=False)


def _number_column(column: pa.ChunkedArray, schema: Schema) -> np.ndarray | None:
    """[n] float32, NaN where missing; None if a cell is neither a number nor missing."""
    if not pa.types.is_dictionary(column.type):
        numbers = _parse_plain_numbers(column, schema) if is_text(column.type) else _typed_numbers(column)
        if numbers is not None:
            return _without_missing_codes(numbers, schema)
    cells, codes = column, None
    if is_text(column.type):
        encoded = _encode_dictionary(column)
        cells, codes = encoded.dictionary, encoded.indices.fill_null(len(encoded.dictionary))
    numbers, *unusable = to_numbers(_to_series(cells), schema, schema.missing_numbers)
    if np.any(unusable):
        return None
    numbers = numbers.astype(np.float32)
    return numbers if codes is None else np.append(numbers, np.float32(np.nan))[codes.to_numpy()]


def _parse_plain_numbers(column: pa.ChunkedArray, schema: Schema) -> pa.ChunkedArray | None:
    """[n] doubles of texts that Arrow's fast parser reads; None if `to_numbers` has to read them."""
    if schema.decimal != "." or schema.thousands:
        return None
    missing = pa.array(["", *NULL_MARKS, *schema.missing, *schema.missing_numbers], column.type)
    try:
        known = pc.if_else(pc.is_in(column, missing), pa.scalar(None, column.type), column)
        numbers = known.cast(pa.float64())
    except pa.ArrowInvalid:
        return None
    return None if pc.any(pc.is_nan(numbers)).as_py() or _some_are_too_large(numbers) else numbers


def _typed_numbers(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """[n] doubles of a column of numbers; None if `to_numbers` has to name a cell, or read other cells."""
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        return None
    numbers = column.cast(pa.float64(), safe=False)
    return None if _some_are_too_large(numbers) else numbers


def _some_are_too_large(numbers: pa.ChunkedArray) -> bool:
    extremes = [extreme.as_py() or 0.0 for extreme in pc.min_max(numbers).values()]
    return max(map(abs, extremes)) >= TOO_LARGE


def _without_missing_codes(numbers: pa.ChunkedArray, schema: Schema) -> np.ndarray:
    """[n] float32, NaN for null and for numbers that mean "missing"."""
    values = numbers.to_numpy().astype(np.float32)
    values[np.abs(values) < TOO_SMALL] = 0
    missing = is_missing_code(values, schema)
    return np.where(missing, np.float32(np.nan), values) if missing.any() else values


def _encode_dictionary(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """A column of any type as one array of codes and distinct values."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    chunks = column.unify_dictionaries().combine_chunks()
    return chunks.combine_chunks() if isinstance(chunks, pa.ChunkedArray) else chunks


def _to_series(values: pa.Array | pa.ChunkedArray) -> pd.Series:
    """The column of these cells in `RawTable.frame`."""
    return values.to_pandas(types_mapper=pandas_type, use_threads=False)
