"""Arrow columns of a few simple types, whatever the format that they were read from."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from churn.config.data import DataConfig
from churn.data.infer.cells import NO_TIME
from churn.errors import UserError, shell_override, user_error_of_many

if TYPE_CHECKING:
    import pandas as pd

EXACT = 2**53  # whole numbers up to here are exact as floating-point numbers
INTEGER_DIGITS, DOUBLE_DIGITS = 18, 15  # decimal digits that int64 and double always hold
CODED = pa.dictionary(pa.int32(), pa.string())  # parts of a table may have codes of several types
DAY = {"s": 86_400.0, "ms": 86_400e3, "us": 86_400e6, "ns": 86_400e9}


def refuse_nested(schema: pa.Schema, cfg: DataConfig, name: str) -> None:
    """Raise `UserError` for columns whose cells are not single values, unless `cfg.drop` names them."""
    problems = [
        UserError(
            f"column '{field.name}' is {field.type}: its cells are not single values",
            name,
            "flatten it in the export, or leave it out: "
            + shell_override("data.drop", *cfg.drop, field.name),
        )
        for field in schema
        if not _is_single(field.type) and field.name not in cfg.drop
    ]
    if problems:
        raise user_error_of_many("the table has nested columns", problems)


def _is_single(kind: pa.DataType) -> bool:
    """Whether cells are single values; an interval is months, days and nanoseconds side by side."""
    kind = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    return not pa.types.is_nested(kind) and not pa.types.is_interval(kind)


def simplify_types(table: pa.Table) -> pa.Table:
    """The same table with bool, int64, uint64, double, timestamp and string columns; nested ones are blank.

    Strings may be dictionary encoded; bytes that are no text become hexadecimal digits. Whole numbers keep
    every digit: decimals without a fraction that int64 does not hold become text; durations become days.
    """
    return pa.table([_simplify(column) for column in table.itercolumns()], table.column_names)


def _simplify(column: pa.ChunkedArray) -> pa.ChunkedArray:
    types, kind = pa.types, column.type
    if isinstance(kind, pa.BaseExtensionType):
        return _simplify_extension(column)
    if not _is_single(kind):
        return pa.chunked_array([pa.nulls(len(column), pa.string())])
    if types.is_duration(kind):
        return pc.divide(column.cast(pa.int64()).cast(pa.float64()), DAY[kind.unit])
    if types.is_decimal(kind) and kind.scale > 0:
        return column.cast(pa.string()).cast(pa.float64())  # Arrow's own cast makes 3.07 3.0700000000000003
    simple = _cast(column, _simple_type(kind))
    if types.is_time(kind):
        return pc.replace_substring_regex(simple, r"\.0+$", "")  # 10:30:00, as Python writes it
    if types.is_decimal(kind) and is_text(simple.type):
        return pc.replace_substring_regex(simple, "^-?0E-[0-9]+$", "0")  # as Arrow writes 0 with many digits
    return simple


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    try:
        return column.cast(kind)
    except pa.ArrowInvalid:  # some bytes are no text
        return pa.chunked_array([[cell and cell_text(cell) for cell in column.to_pylist()]], kind)


def _simplify_extension(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column without its extension type; a UUID as its usual text."""
    stored = column.cast(column.type.storage_type)
    if column.type.extension_name != "arrow.uuid":
        return _simplify(stored)
    return pa.chunked_array(
        [[cell and str(uuid.UUID(bytes=cell)) for cell in stored.to_pylist()]], pa.string()
    )


def _simple_type(kind: pa.DataType) -> pa.DataType:
    """The simplest type that holds the values of `kind`."""
    types = pa.types
    if types.is_dictionary(kind):
        return CODED if is_text(kind) else _simple_type(kind.value_type)
    if types.is_boolean(kind) or types.is_timestamp(kind) or types.is_uint64(kind):
        return kind
    if types.is_integer(kind) or (
        types.is_decimal(kind) and 0 == kind.scale <= kind.precision <= INTEGER_DIGITS
    ):
        return pa.int64()
    if types.is_floating(kind) or (types.is_decimal(kind) and kind.scale > 0):
        return pa.float64()
    return pa.timestamp("s") if types.is_date(kind) else pa.string()


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds texts, dictionary encoded or not."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def common_types(schemas: Sequence[pa.Schema]) -> dict[str, pa.DataType]:
    """The type that holds a column's cells in all of some tables of simple types: text if they differ."""
    kinds = {name: {_plain_type(schema.field(name).type) for schema in schemas} for name in schemas[0].names}
    return {name: found.pop() if len(found) == 1 else pa.string() for name, found in kinds.items()}


def _plain_type(kind: pa.DataType) -> pa.DataType:
    return pa.string() if is_text(kind) else kind


def conform(table: pa.Table, types: dict[str, pa.DataType], decimal: str = ".") -> pa.Table:
    """The columns of these names, in this order, as these types, which are their own or text.

    `decimal`: the mark with which numbers in text are read later, and so are written.
    """
    columns = [_as_type(table[name], kind, decimal) for name, kind in types.items()]
    return pa.table(columns, list(types))


def join_tables(tables: Sequence[pa.Table], decimal: str = ".") -> pa.Table:
    """Parts of one table, with the same columns in the same order, as one table.

    A column is text if its types differ, with numbers as `conform` writes them; it is dictionary encoded if
    it is in all parts.
    """
    types = common_types([table.schema for table in tables])
    coded = {
        name
        for name in types
        if all(pa.types.is_dictionary(table.schema.field(name).type) for table in tables)
    }
    return pa.concat_tables(
        pa.table(
            [table[name] if name in coded else decode_dictionary(table[name]) for name in types], list(types)
        )
        for table in (conform(table, types, decimal) for table in tables)
    )


def _as_type(column: pa.ChunkedArray, kind: pa.DataType, decimal: str) -> pa.ChunkedArray:
    """The column as it is, or as text; text stays as it is, dictionary encoded or not."""
    if column.type == kind or (is_text(kind) and is_text(column.type)):
        return column
    if pa.types.is_floating(column.type):
        return number_texts(column, decimal)
    texts = column.cast(pa.string())
    return pc.replace_substring_regex(texts, NO_TIME, "") if pa.types.is_timestamp(column.type) else texts


def number_texts(column: pa.ChunkedArray, decimal: str = ".") -> pa.ChunkedArray:
    """The numbers of a column of doubles as text; whole ones digit for digit, without ".0"; NaN is null.

    `decimal`: their decimal mark.
    """
    column = pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float64()), column)
    is_whole = pc.and_(pc.equal(pc.round(column), column), pc.less_equal(pc.abs(column), float(EXACT)))
    whole = pc.if_else(is_whole, column, pa.scalar(None, pa.float64())).cast(pa.int64()).cast(pa.string())
    texts = pc.coalesce(whole, column.cast(pa.string()))
    return texts if decimal == "." else pc.replace_substring(texts, ".", decimal)


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """The frame of a table of simple types; integers and booleans keep their type where cells are missing."""
    plain = pa.table([decode_dictionary(column) for column in table.itercolumns()], table.column_names)
    return plain.to_pandas(types_mapper=pandas_type)


def pandas_type(kind: pa.DataType) -> Any:
    """The type of pandas that keeps integers and booleans where cells are missing; None for other types."""
    import pandas as pd

    types = {pa.bool_(): pd.BooleanDtype, pa.int64(): pd.Int64Dtype, pa.uint64(): pd.UInt64Dtype}
    return types[kind]() if kind in types else None


def decode_dictionary(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column as plain texts if it is dictionary encoded."""
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def from_python(cells: Sequence[Any], decimal: str = ".") -> pa.Array:
    """A column of simple type from cells as Python's libraries give them; None and "" are missing.

    Whole numbers are integers even where a spreadsheet keeps them as decimals; if the types of the cells
    differ, all are text, with numbers as `conform` writes them.
    """
    kinds = kinds_of(cells)
    if kinds == {str}:
        return pa.array(cells, pa.string())
    cells = [None if cell == "" else cell for cell in cells] if str in kinds else cells
    kinds = kinds_of(cells) if str in kinds else kinds
    if kinds == {bool}:
        return pa.array(cells, pa.bool_())
    if kinds and kinds <= {int, float}:
        return _from_numbers(cells, kinds)
    if kinds and all(issubclass(kind, date) for kind in kinds):
        return pa.array([_naive_time(cell) for cell in cells], pa.timestamp("us"))
    if kinds == {timedelta}:
        return pa.array([None if cell is None else cell / timedelta(days=1) for cell in cells], pa.float64())
    return pa.array([None if cell is None else cell_text(cell, decimal) for cell in cells], pa.string())


def kinds_of(cells: Sequence[Any]) -> set[type]:
    """The types of cells that are not missing."""
    return set(map(type, cells)) - {type(None)}


def _from_numbers(cells: Sequence[Any], kinds: set[type]) -> pa.Array:
    """Integers if all numbers are whole and an integer holds them, text if they are too large for it."""
    if kinds == {int}:
        try:
            return pa.array(cells, pa.int64())
        except OverflowError:
            return pa.array([None if cell is None else str(cell) for cell in cells], pa.string())
    numbers = pa.array(cells, pa.float64(), from_pandas=True)
    if not pc.all(pc.equal(pc.floor(numbers), numbers)).as_py():
        return numbers
    texts = number_texts(pa.chunked_array([numbers]))
    is_whole = pc.all(pc.match_substring_regex(texts, "^-?[0-9]+$")).as_py()
    return texts.cast(pa.int64()).combine_chunks() if is_whole else numbers


def _naive_time(cell: date | None) -> datetime | None:
    """A date as a time at midnight; a time with a zone as UTC, without the zone."""
    if cell is None:
        return None
    if not isinstance(cell, datetime):
        return datetime(cell.year, cell.month, cell.day)
    return (cell - (cell.utcoffset() or timedelta())).replace(tzinfo=None)


def cell_text(cell: Any, decimal: str = ".") -> str:
    """A cell as a text file with this decimal mark would have it."""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) <= EXACT:
        return str(int(cell))
    if isinstance(cell, float | Decimal):
        return decimal_text(str(cell), decimal)
    if isinstance(cell, datetime):
        return re.sub(NO_TIME, "", cell.isoformat(" "))
    return _bytes_text(bytes(cell)) if isinstance(cell, bytes | memoryview) else str(cell)


def decimal_text(number: str, decimal: str) -> str:
    """A number that was written with a point, with this mark and without zeros at the end of a fraction."""
    return re.sub(r"\.$", "", re.sub(r"(\.[0-9]*?)0+$", r"\1", number)).replace(".", decimal)


def _bytes_text(cell: bytes) -> str:
    """Bytes as text; those that are none, such as a hash, as hexadecimal digits."""
    try:
        return cell.decode()
    except UnicodeDecodeError:
        return cell.hex()


def constant_text(text: str | None, rows: int) -> pa.Array:
    """[rows] the same text, dictionary encoded."""
    return pa.DictionaryArray.from_arrays(
        pa.repeat(pa.scalar(0, pa.int32()), rows), pa.array([text], pa.string())
    )
