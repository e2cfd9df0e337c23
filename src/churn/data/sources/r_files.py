"""Data frames of R (rds, rda, RData) as chunks, by rdata with conversions of our own.

What R keeps in attributes is read: dates that are whole numbers, 64-bit integers that lie in the bits of
decimals, levels of factors, units of durations.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn.config.data import DataConfig
from churn.data.sources.chunk import Chunk
from churn.data.sources.columns import refuse_nested, simplify_types
from churn.data.sources.compressed import open_bytes
from churn.data.sources.databases import choose_table
from churn.data.sources.parquet import at_most
from churn.data.sources.paths import SourceFile
from churn.errors import UserError, missing_extra

NO_INTEGER64 = np.iinfo(np.int64).min  # NA of the package bit64
DAYS = {"secs": 1 / 86_400, "mins": 1 / 1_440, "hours": 1 / 24, "days": 1.0, "weeks": 7.0}


def r_chunks(source: SourceFile, cfg: DataConfig, rows: int) -> Iterator[Chunk]:
    """A data frame in chunks of at most `rows` rows; the first has the columns and no rows.

    Of several objects in an RData file, `cfg.table` names the one to read. Raises `UserError` for what is no
    data frame.
    """
    frames = _data_frames(_read(source))
    name = choose_table(list(frames), cfg.table, source.name, "data.table")
    table = pa.table(frames[name])
    refuse_nested(table.schema, cfg, source.name)
    table, note = simplify_types(table), "R" + f", data frame '{name}'" * bool(name)
    yield Chunk(source.name, table.slice(0, 0), np.empty(0, int), note, unit="row", typed=True)
    row = 1
    for piece in at_most(table, rows):
        yield Chunk(source.name, piece, np.arange(row, row + len(piece)), note, unit="row", typed=True)
        row += len(piece)


def _read(source: SourceFile) -> Any:
    """The objects of a file: data frames as dictionaries of Arrow columns, the rest as rdata gives it."""
    try:
        import rdata
    except ImportError:
        raise missing_extra("rdata", "tables") from None
    constructors: dict[Any, Any] = {
        "data.frame": _data_frame,
        "factor": _factor,
        "ordered": _factor,
        "Date": lambda cells, attributes: _times(cells, "D"),
        "POSIXct": lambda cells, attributes: _times(cells, "s"),
        "difftime": _duration,
        "integer64": _integer64,
    }
    try:
        with open_bytes(source) as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about classes that only R knows
            parsed = rdata.parser.parse_data(stream.read())
            return rdata.conversion.convert(parsed, constructors, default_encoding="utf_8")
    except (
        ValueError,
        NotImplementedError,
        EOFError,
        IndexError,
        AttributeError,
        TypeError,
        KeyError,
    ) as error:
        what = f"R's file cannot be read: {error}"
        raise UserError(what, source.name, "in R: write.csv(x, 'x.csv', row.names = FALSE)") from None


class _Frame(dict[str, pa.Array]):
    """The columns of a data frame."""


def _data_frames(read: Any) -> dict[str, _Frame]:
    """The data frames among the objects of a file, by name; one without a name is called ""."""
    if isinstance(read, _Frame):
        return {"": read}
    named = read if isinstance(read, Mapping) else {}
    return {name: value for name, value in named.items() if isinstance(value, _Frame)}


def _data_frame(cells: Any, attributes: Mapping[str, Any]) -> _Frame:
    """The columns of a data frame; its row names are one if they are texts."""
    columns = dict(cells) if isinstance(cells, Mapping) else {}
    frame = _Frame({str(name): _column(values) for name, values in columns.items()})
    labels = attributes["row.names"]
    if getattr(labels, "dtype", np.dtype(int)).kind in "OU" and "rownames" not in frame:
        return _Frame({"rownames": _column(labels), **frame})
    return frame


def _column(cells: Any) -> pa.Array:
    """An Arrow column of what rdata gives; lists and matrices are nested."""
    if isinstance(cells, pa.Array):
        return cells
    values = getattr(cells, "values", cells)  # of xarray, for a vector with names
    if not isinstance(values, np.ndarray) or values.ndim != 1:
        return pa.nulls(len(cells), pa.list_(pa.null()))
    if isinstance(values, np.ma.MaskedArray):
        return pa.array(values.data, mask=np.ma.getmaskarray(values))
    return pa.array(values.tolist() if values.dtype.kind in "OU" else values, from_pandas=True)


def _factor(cells: Any, attributes: Mapping[str, Any]) -> pa.Array:
    """The levels of a factor as text."""
    codes = _column(cells).cast(pa.int32())
    levels = [None if level is None else str(level) for level in attributes["levels"]]
    return pc.take(pa.array(levels, pa.string()), pc.subtract(codes, 1))


def _times(cells: Any, unit: str) -> pa.Array:
    """Days or seconds since 1970, whole numbers or not."""
    numbers = _column(cells).cast(pa.float64())
    known = numbers.is_valid().to_numpy(zero_copy_only=False)
    values = np.floor(numbers.fill_null(0).to_numpy(zero_copy_only=False)).astype(f"datetime64[{unit}]")
    return pa.array(values.astype("datetime64[s]"), pa.timestamp("s"), mask=~known)


def _duration(cells: Any, attributes: Mapping[str, Any]) -> pa.Array:
    """A duration in days, whatever its unit."""
    return pc.multiply(_column(cells).cast(pa.float64()), DAYS[str(attributes["units"][0])])


def _integer64(cells: Any, attributes: Mapping[str, Any]) -> pa.Array:
    """The 64-bit integers that the package bit64 keeps in the bits of decimals."""
    bits = np.asarray(cells, np.float64).view(np.int64)
    return pa.array(bits, mask=bits == NO_INTEGER64)
