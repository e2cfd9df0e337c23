"""BigQuery: the same expressions as one query, whose cost is told before anything is read.

What a definition leaves open is found in the data by DuckDB; here it has to be named, so that one query is
enough and a plan needs no account. BigQuery's own ways, as far as they concern these queries, are in its
compiler (tested by what comes out). Only the real service shows whether it takes the query, how long it runs
and what it bills.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis.backends.sql.compilers.bigquery import BigQueryCompiler

from churn.config.data import BigQueryConfig
from churn.config.events import Engine, EventsConfig, TableConfig
from churn.config.root import Config
from churn.data.sources import bigquery
from churn.errors import UserError, user_error_of_many
from churn.events import reading
from churn.events.calendar import cutoff_days, decided_days, to_day
from churn.events.definition import BIGQUERY, columns_of, days_to_hold, label_days, reach, tables_of
from churn.events.snapshot import snapshot
from churn.events.staging import Staging
from churn.events.writing import as_written, write_snapshot

PART_ROWS = 100_000  # of the result that are written together, about
TYPES = {  # of BigQuery, in Ibis' words
    "TIMESTAMP": "timestamp('UTC')", "DATETIME": "timestamp", "DATE": "date", "STRING": "string",
    "BOOL": "boolean", "BOOLEAN": "boolean", "INT64": "int64", "INTEGER": "int64",
    "FLOAT64": "float64", "FLOAT": "float64", "NUMERIC": "decimal(38, 9)", "BIGNUMERIC": "decimal(76, 38)",
}  # fmt: skip
TIME_TYPES = ("TIMESTAMP", "DATETIME", "DATE", "INT64", "INTEGER")
ASSUMED = {  # where there is no account to ask, by the key that names the column
    **dict.fromkeys(reading.TIMES, "date"), **dict.fromkeys(("time", "arrival"), "timestamp('UTC')"),
    **dict.fromkeys(reading.NUMBERS, "float64"),
}  # fmt: skip


def print_plan(cfg: EventsConfig, whole: Config) -> None:
    """Print the query, and what it would read; without credentials, the query alone."""
    cutoffs, chosen = known_cutoffs(cfg), whole.data.bigquery
    try:
        client = bigquery.open_client(chosen)
    except UserError as error:
        print(to_sql(cfg, cutoffs, _assumed_tables(cfg)))
        print(
            f"\n-- {error.what}. So it is assumed that times of events are TIMESTAMP, other times DATE and "
            "numbers FLOAT64, and not known how much this would read."
        )
        return
    with closing(client), bigquery.explain_refusals(chosen, client.project):
        sql = to_sql(cfg, cutoffs, _tables_there(cfg, client))
        print(sql)
        size = bigquery.dry_run(client, sql).total_bytes_processed / bigquery.GIGABYTE
    print(f"\n-- It would read {size:,.3f} GB; data.bigquery.max_gigabytes={chosen.max_gigabytes:g}.")


def write_by_bigquery(cfg: EventsConfig, whole: Config, output: Path) -> None:
    """Write the snapshot; what only DuckDB counts (copies, unknown customers, silence) is not looked at."""
    cutoffs = known_cutoffs(cfg)
    contents = write_snapshot(snapshot_parts(cfg, whole, cutoffs), cfg, output, 0, whole.seed)
    print(
        f"{contents.rows:,} rows at {len(contents.by_cutoff)} cut-offs, "
        f"{contents.churned / contents.rows:.1%} churned: {output}"
    )


def known_cutoffs(cfg: EventsConfig) -> list[int]:
    """The cut-offs whose outcome the data hold; raises `UserError` with what has to be named for that."""
    needed = {"events.cutoffs.first": cfg.cutoffs.first, "events.until": cfg.until}
    problems = [UserError(f"{key} is not named") for key, value in needed.items() if value is None]
    problems += [
        UserError(f"the levels of '{column}' are not named", f"events.tables.{name}.levels.{column}")
        for name, spec in cfg.tables.items()
        for column in spec.categories
        if column not in spec.levels
    ]
    problems += [
        UserError("whether copies of an event count once is not named", f"events.tables.{name}.drop_copies")
        for name, spec in cfg.tables.items()
        if spec.drop_copies is None
    ]
    if problems:
        raise user_error_of_many(
            "BigQuery answers in one query; so that has to be named which is found otherwise", problems
        )
    first = to_day(str(cfg.cutoffs.first), "events.cutoffs.first")
    last = to_day(str(cfg.until), "events.until") - days_to_hold(cfg.churn, cfg.horizon)
    return decided_days(cutoff_days(cfg.cutoffs, first, last), last)


def to_sql(cfg: EventsConfig, cutoffs: list[int], raw: dict[str, ir.Table], labelled: bool = True) -> str:
    """The query in GoogleSQL; days and cut-offs are made by the query itself."""
    staging = Staging(cfg.timezone, Engine.bigquery)
    tables = {name: staging.events(raw[name], spec) for name, spec in cfg.tables.items()}
    tables |= {name: staging.contracts(raw[name], spec) for name, spec in cfg.contracts.items()}
    tables |= {name: staging.properties(raw[name], spec) for name, spec in cfg.properties.items()}
    ages = ibis.table({"day": "int64", "cutoff": "int64", "age": "int64"}, name="ages")
    query = BigQueryCompiler().to_sqlglot(snapshot(tables, cfg, ages, labelled))
    whole = query.with_("ages", as_=_ages_sql(cfg, cutoffs), dialect="bigquery", copy=True)
    ctes = whole.args["with"].expressions  # a query sees only the common tables before it
    whole.args["with"].set("expressions", [ctes[-1], *ctes[:-1]])
    return whole.sql("bigquery", pretty=True)


def _ages_sql(cfg: EventsConfig, cutoffs: list[int]) -> str:
    """The table of days, cut-offs and the days between them."""
    first, last = 1 - label_days(cfg.churn, cfg.horizon), max(reach(cfg.windows), cfg.churn.lookback)
    return (
        f"SELECT cutoff - age AS day, cutoff, age FROM UNNEST([{', '.join(map(str, cutoffs))}]) AS cutoff, "
        f"UNNEST(GENERATE_ARRAY({first}, {last})) AS age"
    )


def snapshot_parts(
    cfg: EventsConfig, whole: Config, cutoffs: list[int], labelled: bool = True
) -> Iterator[pa.Table]:
    """The rows of a snapshot in no order, but otherwise as `churn.events.duck` makes them."""
    chosen: BigQueryConfig = whole.data.bigquery
    client = bigquery.open_client(chosen)
    with closing(client), bigquery.explain_refusals(chosen, client.project):
        sql = to_sql(cfg, cutoffs, _tables_there(cfg, client), labelled)
        waiting: list[pa.RecordBatch] = []
        for batch in bigquery.query_rows(client, sql, chosen).to_arrow_iterable():
            waiting.append(batch)
            if sum(map(len, waiting)) >= PART_ROWS:
                yield as_written(pa.Table.from_batches(waiting))
                waiting = []
        if waiting:
            yield as_written(pa.Table.from_batches(waiting))


def _place(spec: TableConfig) -> dict[str, Any]:
    """Project, dataset and name of a table, for Ibis; raises `UserError` for a name that is none."""
    parts = str(spec.path).removeprefix(BIGQUERY).split(".")
    if len(parts) != 3:
        raise UserError(f"'{spec.path}' is no table name", "path", "write bq://PROJECT.DATASET.TABLE")
    return {"catalog": parts[0], "database": parts[1], "name": parts[2]}


def _assumed_tables(cfg: EventsConfig) -> dict[str, ir.Table]:
    """The tables with the types that are usual."""
    return {
        name: ibis.table(
            {column: ASSUMED.get(key, "string") for column, key in columns_of(spec).items()}, **_place(spec)
        )
        for name, spec in tables_of(cfg).items()
    }


def _tables_there(cfg: EventsConfig, client: Any) -> dict[str, ir.Table]:
    """The tables with the types that they have; raises `UserError` for columns that cannot be used."""
    found = {}
    for name, spec in tables_of(cfg).items():
        place, path = _place(spec), str(spec.path).removeprefix(BIGQUERY)
        fields = client.get_table(path, retry=bigquery.short_retry()).schema
        kinds = {field.name: field.field_type for field in fields}
        reading.check_columns(list(kinds), spec, path)
        for column, key in columns_of(spec).items():
            if kinds[column] not in (TIME_TYPES if key in reading.TIMES else TYPES):
                do = f"the key '{key}' names it; make a view with another type"
                raise UserError(f"column '{column}' is {kinds[column]}", path, do)
        found[name] = ibis.table({column: TYPES[kinds[column]] for column in columns_of(spec)}, **place)
    return found
