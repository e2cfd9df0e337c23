"""A snapshot by DuckDB, one range of customers after the other.

The expressions are the same as for any engine. What is DuckDB's own is how they run: the query answers for a
range of customers at a time, so that memory has a bound that does not grow with the tables. Each range is the
work of one thread: sums do not depend on the number of threads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from churn.events.definition import label_days, reach
from churn.events.names import CUSTOMER, CUTOFF, slug
from churn.events.snapshot import snapshot
from churn.events.views import quoted
from churn.events.windows import OTHER
from churn.events.workspace import Workspace, to_sql
from churn.events.writing import as_written

PART_ROWS = 50_000  # of a snapshot that are made together, about


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


def snapshot_parts(
    work: Workspace, cutoffs: list[int], labelled: bool = True
) -> Generator[pa.Table, None, None]:
    """The rows of a snapshot, stretch by stretch of customers, sorted by customer and cut-off.

    Features are float32, texts string, the cut-off a date.
    """
    whole = {name: _whole_columns(work, name) for name in work.cfg.tables}
    expression = snapshot(work.tables, work.cfg, fill_ages(work, cutoffs), labelled, whole)
    columns = ", ".join(f"s.{quoted(name)}" for name in expression.columns if name != CUSTOMER)
    sql = (
        f"SELECT p.id AS {CUSTOMER}, {columns} FROM ({to_sql(expression)}) s "
        f"JOIN people p ON p.{CUSTOMER} = s.{CUSTOMER}"
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
        f"SELECT {', '.join(f'count_if({condition})' for condition in lacking.values())} FROM all_{name}"
    )[0]
    return {column for column, count in zip(lacking, counts, strict=True) if not count}


def _make_part(work: Workspace, sql: str, first: int, end: int) -> pa.Table:
    """The rows of the customers with the numbers first <= n < end."""
    views = {"people": "everyone"} | {f"part_{name}": f"all_{name}" for name in work.tables}
    with work.con.cursor() as cursor:
        for view, table in views.items():
            cursor.execute(
                f"CREATE OR REPLACE TEMP VIEW {view} AS SELECT * FROM {table} "
                f"WHERE {CUSTOMER} >= {first} AND {CUSTOMER} < {end}"
            )
        made = as_written(cursor.execute(sql).fetch_arrow_table())
        return made.sort_by([(CUSTOMER, "ascending"), (CUTOFF, "ascending")])  # quicker than by DuckDB


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
