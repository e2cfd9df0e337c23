"""BigQuery: the stored rows are read, and nothing above the limit is billed.

Google's own client speaks to a strict double over HTTP. What needs the real service is not tested: SQL, and
the faster reading by gRPC that google-cloud-bigquery-storage does.
"""

import json
import sys
from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from conftest import compose_config
from doubles.bigquery import PROJECT, BigQuery, ServiceError, Table

from churn.config.data import BigQueryConfig, DataConfig, Source
from churn.data.sources import bigquery
from churn.errors import UserError

SQL = "SELECT *\nFROM d.t"
TYPES = {
    "id": "INT64",
    "spend": "FLOAT64",
    "plan": "STRING",
    "active": "BOOL",
    "since": "DATE",
    "seen": "TIMESTAMP",
    "fee": "NUMERIC",
}
SEEN = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
ROWS = [
    (3, 0.1, "b", True, date(2025, 2, 28), SEEN, Decimal("12.345678901")),
    (1, 2.5, "a", False, date(2024, 2, 29), SEEN, Decimal("-1")),
    (2, None, None, None, None, None, None),
    (2**53 + 1, 1e300, "ü, \n", True, date(1969, 1, 1), SEEN, Decimal("0")),
]


@pytest.fixture
def service(tmp_path, monkeypatch):
    for name in ("GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    with BigQuery() as service:
        key = tmp_path / "account.json"
        key.write_text(json.dumps(service.account()))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", service.url)
        yield service


def read(**keys):
    return bigquery.read_bigquery(DataConfig(source=Source.bigquery, bigquery=BigQueryConfig(**keys)))


@pytest.mark.parametrize("page", [1, 3, 100])
def test_every_type_arrives_as_it_was_stored_over_any_number_of_pages(service, page):
    service.page = page
    service.tables["p.d.t"] = service.queries[SQL] = Table(TYPES, ROWS)
    for raw in (read(table="p.d.t"), read(query=SQL)):
        frame = raw.frame
        assert list(frame["id"]) == [1, 2, 3, 2**53 + 1]
        assert list(frame["spend"].fillna(-1)) == [2.5, -1, 0.1, 1e300]
        assert list(frame["plan"].fillna("-")) == ["a", "-", "b", "ü, \n"]
        assert frame["active"].dtype == pd.BooleanDtype()
        assert list(frame["active"].fillna(False)) == [False, False, True, True]
        assert frame["since"][0] == pd.Timestamp("2024-02-29")
        assert frame["seen"][2] == pd.Timestamp(SEEN)
        np.testing.assert_allclose(frame["fee"].astype(float), [-1, np.nan, 12.345678901, 0])
        assert frame.isna().sum().sum() == 6
        assert list(frame.index) == [0, 1, 2, 3]


def test_the_order_in_which_the_service_gives_rows_does_not_matter(service):
    service.tables["p.d.t"] = Table(TYPES, ROWS)
    service.tables["p.d.u"] = Table(TYPES, ROWS[::-1])
    pd.testing.assert_frame_equal(read(table="p.d.t").frame, read(table="p.d.u").frame)


def test_a_table_is_listed_not_queried_and_a_view_is_queried(service):
    service.tables["p.d.t"] = Table(TYPES, ROWS)
    read(table="p.d.t")
    assert set(service.called) == {"token", "get_table", "list_rows"}
    service.tables["p.d.v"] = Table(TYPES, ROWS, kind="VIEW")
    service.queries["SELECT * FROM `p.d.v`"] = Table(TYPES, ROWS)
    assert read(table="p.d.v").origin == "p.d.v"


@pytest.mark.parametrize("chosen", [{"query": SQL}, {"table": "p.d.t"}, {"table": "p.d.v"}])
def test_a_read_above_the_limit_is_refused_before_it_is_billed(service, chosen):
    large = Table(TYPES, ROWS, size=2_000_000_000)
    service.tables = {"p.d.t": large, "p.d.v": Table(TYPES, ROWS, kind="VIEW")}
    service.queries = {SQL: large, "SELECT * FROM `p.d.v`": large}
    with pytest.raises(UserError, match=r"2\.00 GB, more than the limit of 1 GB") as refused:
        read(**chosen)
    assert "data.bigquery.max_gigabytes=2.20" in str(refused.value)
    assert not service.jobs
    assert "list_rows" not in service.called
    assert len(read(**chosen, max_gigabytes=2.2).frame) == len(ROWS)


def test_the_limit_is_sent_to_the_service(service):
    service.queries[SQL] = Table(TYPES, ROWS)
    read(query=SQL, max_gigabytes=0.5)
    (job,) = service.jobs.values()
    assert job.resource["configuration"]["query"]["maximumBytesBilled"] == "500000000"
    with pytest.raises(UserError, match="10485760 or higher required") as refused:
        read(query=SQL, max_gigabytes=0.001)
    assert "raise data.bigquery.max_gigabytes" in str(refused.value)


def test_a_statement_that_changes_data_is_refused(service):
    service.queries["DELETE FROM d.t WHERE true"] = Table({}, [], statement="DELETE")
    with pytest.raises(UserError, match="no SELECT but DELETE"):
        read(query="DELETE FROM d.t WHERE true")
    assert not service.jobs


DENIED = "Access Denied: Table p:d.t: User does not have permission to query table p:d.t"
SYNTAX = "Unrecognized name: churn at [2:6]"


@pytest.mark.parametrize(
    ("error", "says", "do"),
    [
        (ServiceError(403, "accessDenied", DENIED), DENIED, f"add-iam-policy-binding {PROJECT}"),
        (ServiceError(403, "quotaExceeded", "Quota exceeded"), "quotaExceeded", "lift the quota"),
        (ServiceError(403, "billingNotEnabled", "no billing"), "no billing", "gcloud billing projects link"),
        (ServiceError(403, "accessNotConfigured", "API off"), "API off", "gcloud services enable"),
        (ServiceError(404, "notFound", "Not found: Table p:d.t"), "Not found", "data.bigquery.location"),
        (ServiceError(400, "invalidQuery", SYNTAX), "line 2, column 6: FROM d.t", "correct the query"),
        (ServiceError(400, "resourcesExceeded", "too much"), "too much", "Error messages"),
    ],
)
def test_a_refusal_of_the_service_is_reported_with_its_place_and_a_remedy(service, error, says, do):
    service.queries[SQL] = error
    with pytest.raises(UserError) as refused:
        read(query=SQL)
    assert says in str(refused.value)
    assert do in refused.value.do


@pytest.mark.parametrize("chosen", [{"query": SQL}, {"table": "p.d.v"}])
def test_a_position_that_the_query_does_not_have_is_left_out(service, chosen):
    """A refusal of a view's own SQL counts the view's lines."""
    service.tables["p.d.v"] = Table(TYPES, ROWS, kind="VIEW")
    refusal = ServiceError(400, "invalidQuery", "Unrecognized name: paid at [12:5]")
    service.queries = {SQL: refusal, "SELECT * FROM `p.d.v`": refusal}
    with pytest.raises(UserError, match=r"paid at \[12:5\]") as refused:
        read(**chosen)
    assert refused.value.where == chosen.get("table", "data.bigquery.query")


@pytest.mark.parametrize(
    ("chosen", "says"),
    [
        ({}, "name a table or a query"),
        ({"table": "p.d.t", "query": SQL}, "name a table or a query"),
        ({"table": "customers"}, "'customers' is no table name"),
        ({"table": "p.d.gone"}, "Not found: Table p:d.gone"),
        (
            {"query": SQL, "project": "somebody-elses"},
            "bigquery.jobs.create permission in project somebody-elses",
        ),
        ({"query": "SELECT 1 WHERE false"}, "BigQuery gives no rows"),
        ({"query": "SELECT [1] AS x"}, "column 'x' is list"),
    ],
)
def test_a_wrong_choice_ends_with_one_message(service, chosen, says):
    service.queries[SQL] = Table(TYPES, ROWS)
    service.queries["SELECT 1 WHERE false"] = Table(TYPES, [])
    service.queries["SELECT [1] AS x"] = Table({"x": "INT64 REPEATED"}, [([1],)])
    with pytest.raises(UserError) as refused:
        read(**chosen)
    assert says in str(refused.value)


def test_without_credentials_the_error_shows_how_to_log_in(tmp_path, monkeypatch):
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    with pytest.raises(UserError, match="no credentials") as refused:
        read(table="p.d.t")
    assert refused.value.do == "log in: gcloud auth application-default login"


def test_credentials_that_google_no_longer_accepts_are_reported(service, monkeypatch):
    monkeypatch.setattr("doubles.bigquery.GRANT", "another")
    with pytest.raises(UserError, match="does not accept the credentials") as refused:
        read(table="p.d.t")
    assert "gcloud auth application-default login" in refused.value.do


def test_a_service_that_cannot_be_reached_is_reported_soon(service, monkeypatch):
    monkeypatch.setattr(bigquery, "PATIENCE", 0.1)
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", "http://127.0.0.1:9")
    for chosen in ({"table": "p.d.t"}, {"query": SQL}):
        with pytest.raises(UserError, match="cannot be reached"):
            read(**chosen)


def test_without_the_extra_the_error_shows_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "google.cloud.bigquery", None)
    monkeypatch.delattr("google.cloud.bigquery", raising=False)
    with pytest.raises(UserError, match=r"-m pip install 'churn\[bigquery\]'"):
        read(table="p.d.t")


def test_the_double_refuses_what_the_service_does_not_know(service):
    from google.api_core.exceptions import BadRequest
    from google.cloud.bigquery import Client, QueryJobConfig

    config = QueryJobConfig()
    config._properties["query"]["maximumBytesBiled"] = "1"
    service.queries[SQL] = Table(TYPES, ROWS)
    client = Client()
    with pytest.raises(BadRequest, match="Unknown name 'maximumBytesBiled'"):
        client.query(SQL, config)
    client.close()


def test_the_query_of_the_configuration_is_one_select_with_all_columns_that_have_roles():
    cfg = compose_config("data=thelook").data
    query = " ".join(cfg.bigquery.query.split())
    for column in (cfg.target, cfg.id, *cfg.numeric, *cfg.categorical):
        assert f" {column}," in query or f"AS {column}" in query, column
