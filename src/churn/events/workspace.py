"""A DuckDB database with the tables of a definition: read, numbered by customer, sorted.

Customers get numbers and events are sorted by them on disk, so that a query can answer for one range of
customers after the other (`churn.events.duck`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir
from ibis.backends.sql.compilers.duckdb import DuckDBCompiler

from churn.config.data import BigQueryConfig
from churn.config.events import ChurnKind, EventsConfig
from churn.data.spelling import spelling_steps
from churn.errors import UserError
from churn.events.calendar import DAY
from churn.events.definition import tables_of, with_copies_dropped, with_levels
from churn.events.names import CUSTOMER
from churn.events.reading import Reading
from churn.events.staging import Staging
from churn.events.views import quoted, read_view
from churn.scratch import scratch_folder

OF_FILES = re.compile("read file|Failed to commit|fsync failed")  # in errors that have no kind of their own
DAYS = ("day", "known", "begin", "end")  # columns of staged tables that count days


@dataclass
class Workspace:
    """A DuckDB database with the tables of a definition, and what was found while they were read."""

    con: duckdb.DuckDBPyConnection
    cfg: EventsConfig
    raw: dict[str, ir.Table] = field(default_factory=dict)  # as they came
    tables: dict[str, ir.Table] = field(default_factory=dict)  # staged, customers as numbers
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
    with scratch_folder(Path(cfg.scratch) if cfg.scratch else None) as folder, _explained():
        settings = {
            "memory_limit": f"{cfg.memory_gb}GB",
            "threads": cfg.threads or os.cpu_count() or 1,
            "temp_directory": str(folder / "spill"),
        }
        with duckdb.connect(str(folder / "work.duckdb"), config=settings) as con:
            con.execute("SET TimeZone = 'UTC'")
            work = Workspace(con, cfg)
            for table in tables_of(cfg):
                view = read_view(con, folder, table, cfg, billed or BigQueryConfig())
                work.raw[table] = view.table
                if view.reading:
                    work.readings[table] = view.reading
            work.cfg = with_copies_dropped(with_levels(cfg, _find_levels(work)), _copies_to_drop(work))
            _stage(work)
            yield work


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what DuckDB says of files, disk and memory into `UserError`."""
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        what = f"DuckDB needs more memory, or more room in its folder: {str(error).splitlines()[0]}"
        do = "allow more: events.memory_gb=4"
        raise UserError(what, "events.memory_gb, events.scratch", do) from error
    except duckdb.Error as error:
        if not (isinstance(error, duckdb.IOException) or OF_FILES.search(str(error))):
            raise
        what = f"a file cannot be read or written: {str(error).splitlines()[0]}"
        do = "copy or export the table again, or name a folder with more room: events.scratch=FOLDER"
        raise UserError(what, "events", do) from error


def to_sql(expression: ir.Table) -> str:
    """An expression as DuckDB's SQL."""
    return DuckDBCompiler().to_sqlglot(expression).sql("duckdb")


def _find_levels(work: Workspace) -> dict[str, dict[str, list[str]]]:
    """The most frequent texts of each category whose levels are left open, by table and column."""
    return {
        name: {column: _levels(work, name, column) for column in spec.categories if column not in spec.levels}
        for name, spec in work.cfg.tables.items()
    }


def _levels(work: Workspace, name: str, column: str) -> list[str]:
    """The most frequent levels of a column in order, spelled alike; of two only the second: it says all."""
    staging = Staging(work.cfg.timezone)
    rows = staging.chosen(work.raw[name], work.cfg.tables[name])
    counts = rows.select(text=staging.text(rows[column])).group_by("text").agg(n=ibis._.count())
    spelled = "text"
    for pattern, replacement in spelling_steps():
        spelled = f"regexp_replace({spelled}, '{pattern}', '{replacement}', 'g')"
    found = work.rows(
        f"SELECT {spelled} AS level FROM ({to_sql(counts)}) WHERE level <> '' "
        "GROUP BY level ORDER BY sum(n) DESC, level "
        f"LIMIT {work.cfg.max_levels + 1}"  # one more, to see whether two are all
    )
    levels = [text for (text,) in found]
    return levels[1:] if len(levels) == 2 else sorted(levels[: work.cfg.max_levels])


def _copies_to_drop(work: Workspace) -> dict[str, bool]:
    """Whether copies of an event are one event, where that is left open.

    Not where times are days only, of which many may be alike.
    """
    return {
        name: not _whole_days(work, name, str(spec.time))
        for name, spec in work.cfg.tables.items()
        if spec.drop_copies is None
    }


def _whole_days(work: Workspace, name: str, column: str) -> bool:
    """Whether all times of a column are days, or midnights: in UTC, or on the local clock."""
    raw = work.raw[name]
    times = (raw.select(time=Staging(zone).seconds(raw[column])) for zone in {"UTC", work.cfg.timezone})
    whole = f"SELECT coalesce(bool_and(time % {DAY} = 0), true) FROM"
    return any(work.one(f"{whole} ({to_sql(table)})") for table in times)


def _stage(work: Workspace) -> None:
    """Number the customers and write the staged tables, sorted by customer and time."""
    staged = _staged_tables(work)
    by_events = work.cfg.churn.kind is ChurnKind.cancelled and work.cfg.churn.table in work.cfg.tables
    work.population = str(work.cfg.churn.begin if by_events else work.cfg.churn.table)
    ids = to_sql(staged[work.population].select(CUSTOMER).distinct())
    work.con.execute(
        f"CREATE TABLE everyone AS SELECT (row_number() OVER (ORDER BY id) - 1)::INTEGER AS {CUSTOMER}, id "
        f"FROM (SELECT {CUSTOMER} AS id FROM ({ids}))"
    )
    work.customers = work.one("SELECT count(*) FROM everyone")
    for name, table in staged.items():
        _write_staged(work, name, table)
    work.copies = {name: _count_copies(work, name) for name in work.cfg.tables}


def _staged_tables(work: Workspace) -> dict[str, ir.Table]:
    """The staged form of every table; copies of events are still there, to be counted."""
    cfg, raw, staging = work.cfg, work.raw, Staging(work.cfg.timezone)
    events = {name: replace(spec, drop_copies=False) for name, spec in cfg.tables.items()}
    staged = {name: staging.events(raw[name], spec) for name, spec in events.items()}
    staged |= {name: staging.contracts(raw[name], spec) for name, spec in cfg.contracts.items()}
    return staged | {name: staging.properties(raw[name], spec) for name, spec in cfg.properties.items()}


def _write_staged(work: Workspace, name: str, table: ir.Table) -> None:
    """Write a staged table, and count the rows that cannot be used."""
    times = [f"n.{key}" for key in ("time", "begin", "since") if key in table.columns]
    columns = ", ".join(_staged_column(column) for column in table.columns if column != CUSTOMER)
    work.con.execute(
        f"CREATE TABLE all_{name} AS SELECT p.{CUSTOMER}, {columns} FROM ({to_sql(table)}) n "
        f"LEFT JOIN everyone p ON p.id = n.{CUSTOMER} ORDER BY {', '.join([f'p.{CUSTOMER}', *times])}"
    )
    work.con.execute(f"CREATE VIEW part_{name} AS SELECT * FROM all_{name}")
    chosen = to_sql(Staging(work.cfg.timezone).chosen(work.raw[name], tables_of(work.cfg)[name]))
    rows, kept = (work.one(f"SELECT count(*) FROM {place}") for place in (f"({chosen})", f"all_{name}"))
    work.lost[name] = rows - kept
    work.tables[name] = ibis.table({**table.schema(), CUSTOMER: "int32"}, name=f"part_{name}")


def _staged_column(name: str) -> str:
    """A column as it is stored: days need half the room of seconds."""
    column = f"n.{quoted(name)}"
    return f"{column}::INTEGER AS {quoted(name)}" if name in DAYS else column


def _count_copies(work: Workspace, name: str) -> int:
    """Events that are there already, alike in all that is read of them; gone if copies count once."""
    alike = f"{CUSTOMER} = lag({CUSTOMER}) OVER () AND time = lag(time) OVER ()"  # they are sorted by both
    twice = f"SELECT DISTINCT {CUSTOMER}, time FROM (SELECT *, {alike} AS same FROM all_{name}) WHERE same"
    columns = ", ".join(map(quoted, work.tables[name].columns))
    copies = (
        f"SELECT row FROM (SELECT e.rowid AS row, row_number() OVER (PARTITION BY {columns}) AS place "
        f"FROM all_{name} e SEMI JOIN ({twice}) t USING ({CUSTOMER}, time)) WHERE place > 1"
    )
    if work.cfg.tables[name].drop_copies:
        return work.one(f"DELETE FROM all_{name} WHERE rowid IN ({copies})")
    return work.one(f"SELECT count(*) FROM ({copies})")
