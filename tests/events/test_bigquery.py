"""Snapshots by BigQuery: a plan, its cost, and the rows; Google's own client speaks to a strict double.

The double runs no SQL: the rows are DuckDB's. That the SQL means the same is tested in `test_engines`.
"""

import json
import re
from copy import deepcopy
from datetime import UTC

import ibis
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlglot
from conftest import compose_config
from doubles.bigquery import BigQuery, ServiceError, Table

from churn.config.events import Engine
from churn.data.declared import declared_facts
from churn.errors import UserError
from churn.events import bigquery
from churn.events.stage import snapshot
from churn.events.staging import Staging
from events.conftest import CUTOFFS, day, definition, rows_at, shop

TYPES = {
    "orders": {"who": "STRING", "at": "TIMESTAMP", "known": "DATE", "amount": "NUMERIC", "items": "INTEGER",
               "channel": "STRING", "product": "STRING"},
    "contracts": {"who": "STRING", "from": "DATE", "to": "DATE"},
    "plans": {"who": "STRING", "since": "DATETIME", "fee": "FLOAT", "plan": "STRING", "birth": "DATE"},
}  # fmt: skip


@pytest.fixture
def service(tmp_path, monkeypatch):
    for name in ("GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    with BigQuery() as service:
        key = tmp_path / "account.json"
        key.write_text(json.dumps(service.account()))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", service.url)
        service.tables = {f"p.shop.{name}": Table(types, []) for name, types in TYPES.items()}
        yield service


@pytest.fixture
def whole(shop_definition):
    """The configuration of the shop in BigQuery, with everything named that has to be."""
    cfg = deepcopy(shop_definition)
    for group in (cfg.tables, cfg.contracts, cfg.properties):
        for name, spec in group.items():
            spec.path = f"bq://p.shop.{name}"
    cfg.engine, cfg.until = Engine.bigquery, "2024-09-10"
    made = compose_config()
    made.events = cfg
    return made


def the_query(service, whole):
    """The SQL on the tables as the double describes them, and the cut-offs."""
    client = bigquery.bigquery.open_client(whole.data.bigquery)
    cutoffs = bigquery.known_cutoffs(whole.events)
    return bigquery.to_sql(whole.events, cutoffs, bigquery._tables_there(whole.events, client)), cutoffs


def test_the_plan_shows_the_query_and_what_it_would_read_first(service, whole, capsys):
    sql, cutoffs = the_query(service, whole)
    assert cutoffs == [day(text) for text in CUTOFFS]
    service.queries[sql] = Table({}, [], size=123_000_000)
    whole.events.plan_only = True
    snapshot(whole)
    said = capsys.readouterr().out
    assert said.startswith(sql)
    assert "It would read 0.123 GB; data.bigquery.max_gigabytes=1." in said
    assert not service.jobs  # a dry run starts nothing


def test_without_an_account_the_plan_is_the_query_and_says_what_it_assumes(whole, capsys, monkeypatch):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere.json")
    whole.events.plan_only = True
    snapshot(whole)
    said, _, told = capsys.readouterr().out.partition("\n-- ")
    assert sqlglot.parse_one(said, read="bigquery")
    assert "it is assumed that times of events are TIMESTAMP" in told


def test_the_rows_become_the_file_that_duckdb_would_write(service, whole, shop_rows, tmp_path):
    expected = shop_rows()
    sql, _ = the_query(service, whole)
    types = {"customer": "STRING", "cutoff": "INTEGER", "churned": "INTEGER", "plans_plan": "STRING"}
    schema = {name: types.get(name, "FLOAT") for name in expected.columns}
    plain = expected.assign(cutoff=[(moment - pd.Timestamp(0)).days for moment in expected["cutoff"]]).astype(
        object
    )
    rows = [tuple(None if pd.isna(cell) else cell for cell in row) for row in plain.itertuples(index=False)]
    service.queries[sql] = Table(schema, rows)
    whole.output = str(tmp_path / "s.parquet")
    snapshot(whole)
    found = pq.read_table(whole.output).to_pandas()
    found["cutoff"] = pd.to_datetime(found["cutoff"])
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)
    roles = declared_facts(compose_config("data=parquet", f"data.path={whole.output}").data)["roles"]
    assert roles["horizon"] == whole.events.horizon


def test_no_truth_value_is_cast_to_a_number_with_a_fraction(service, whole):
    """BigQuery refuses it: "Invalid cast from BOOL to FLOAT64" (conversion rules of GoogleSQL, 2026)."""
    whole.events.tables["orders"].values.append("paid")
    service.tables["p.shop.orders"] = Table(TYPES["orders"] | {"paid": "BOOLEAN"}, [])
    tree = sqlglot.parse_one(the_query(service, whole)[0], read="bigquery")
    casts = [cast for cast in tree.find_all(sqlglot.exp.Cast) if cast.to.sql("bigquery") == "FLOAT64"]
    conditions = (sqlglot.exp.Predicate, sqlglot.exp.Connector, sqlglot.exp.Not)
    assert casts
    assert not [cast.sql() for cast in casts if isinstance(cast.this.unnest(), conditions)]
    direct = [cast.this.name for cast in casts if isinstance(cast.this, sqlglot.exp.Column)]
    assert "amount" in direct
    assert "paid" not in direct


def test_numbers_that_are_not_finite_are_missing_in_the_query():
    numbers = ibis.memtable(pa.table({"number": [1.5, float("nan"), float("inf"), -float("inf"), None]}))
    staged = numbers.select(number=Staging("UTC", Engine.bigquery).number(numbers["number"]))
    assert ibis.duckdb.connect().to_pyarrow(staged)["number"].to_pylist() == [1.5, None, None, None, None]
    assert {"IS_NAN", "IS_INF"} <= set(re.findall("IS_[A-Z]+", ibis.to_sql(staged, dialect="bigquery")))


def test_a_query_that_reads_more_than_the_limit_is_refused_before_it_is_billed(service, whole, tmp_path):
    sql, _ = the_query(service, whole)
    service.queries[sql] = Table({}, [], size=5_000_000_000)
    whole.output = str(tmp_path / "s.parquet")
    with pytest.raises(UserError, match=r"5\.00 GB, more than the limit of 1 GB"):
        snapshot(whole)
    assert not service.jobs
    assert not (tmp_path / "s.parquet").exists()


@pytest.mark.parametrize("plan_only", [True, False])
def test_a_refusal_shows_the_line_of_the_query_that_was_sent(service, whole, plan_only, tmp_path):
    sql, _ = the_query(service, whole)
    service.queries[sql] = ServiceError(400, "invalidQuery", "Unrecognized name: paid at [12:5]")
    whole.events.plan_only, whole.output = plan_only, str(tmp_path / "s.parquet")
    with pytest.raises(UserError, match=r"paid at \[12:5\]") as refused:
        snapshot(whole)
    line = sql.splitlines()[11].strip()
    assert refused.value.where == f"the query that was sent, line 12, column 5: {line}"


def test_what_has_to_be_named_is_listed(whole):
    whole.events.until = None
    whole.events.tables["orders"].levels = {}
    whole.events.tables["orders"].drop_copies = None
    with pytest.raises(UserError) as refused:
        bigquery.known_cutoffs(whole.events)
    assert "events.until is not named" in str(refused.value)
    assert "events.tables.orders.levels.channel" in str(refused.value)
    assert "events.tables.orders.drop_copies" in str(refused.value)


@pytest.mark.parametrize(
    ("column", "kind", "says"),
    [
        ("at", "STRING", "column 'at' is STRING"),
        ("amount", "JSON", "column 'amount' is JSON"),
        ("who", None, "there is no column"),
    ],
)
def test_columns_that_cannot_be_used_are_named(service, whole, column, kind, says):
    types = dict(TYPES["orders"])
    types.pop(column)
    service.tables["p.shop.orders"] = Table(types | ({column: kind} if kind else {}), [])
    with pytest.raises(UserError, match=says):
        the_query(service, whole)


def test_a_table_of_bigquery_may_lie_beside_files_on_this_machine(service, shop_rows, shop_folder):
    """The engine is DuckDB's; the one table comes by Google's client, as Arrow."""
    expected = shop_rows()
    orders = shop()["orders"].astype({"at": object, "known": object})
    for name in ("at", "known"):
        orders[name] = [moment.to_pydatetime().replace(tzinfo=UTC) for moment in orders[name]]
    types = TYPES["orders"] | {"known": "TIMESTAMP", "amount": "FLOAT", "items": "FLOAT"}
    rows = [tuple(None if pd.isna(cell) else cell for cell in row) for row in orders.itertuples(index=False)]
    service.tables["p.shop.orders"] = Table(types, rows)
    cfg = definition(shop_folder)
    cfg.tables["orders"].path = "bq://p.shop.orders"
    pd.testing.assert_frame_equal(rows_at(cfg), expected)
