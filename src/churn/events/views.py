"""The tables of a definition as views of DuckDB; what is no typed Parquet is written as such first."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from glob import escape
from pathlib import Path

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from churn.config.data import BigQueryConfig
from churn.config.events import EventsConfig, TableConfig
from churn.data.infer.cells import TOO_LARGE
from churn.data.sources.formats import is_parquet
from churn.data.sources.paths import SourceFile, local_files
from churn.data.spelling import spelling_steps
from churn.errors import UserError
from churn.events import reading
from churn.events.definition import columns_of, table_keys, tables_of
from churn.events.reading import Reading, table_place

# DuckDB 1.4.5 misreads decimals of more than 38 digits; Parquet's statistics do not tell of 16-bit infinity.
NUMERIC = (
    *(pa.types.is_integer, pa.types.is_boolean, pa.types.is_decimal128),
    *(pa.types.is_float32, pa.types.is_float64),
)
TEXTUAL = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer)


@dataclass(frozen=True)
class View:
    """A raw table as the database sees it."""

    table: ir.Table
    reading: Reading | None  # what was found while it was read; None for typed Parquet


def read_view(
    con: duckdb.DuckDBPyConnection, folder: Path, name: str, cfg: EventsConfig, billed: BigQueryConfig
) -> View:
    """The raw table of a name as a view of the database; `folder`: for what has to be written first.

    Raises `UserError` for a table that cannot be read, or lacks columns that the definition names.
    """
    spec = tables_of(cfg)[name]
    place, view, found = table_place(cfg, spec), f"raw_{name}", None
    files = [] if "://" in place else _typed_files(place, spec)
    if not files or _has_odd_levels(con, files, spec):
        file = folder / f"{view}.parquet"
        chunks = partial(reading.read_chunks, place, spec, billed)
        found = reading.write_typed(chunks, spec, file, place, table_keys(cfg, name), cfg.max_bad_rows)
        files = [str(file)]
    zoned = {column for column, count in found.zoned.items() if count} if found else set()
    columns = {column: column in zoned for column in columns_of(spec)}
    return View(_create_view(con, view, files, columns), found)


def _create_view(
    con: duckdb.DuckDBPyConnection, view: str, files: list[str], columns: dict[str, bool]
) -> ir.Table:
    """A view of some columns of Parquet files; `columns`: whether times of it are UTC, unsaid."""
    source = _source(files)
    raw = {row[0]: row[1] for row in con.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}
    ragged = _ragged_texts(con, source, [name for name in columns if raw[name] == "VARCHAR"])
    read = {name: _as_read(name, raw[name], name in ragged, is_utc) for name, is_utc in columns.items()}
    chosen = [f"{sql} AS {quoted(name)}" for name, sql in read.items()]
    con.execute(f"CREATE VIEW {view} AS SELECT {', '.join(chosen)} FROM {source}")
    kinds = {row[0]: row[1] for row in con.execute(f"DESCRIBE {view}").fetchall()}
    return ibis.table({column: _ibis_type(kind) for column, kind in kinds.items()}, name=view)


def _source(files: list[str]) -> str:
    """Parquet files as DuckDB reads them."""
    paths = ", ".join("'" + escape(path).replace("'", "''") + "'" for path in files)
    return f"read_parquet([{paths}], hive_partitioning = false)"


def _has_odd_levels(con: duckdb.DuckDBPyConnection, files: list[str], spec: TableConfig) -> bool:
    """Whether some of the few texts of a column end in blanks other than spaces, or mean "missing"."""
    blanks, *_, missing = (pattern for pattern, _ in spelling_steps())
    few = [name for name, key in columns_of(spec).items() if key in ("categories", "categorical", "only")]
    texts = (f"SELECT DISTINCT trim({quoted(name)}::VARCHAR) AS text FROM {_source(files)}" for name in few)
    odd = f"coalesce(bool_or(regexp_matches(text, '{blanks}') OR regexp_matches(text, '{missing}')), false)"
    return any(con.execute(f"SELECT {odd} FROM ({sql})").fetchall()[0][0] for sql in texts)


def _ragged_texts(con: duckdb.DuckDBPyConnection, source: str, texts: list[str]) -> set[str]:
    """The columns of which some texts have blanks at an end: to trim the others takes time for nothing."""
    if not texts:
        return set()
    some = ", ".join(
        f"coalesce(bool_or(CASE WHEN strlen({name}) = length({name}) "  # ASCII, which has one such blank
        f"THEN prefix({name}, ' ') OR suffix({name}, ' ') ELSE {name} <> trim({name}) END), false)"
        for name in map(quoted, texts)
    )
    found = con.execute(f"SELECT {some} FROM {source}").fetchall()[0]
    return {name for name, is_ragged in zip(texts, found, strict=True) if is_ragged}


def _as_read(column: str, kind: str, is_ragged: bool, is_utc: bool) -> str:
    """A column in SQL, as the reader of other formats gives it: texts trimmed, NaN as missing."""
    name = quoted(column)
    if is_utc:
        return f"timezone('UTC', {name})"
    if is_ragged:
        return f"trim({name})"
    if kind in ("FLOAT", "DOUBLE"):
        # `= 'NaN'` is false for DuckDB 1.4.5 where Parquet's statistics have no NaN; in 32 bits squares are
        # too inexact for a spread
        return f"CASE WHEN isnan({name}) THEN NULL ELSE {name}::DOUBLE END"
    return f"{name}::DOUBLE" if kind.startswith("DECIMAL") else name  # as decimals, sums and squares overflow


def _ibis_type(kind: str) -> str:
    """Ibis' name of one of DuckDB's types."""
    if kind == "TIMESTAMP WITH TIME ZONE":
        return "timestamp('UTC')"
    if kind.startswith("TIMESTAMP"):
        return "timestamp"
    if kind.endswith("INT") or kind in ("INTEGER", "UINTEGER", "HUGEINT"):
        return "int64"
    return {"DATE": "date", "VARCHAR": "string", "BOOLEAN": "boolean"}.get(kind, "float64")


def _typed_files(place: str, spec: TableConfig) -> list[str]:
    """The Parquet files of a table, if DuckDB reads them as the loader would; else none.

    It does not where they are packed, copies of gs://, or differ in their types, where a column is in the
    names of folders, another differs only in capitals, or a number is infinite.
    """
    with local_files(place) as files:
        if not all(map(is_parquet, files)):
            return []
        found = [_read_metadata(file) for file in files]
    schemas = [metadata.schema.to_arrow_schema() for metadata in found]
    for file, schema in zip(files, schemas, strict=True):
        reading.check_columns([*schema.names, *file.keys], spec, file.name)
    columns = columns_of(spec)
    is_typed = all(
        [name.lower() for name in schema.names].count(column.lower()) == schema.names.count(column) == 1
        and schema.field(column).type == schemas[0].field(column).type
        and _is_typed(schema.field(column).type, key)
        for schema in schemas
        for column, key in columns.items()
    )
    if not is_typed or not all(_is_finite(metadata, columns) for metadata in found):
        return []
    return [str(file.path) for file in files] if all(file.path.exists() for file in files) else []


def _is_finite(metadata: pq.FileMetaData, columns: Collection[str]) -> bool:
    """Whether the statistics of a file say that no decimal number is infinite, or as large as that."""
    groups = (metadata.row_group(i) for i in range(metadata.num_row_groups))
    return all(
        (known := chunk.statistics) is not None
        and (max(-known.min, known.max) < TOO_LARGE if known.has_min_max else not known.num_values)
        for group in groups
        if group.num_rows
        for chunk in map(group.column, range(group.num_columns))
        if chunk.physical_type in ("FLOAT", "DOUBLE") and chunk.path_in_schema in columns
    )


def _is_typed(kind: pa.DataType, key: str) -> bool:
    """Whether a column has the type that its key needs: 20240531 and 1717113600 are left to the reader."""
    if key in reading.TIMES:
        return pa.types.is_timestamp(kind) or pa.types.is_date(kind)
    if key in reading.NUMBERS:
        return any(of(kind) for of in NUMERIC)
    levels = kind.value_type if pa.types.is_dictionary(kind) else kind
    return any(of(levels) for of in TEXTUAL)  # 7.0 and true are left to the reader, which spells them


def _read_metadata(place: SourceFile) -> pq.FileMetaData:
    """The columns of a Parquet file, and statistics of them; raises `UserError` for a damaged one."""
    try:
        return pq.read_metadata(place.path)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"the file is damaged: {error}", place.name, "copy or export it again") from None


def quoted(name: str) -> str:
    """A column's name in SQL."""
    return '"' + name.replace('"', '""') + '"'
