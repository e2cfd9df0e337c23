"""Tables and queries of databases: any address that SQLAlchemy knows, and SQLite and DuckDB files.

Nothing is changed: files are opened for reading only, a query must be one SELECT, and the transaction is
rolled back. Passwords stay out of messages and files (`churn.config.secrets`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa

from churn.config.data import DataConfig
from churn.config.secrets import hide_passwords, reveal_password
from churn.data.sources.chunk import Chunk
from churn.data.sources.columns import from_python, refuse_nested
from churn.data.sources.parquet import typed_chunks
from churn.data.sources.paths import SourceFile
from churn.errors import UserError, did_you_mean, missing_extra, quoted

SELECT = re.compile(r"\s*(?:--[^\n]*\n\s*|/\*[\s\S]*?\*/\s*)*(?:select|with|values|\()\b", re.IGNORECASE)
CHANGES = re.compile(r"\b(?:insert|update|delete|merge|drop|alter|create|truncate|into)\b", re.IGNORECASE)
LITERALS = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|--[^\n]*|/\*[\s\S]*?\*/")
# The tables and views of a DuckDB file: as `data.table` names them, and quoted.
DUCKDB_TABLES = """
SELECT if(table_schema = 'main', '', table_schema || '.') || table_name,
       '"' || replace(table_schema, '"', '""') || '"."' || replace(table_name, '"', '""') || '"'
FROM information_schema.tables ORDER BY ALL
"""


def sqlite_chunks(source: SourceFile, cfg: DataConfig, rows: int) -> Iterator[Chunk]:
    """A table or query of a SQLite file, in chunks; the first has the columns and no rows."""
    place = quote(str(source.path.resolve()))
    return _query_chunks(f"sqlite:///file:{place}?mode=ro&uri=true", source.name, cfg, rows)


def address_chunks(address: str, cfg: DataConfig, rows: int) -> Iterator[Chunk]:
    """The same of the database at an address such as postgresql://USER@HOST/NAME.

    Raises `UserError` for an address that SQLAlchemy does not know, and for what the database refuses.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    if address.startswith(("http://", "https://")):
        do = f"training downloads it: data.url={address}; elsewhere download it first"
        raise UserError("this is the address of a page, not of a database", address, do)
    try:
        url = make_url(reveal_password(address))
    except ArgumentError:
        do = "name a file, gs://BUCKET/..., or a database such as postgresql://USER@HOST/NAME"
        raise UserError("this is neither a path nor the address of a database", address, do) from None
    if url.drivername == "sqlite" and url.database and not url.query:
        if not Path(url.database).is_file():
            raise UserError("there is no such file", address, "sqlite:///FILE, sqlite:////FOLDER/FILE")
        yield from sqlite_chunks(SourceFile(Path(url.database), address), cfg, rows)
        return
    if url.drivername == "duckdb":
        yield from duckdb_chunks(SourceFile(Path(url.database or ""), address), cfg, rows)
        return
    if url.drivername == "postgresql" and not find_spec("psycopg2") and find_spec("pg8000"):
        url = url.set(drivername="postgresql+pg8000")
    yield from _query_chunks(url, hide_passwords(address), cfg, rows)


def _query_chunks(url: Any, name: str, cfg: DataConfig, rows: int) -> Iterator[Chunk]:
    """The rows of the configured table or query, streamed."""
    with _explain_refusals(name), _connected(url, name) as connection:
        statement, note = _statement(connection, name, cfg)
        result = connection.exec_driver_sql(statement)
        names = list(result.keys())
        yield Chunk(
            name,
            pa.table([pa.array([], pa.string())] * len(names), names),
            np.empty(0, int),
            note,
            unit="row",
        )
        row = 1
        for part in result.partitions(rows):
            table = pa.table([from_python(cells, cfg.decimal) for cells in zip(*part, strict=True)], names)
            yield Chunk(name, table, np.arange(row, row + len(part)), note, unit="row")
            row += len(part)


@contextmanager
def _connected(url: Any, name: str) -> Iterator[Any]:
    """A connection that reads a few rows at a time, and changes nothing."""
    import sqlalchemy
    from sqlalchemy.exc import NoSuchModuleError

    try:
        engine = sqlalchemy.create_engine(url)
    except NoSuchModuleError:
        what = "SQLAlchemy does not know this kind of database"
        do = "install its dialect; or, if it is a store of files, copy them here or to gs://"
        raise UserError(what, name, do) from None
    except ImportError as error:
        raise UserError(
            f"the driver {error.name} is not installed", name, f"pip install {error.name}"
        ) from None
    # Without parameters a percent sign of a query is one.
    options: dict[str, Any] = {"stream_results": True, "max_row_buffer": 10_000, "no_parameters": True}
    if engine.dialect.name == "postgresql":
        options["postgresql_readonly"] = True
    try:
        with engine.connect().execution_options(**options) as connection:
            yield connection  # the end of the block rolls back
    finally:
        engine.dispose()


def _statement(connection: Any, name: str, cfg: DataConfig) -> tuple[str, str]:
    """The SELECT to run, and a phrase for the terminal."""
    import sqlalchemy

    if cfg.query is not None:
        return _checked_query(cfg), f"{connection.dialect.name}, a query"
    inspector = sqlalchemy.inspect(connection)
    schema, _, table = (cfg.table or "").rpartition(".")
    found = [*inspector.get_table_names(schema or None), *inspector.get_view_names(schema or None)]
    table = choose_table(found, table or None, name, "data.table")
    rows = sqlalchemy.select(sqlalchemy.text("*")).select_from(sqlalchemy.table(table, schema=schema or None))
    note = f"{connection.dialect.name}, table {quoted(table)}"
    return str(rows.compile(dialect=connection.dialect)), note


def choose_table(found: Sequence[str], chosen: str | None, name: str, key: str) -> str:
    """The chosen table, or the only one; raises `UserError` that lists them if that is not clear."""
    listed = ", ".join(map(quoted, found)) or "none"
    if chosen is not None:
        if chosen not in found:
            what = f"there is no table {quoted(chosen)}{did_you_mean(chosen, found)}"
            raise UserError(what, f"{name}: {listed}", f"see {key}")
        return chosen
    if len(found) != 1:
        raise UserError("it is not clear which table to read", f"{name}: {listed}", f"name it: {key}=TABLE")
    return found[0]


def _checked_query(cfg: DataConfig) -> str:
    """The query; raises `UserError` if it is not one SELECT, which changes nothing."""
    query = str(cfg.query).strip().rstrip(";")
    plain = LITERALS.sub("", query)
    if cfg.table is not None:
        raise UserError("name a table or a query", "data.table, data.query", "set one, the other to null")
    if not SELECT.match(query) or ";" in plain or CHANGES.search(plain):
        raise UserError("the query is not one SELECT: it could change data", "data.query", "write one SELECT")
    return query


@contextmanager
def _explain_refusals(name: str) -> Iterator[None]:
    """Turn the errors of a database in the block into `UserError`, without its address."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except SQLAlchemyError as error:
        reason = hide_passwords(str(getattr(error, "orig", None) or error)).strip()
        do = "check the address, the rights, and data.table or data.query"
        raise UserError(f"the database refuses: {reason}", name, do) from None


def duckdb_chunks(source: SourceFile, cfg: DataConfig, rows: int) -> Iterator[Chunk]:
    """A table or query of a DuckDB file, in chunks; the first has the columns and no rows."""
    try:
        import duckdb
    except ImportError:
        raise missing_extra("duckdb", "tables") from None
    try:
        with duckdb.connect(str(source.path), read_only=True) as connection:
            query, note = _checked_query(cfg) if cfg.query else "", "DuckDB, a query"
            if not query:
                found = dict(connection.execute(DUCKDB_TABLES).fetchall())
                table = choose_table(list(found), cfg.table, source.name, "data.table")
                query = f"SELECT * FROM {found[table]}"
                note = f"DuckDB, table {quoted(table)}"
            reader = connection.execute(query).fetch_record_batch(rows)
            refuse_nested(reader.schema, cfg, source.name)
            yield from typed_chunks(source.name, reader.schema, map(_to_table, reader), note)
    except duckdb.Error as error:
        raise UserError(f"DuckDB refuses: {error}", source.name, "check data.table or data.query") from None


def _to_table(batch: pa.RecordBatch) -> pa.Table:
    return pa.table(batch)
