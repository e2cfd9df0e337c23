"""DuckDB on this machine: tables staged once, sorted by customer; then snapshots customer by customer.

The expressions are the same as for any engine. What is DuckDB's own is how they run: customers get numbers,
events are sorted by them on disk, and the query answers for a stretch of customers at a time, so that memory
has a bound that does not grow with the tables. Each stretch is one thread's work: sums do not depend on the
number of threads.
"""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.backends.sql.compilers.duckdb import DuckDBCompiler

from churn.config.data import BigQueryConfig
from churn.config.events import ChurnKind, Engine, EventsConfig, TableConfig
from churn.data.sources.formats import is_parquet
from churn.data.sources.paths import SourceFile, local_files
from churn.errors import UserError
from churn.events import reading
from churn.events.definition import (
    BIGQUERY,
    columns_of,
    label_days,
    reach,
    tables_of,
    with_copies_dropped,
    with_levels,
)
from churn.events.names import CUSTOMER, CUTOFF, slug
from churn.events.normal import Normal
from churn.events.reading import Reading, table_place
from churn.events.snapshot import snapshot
from churn.events.windows import OTHER

if TYPE_CHECKING:
    from collections.abc import Callable

PART_ROWS = 50_000  # of a snapshot that are made together, about


@dataclass
class Workspace:
    """A DuckDB database with the tables of a definition, and what was found while they were read."""

    con: duckdb.DuckDBPyConnection
    folder: Path
    cfg: EventsConfig
    billed: BigQueryConfig
    raw: dict[str, ir.Table] = field(default_factory=dict)  # as they came
    tables: dict[str, ir.Table] = field(default_factory=dict)  # normal, customers as numbers
    readings: dict[str, Reading] = field(default_factory=dict)  # of those that were text
    population: str = ""  # the table that says who is a customer
    customers: int = 0
    lost: dict[str, int] = field(default_factory=dict)  # rows without a customer or a time, by table
    copies: dict[str, int] = field(default_factory=dict)  # events that are there already, by table

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The result of a query."""
        return self.con.execute(sql).fetchall()

    def one(self, sql: str) -> Any:
        """The only cell of a result."""
        return self.rows(sql)[0][0]


@contextmanager
def open_workspace(cfg: EventsConfig, billed: BigQueryConfig | None = None) -> Iterator[Workspace]:
    """The staged tables of a definition, with its levels found; gone when the block ends.

    `billed`: how tables of BigQuery are read. Raises `UserError` for tables that cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="churn-", dir=cfg.scratch) as name, _explained():
        folder = Path(name)
        settings = {
            "memory_limit": f"{cfg.memory_gb}GB",
            "threads": cfg.threads or os.cpu_count() or 1,
            "temp_directory": str(folder / "spill"),
        }
        with duckdb.connect(str(folder / "work.duckdb"), config=settings) as con:
            con.execute("SET TimeZone = 'UTC'")
            work = Workspace(con, folder, cfg, billed or BigQueryConfig())
            for table, spec in tables_of(cfg).items():
                work.raw[table] = _register(work, table, spec)
            work.cfg = with_copies_dropped(with_levels(cfg, _find_levels(work)), _copies_to_drop(work))
            _stage(work)
            yield work


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what DuckDB says of files, disk and memory into `UserError`."""
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise UserError(
            f"DuckDB needs more memory, or more room in its folder: {str(error).splitlines()[0]}",
            "events.memory_gb, events.scratch",
            "allow more: events.memory_gb=4",
        ) from error
    except (duckdb.IOException, duckdb.InvalidInputException) as error:
        if isinstance(error, duckdb.InvalidInputException) and "read file" not in str(error):
            raise
        raise UserError(
            f"a file cannot be read or written: {str(error).splitlines()[0]}",
            "events",
            "copy or export the table again; events.scratch names a folder with more room",
        ) from error


def to_sql(expression: ir.Table) -> str:
    """An expression as DuckDB's SQL."""
    return DuckDBCompiler().to_sqlglot(expression).sql("duckdb")


def _register(work: Workspace, name: str, spec: TableConfig) -> ir.Table:
    """The raw table as a view of the database; what is no typed Parquet is written as such first."""
    place, view = table_place(work.cfg, spec), f"raw_{name}"
    typed = [] if place.startswith(BIGQUERY) else _typed_files(work, place, spec)
    zoned: list[str] = []
    if not typed:
        file = work.folder / f"{view}.parquet"
        found = reading.write_typed(
            reading.read_chunks(place, spec, work.billed), spec, file, place, work.cfg.max_bad_rows
        )
        work.readings[name], typed = found, [str(file)]
        zoned = [column for column, count in found.zoned.items() if count]
    columns = [
        f"timezone('UTC', {_quoted(column)}) AS {_quoted(column)}" if column in zoned else _quoted(column)
        for column in columns_of(spec)
    ]
    paths = ", ".join("'" + path.replace("'", "''") + "'" for path in typed)
    work.con.execute(f"CREATE VIEW {view} AS SELECT {', '.join(columns)} FROM read_parquet([{paths}])")
    kinds = {row[0]: row[1] for row in work.rows(f"DESCRIBE {view}")}
    return ibis.table({column: _ibis_type(kind) for column, kind in kinds.items()}, name=view)


def _ibis_type(kind: str) -> str:
    """Ibis' name of one of DuckDB's types."""
    if kind == "TIMESTAMP WITH TIME ZONE":
        return "timestamp('UTC')"
    if kind.startswith("TIMESTAMP"):
        return "timestamp"
    if kind.endswith("INT") or kind in ("INTEGER", "UINTEGER", "HUGEINT"):
        return "int64"
    return {"DATE": "date", "VARCHAR": "string", "BOOLEAN": "boolean"}.get(kind, "float64")


def _typed_files(work: Workspace, place: str, spec: TableConfig) -> list[str]:
    """The Parquet files of a table whose times are times and whose numbers are numbers; else none."""
    with local_files(place) as places:
        if "://" in place or not all(map(is_parquet, places)):
            return []
        schemas = [_read_schema(one) for one in places]
    for one, schema in zip(places, schemas, strict=True):
        reading.check_columns(schema.names, spec, one.name)
        for column, key in columns_of(spec).items():
            kind = schema.field(column).type
            if key in reading.TIMES and not (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
                return []  # 20240531 is a date, 1717113600 a second: the reader of texts knows both
            if key in reading.NUMBERS and not (
                pa.types.is_integer(kind)
                or pa.types.is_floating(kind)
                or pa.types.is_decimal(kind)
                or pa.types.is_boolean(kind)
            ):
                return []
            if kind != schemas[0].field(column).type:
                raise UserError(
                    f"column '{column}' is {kind}, in {places[0].name} {schemas[0].field(column).type}",
                    one.name,
                )
    return [str(one.path) for one in places]


def _read_schema(place: SourceFile) -> pa.Schema:
    """The columns of a Parquet file; raises `UserError` for a damaged one."""
    try:
        return pq.read_schema(place.path)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"the file is damaged: {error}", place.name, "copy or export it again") from None


def _quoted(name: str) -> str:
    """A column's name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def _find_levels(work: Workspace) -> dict[str, dict[str, list[str]]]:
    """The most frequent texts of each category whose levels are left open, by table and column."""
    normal, found = Normal(work.cfg.timezone), dict[str, dict[str, list[str]]]()
    for name, spec in work.cfg.tables.items():
        found[name] = {}
        for column in (column for column in spec.categories if column not in spec.levels):
            rows = normal.chosen(work.raw[name], spec)
            counts = rows.select(text=normal.text(rows[column])).group_by("text").agg(n=ibis._.count())
            sql = f"SELECT text FROM ({to_sql(counts)}) WHERE text IS NOT NULL ORDER BY n DESC, text"
            levels = [text for (text,) in work.rows(f"{sql} LIMIT {work.cfg.max_levels}")]
            found[name][column] = levels[1:] if len(levels) == 2 else sorted(levels)  # of two, one says all
    return found


def _copies_to_drop(work: Workspace) -> dict[str, bool]:
    """Whether copies of an event are one event: not where times are days only, of which many may be alike."""
    return {name: not _whole_days(work, name, str(spec.time)) for name, spec in work.cfg.tables.items()}


def _whole_days(work: Workspace, name: str, column: str) -> bool:
    """Whether the times of a column are days."""
    if name in work.readings:
        return work.readings[name].whole_days.get(column, True)
    return work.raw[name][column].type().is_date()


def _stage(work: Workspace) -> None:
    """Number the customers and write the normal tables, sorted by customer and time."""
    cfg = work.cfg
    normal = _normal_tables(work)
    by_events = cfg.churn.kind is ChurnKind.cancelled and cfg.churn.table in cfg.tables
    work.population = str(cfg.churn.begin if by_events else cfg.churn.table)
    ids = to_sql(normal[work.population].select(CUSTOMER).distinct())
    work.con.execute(
        f"CREATE TABLE all_people AS SELECT (row_number() OVER (ORDER BY id) - 1)::INTEGER AS {CUSTOMER}, id "
        f"FROM (SELECT {CUSTOMER} AS id FROM ({ids}))"
    )
    work.customers = work.one("SELECT count(*) FROM all_people")
    for name, table in normal.items():
        order = ", ".join(
            [f"p.{CUSTOMER}", *(f"n.{key}" for key in ("time", "begin", "since") if key in table.columns)]
        )
        columns = ", ".join(f"n.{_quoted(column)}" for column in table.columns if column != CUSTOMER)
        work.con.execute(
            f"CREATE TABLE all_{name} AS SELECT p.{CUSTOMER}, {columns} FROM ({to_sql(table)}) n "
            f"LEFT JOIN all_people p ON p.id = n.{CUSTOMER} ORDER BY {order}"
        )
        work.con.execute(f"CREATE VIEW {name} AS SELECT * FROM all_{name}")
        chosen = to_sql(Normal(cfg.timezone).chosen(work.raw[name], tables_of(cfg)[name]))
        work.lost[name] = work.one(f"SELECT count(*) FROM ({chosen})") - work.one(
            f"SELECT count(*) FROM all_{name}"
        )
        work.tables[name] = ibis.table({**table.schema(), CUSTOMER: "int32"}, name=name)
    work.copies = {name: _count_copies(work, name) for name in cfg.tables}


def _count_copies(work: Workspace, name: str) -> int:
    """Events that are there already, alike in all that is read of them."""
    alike = f"{CUSTOMER} = lag({CUSTOMER}) OVER () AND time = lag(time) OVER ()"  # they are sorted by both
    if not work.one(f"SELECT count(*) FROM (SELECT {alike} AS same FROM all_{name}) WHERE same"):
        return 0
    return work.one(
        f"SELECT coalesce(sum(n - 1), 0)::BIGINT FROM (SELECT *, count(*) AS n FROM all_{name} GROUP BY ALL)"
    )


def _normal_tables(work: Workspace) -> dict[str, ir.Table]:
    """The normal form of every table; copies of events are still there, to be counted."""
    cfg, raw, normal = work.cfg, work.raw, Normal(work.cfg.timezone, Engine.duckdb)
    events = {
        name: normal.events(raw[name], replace(spec, drop_copies=False)) for name, spec in cfg.tables.items()
    }
    contracts = {name: normal.contracts(raw[name], spec) for name, spec in cfg.contracts.items()}
    return (
        events
        | contracts
        | {name: normal.properties(raw[name], spec) for name, spec in cfg.properties.items()}
    )


def fill_ages(work: Workspace, cutoffs: list[int]) -> ir.Table:
    """The table of days, cut-offs and the days between them; replaces the one before."""
    cfg = work.cfg
    before, after = max(reach(cfg.windows), cfg.churn.lookback), 1 - label_days(cfg.churn, cfg.horizon)
    listed = ", ".join(map(str, cutoffs))
    work.con.execute(
        "CREATE OR REPLACE TABLE ages AS "
        "SELECT (cutoff - age)::BIGINT AS day, cutoff::BIGINT AS cutoff, age::BIGINT AS age "
        f"FROM unnest([{listed}]) c(cutoff), range({after}, {before + 1}) a(age)"
    )
    return ibis.table({"day": "int64", "cutoff": "int64", "age": "int64"}, name="ages")


def snapshot_parts(work: Workspace, cutoffs: list[int], labelled: bool = True) -> Iterator[pa.Table]:
    """The rows of a snapshot, stretch by stretch of customers, sorted by customer and cut-off.

    Features are float32, texts string, the cut-off a date.
    """
    whole = {name: _whole_columns(work, name) for name in work.cfg.tables}
    expression = snapshot(work.tables, work.cfg, fill_ages(work, cutoffs), labelled, whole)
    columns = ", ".join(_output(name, kind.is_floating()) for name, kind in expression.schema().items())
    sql = (
        f"SELECT {columns} FROM ({to_sql(expression)}) s JOIN people p ON p.{CUSTOMER} = s.{CUSTOMER} "
        f"ORDER BY s.{CUSTOMER}, s.{CUTOFF}"
    )
    step = max(1, PART_ROWS // len(cutoffs))
    threads = work.one("SELECT current_setting('threads')")
    work.con.execute("SET threads = 1")  # each part is the work of the thread that asks
    try:
        parts = ((first, first + step) for first in range(0, work.customers, step))
        yield from _in_order(lambda part: _make_part(work, sql, *part), parts, threads)
    finally:
        work.con.execute(f"SET threads = {threads}")


def _whole_columns(work: Workspace, name: str) -> set[str]:
    """Values of which none is missing, and categories without texts beyond their levels."""
    spec = work.cfg.tables[name]
    lacking = {column: f'"value_{slug(column)}" IS NULL' for column in spec.values}
    lacking |= {column: f'"level_{slug(column)}" = {OTHER}' for column in spec.categories}
    if not lacking:
        return set()
    counts = work.rows(
        f"SELECT {', '.join(f'count_if({told})' for told in lacking.values())} FROM all_{name}"
    )[0]
    return {column for column, count in zip(lacking, counts, strict=True) if not count}


def _output(name: str, is_number: bool) -> str:
    """A column of the snapshot as it is written."""
    if name == CUSTOMER:
        return f"p.id AS {CUSTOMER}"
    if name == CUTOFF:
        return f"DATE '1970-01-01' + s.{CUTOFF}::INTEGER AS {CUTOFF}"
    return f"s.{_quoted(name)}" + (f"::FLOAT AS {_quoted(name)}" if is_number else "")


def _make_part(work: Workspace, sql: str, first: int, end: int) -> pa.Table:
    """The rows of the customers with the numbers first <= n < end."""
    with work.con.cursor() as cursor:
        for name in ("people", *work.tables):
            once = "DISTINCT" if work.copies.get(name) and work.cfg.tables[name].drop_copies else ""
            cursor.execute(
                f"CREATE OR REPLACE TEMP VIEW {name} AS SELECT {once} * FROM all_{name} "
                f"WHERE {CUSTOMER} >= {first} AND {CUSTOMER} < {end}"
            )
        return cursor.sql(sql).fetch_arrow_table()


def _in_order(make: Callable[[Any], pa.Table], parts: Iterator[Any], threads: int) -> Iterator[pa.Table]:
    """The results in the order of the parts, `threads` of them made at a time."""
    with ThreadPoolExecutor(threads) as pool:
        coming: deque[Any] = deque()
        for part in parts:
            coming.append(pool.submit(make, part))
            if len(coming) > threads:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
