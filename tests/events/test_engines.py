"""One set of expressions, several engines: SQLite agrees with DuckDB, and BigQuery gets SQL that it takes.

The SQL for BigQuery is parsed; run by DuckDB after translation it gives the same rows. What only the real
service shows: that it takes the query, how long that runs and what it bills.
"""

import sqlite3
from contextlib import closing
from dataclasses import replace
from functools import partial

import ibis
import pandas as pd
import pytest
import sqlglot
from sqlglot import exp

from churn.config.events import ChurnConfig, ChurnKind, Engine, EventTable
from churn.events import bigquery, duck, workspace
from churn.events.snapshot import snapshot
from events.conftest import CUTOFFS, day, definition, rows_at, shop, write_shop


def by_events(folder):
    """The shop, whose contracts are beginnings and cancellations."""
    began, ended = (EventTable(path="contracts.parquet", customer="who", time=at) for at in ("from", "to"))
    cfg = definition(folder, windows=[7])
    churn = ChurnConfig(kind=ChurnKind.cancelled, table="ended", begin="began")
    return replace(cfg, tables={**cfg.tables, "began": began, "ended": ended}, contracts={}, churn=churn)


DEFINITIONS = [*(partial(definition, kind=kind) for kind in ChurnKind), by_events]
NAMES = [*ChurnKind, "by events"]


def tidy(frame):
    """Rows in one order, numbers as the snapshot's file has them, dates as pandas has them."""
    if not pd.api.types.is_datetime64_any_dtype(frame["cutoff"]):
        frame = frame.assign(
            cutoff=pd.to_datetime(frame["cutoff"].astype("int64"), unit="D").astype("datetime64[ms]")
        )
    frame = frame.sort_values(["customer", "cutoff"], ignore_index=True)
    frame["cutoff"] = frame["cutoff"].astype("datetime64[ms]")
    for name in frame.columns.drop(["customer", "cutoff"]):
        as_text = frame[name].map(type).eq(str).any()
        frame[name] = frame[name].fillna("").astype(str) if as_text else frame[name].astype("float32")
    return frame.assign(customer=frame["customer"].astype(str))


def normal_tables(work):
    """The staged tables with the customers' names, as frames."""
    people = work.con.sql("SELECT * FROM everyone").df().set_index("customer")["id"]
    found = {}
    for name in work.tables:
        frame = work.con.sql(f"SELECT * FROM all_{name} WHERE customer IS NOT NULL").df()
        found[name] = frame.assign(customer=people[frame["customer"]].to_numpy())
    return found | {"ages": work.con.sql("SELECT * FROM ages").df()}


@pytest.mark.parametrize("defined", DEFINITIONS, ids=NAMES)
def test_sqlite_agrees_with_duckdb(shop_folder, tmp_path, defined):
    cfg = defined(shop_folder)
    with workspace.open_workspace(cfg) as work:
        duck.fill_ages(work, [day(text) for text in CUTOFFS])
        frames, resolved = normal_tables(work), work.cfg
    file = tmp_path / "shop.sqlite"
    with closing(sqlite3.connect(file)) as plain:
        for name, frame in frames.items():
            whole = [
                c for c in frame if frame[c].dtype.kind in "iuf" and not c.startswith(("value", "number"))
            ]
            frame.astype(dict.fromkeys(whole, "Int64")).to_sql(name, plain, index=False)
    con = ibis.sqlite.connect(file)
    tables = {name: con.table(name) for name in frames}
    expression = snapshot(tables, resolved, tables.pop("ages"))
    with closing(con.raw_sql(con.compile(expression))) as cursor:
        found = pd.DataFrame(cursor.fetchall(), columns=list(expression.columns))
    con.disconnect()
    pd.testing.assert_frame_equal(tidy(found), tidy(rows_at(cfg)), rtol=1e-5)


def bigquery_query(work):
    """The query for BigQuery on the tables of a workspace, with the levels that DuckDB finds, parsed."""
    raw = {
        name: ibis.table(table.schema(), name, catalog="p", database="d") for name, table in work.raw.items()
    }
    sql = bigquery.to_sql(work.cfg, [day(text) for text in CUTOFFS], raw)
    return sqlglot.parse_one(sql, read="bigquery")


@pytest.mark.parametrize("defined", DEFINITIONS, ids=NAMES)
def test_the_sql_for_bigquery_gives_the_same_rows_when_duckdb_runs_its_translation(shop_folder, defined):
    with workspace.open_workspace(defined(shop_folder)) as work:
        translated = bigquery_query(work)
        for table in translated.find_all(exp.Table):
            if table.args.get("catalog"):
                table.replace(exp.alias_(exp.to_table(f"raw_{table.name}"), table.alias, table=True))
        sql = translated.sql("duckdb").replace("IEEE_DIVIDE", "divide").replace("ieee_divide", "divide")
        work.con.execute("CREATE MACRO divide(a, b) AS a / b")
        found = work.con.sql(sql).df()
    pd.testing.assert_frame_equal(tidy(found), tidy(rows_at(defined(shop_folder))), rtol=1e-5)


@pytest.fixture(scope="module")
def parsed(tmp_path_factory):
    """The query for BigQuery, parsed."""
    folder = tmp_path_factory.mktemp("shop")
    write_shop(folder, shop())
    with workspace.open_workspace(definition(folder)) as work:
        return bigquery_query(work)


def test_whole_numbers_are_divided_by_floor_and_not_by_a_slash_that_gives_fractions(parsed):
    days = [node for node in parsed.find_all(exp.Cast) if isinstance(node.this, exp.Floor)]
    assert days
    assert all(node.to.sql("bigquery") == "INT64" for node in days)
    assert not list(parsed.find_all(exp.IntDiv))


def test_divisions_cannot_fail_on_zero(parsed):
    """BigQuery's slash raises on zero, IEEE_DIVIDE does not; divisors that can be zero are made missing."""
    assert not list(parsed.find_all(exp.Div))
    for call in parsed.find_all(exp.Anonymous):
        if call.name.lower() == "ieee_divide":
            divisor = call.expressions[1]
            assert isinstance(divisor, exp.Literal | exp.Nullif) or divisor.find(exp.Nullif), divisor.sql(
                "bigquery"
            )


def test_no_quantile_no_null_order_no_week_no_interval_and_no_asof_join_is_in_the_query(parsed):
    """What BigQuery refuses or counts otherwise (ibis 12.0.0: no medians; weeks begin on Sundays)."""
    absent = (
        exp.PercentileCont,
        exp.PercentileDisc,
        exp.Quantile,
        exp.ApproxQuantile,
        exp.Week,
        exp.Interval,
    )
    assert not [node.sql() for node in parsed.find_all(*absent)]
    assert not [join for join in parsed.find_all(exp.Join) if join.method]
    sql = parsed.sql("bigquery")
    assert "NULLS" not in sql
    assert "RANGE" not in sql


def test_the_order_of_rows_of_one_moment_has_nothing_missing_whose_place_engines_disagree_on(parsed):
    (window,) = parsed.find_all(exp.Window)
    keys = window.args["order"].expressions
    assert len(keys) == 5
    for key in keys[2:]:
        assert isinstance(key.this, exp.Coalesce)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("date", "DATE_DIFF(`t0`.`at`, DATE(1970, 1, 1), DAY) * 86400"),
        ("timestamp", "UNIX_SECONDS(CAST(`t0`.`at` AS TIMESTAMP))"),  # UNIX_SECONDS takes no DATETIME
        (
            "timestamp('UTC')",
            "UNIX_SECONDS(CAST(DATETIME(CAST(`t0`.`at` AS TIMESTAMP), 'Europe/Berlin') AS TIMESTAMP))",
        ),
        ("int64", "TIMESTAMP_SECONDS"),
    ],
)
def test_times_of_each_type_become_seconds_of_the_local_clock(kind, told):
    from ibis.backends.sql.compilers.bigquery import BigQueryCompiler

    from churn.events.staging import Staging

    raw = ibis.table({"at": kind}, name="t")
    made = raw.select(x=Staging("Europe/Berlin", Engine.bigquery).seconds(raw["at"]))
    sql = BigQueryCompiler().to_sqlglot(made).sql("bigquery")
    assert told in sql.replace("DATETIME(`t0`.`at`", "DATETIME(CAST(`t0`.`at` AS TIMESTAMP)")
