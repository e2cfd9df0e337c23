"""Scoring one table of BigQuery into another, by Google's own client and a strict double over HTTP."""

import json

import numpy as np
import pytest
from conftest import compose_config
from doubles.bigquery import BigQuery, Table
from doubles.bigquery_storage import Storage
from pandas.api.types import is_numeric_dtype

from churn.bundle.bundle import Bundle
from churn.errors import UserError
from churn.score import stage


@pytest.fixture
def service(tmp_path, monkeypatch, customers):
    """BigQuery with the 800 customers, each with an id, in p.d.customers; p.d can be written to."""
    frame = customers.frame.assign(customer=[f"c{i}" for i in range(800)])
    kinds = {name: "FLOAT64" if is_numeric_dtype(frame[name]) else "STRING" for name in frame}
    cells = frame.astype(object).where(frame.notna(), None)
    with BigQuery() as service:
        key = tmp_path / "account.json"
        key.write_text(json.dumps(service.account()))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", service.url)
        table = Table(kinds, list(cells.itertuples(index=False, name=None)))
        service.tables |= {"p.d.customers": table, "p.d.old": table}
        service.datasets.add("p.d")
        service.page = 150
        yield service


@pytest.fixture
def scored(exported_bundle):
    def run(*overrides):
        tables = ["input=bq://p.d.customers", "output=bq://p.d.scores"]
        stage.score(compose_config(f"bundle={exported_bundle}", *tables, *overrides))

    return run


def test_a_table_is_scored_into_a_new_table_row_for_row(service, scored, exported_bundle, customers):
    scored("score.chunk_rows=200")
    table = service.tables["p.d.scores"]
    assert table.schema["customer"] == table.schema["certainty"] == "STRING"
    expected = Bundle.load(exported_bundle).predict(customers.frame)["churn_probability"]
    probability = {row[0]: row[1] for row in table.rows}
    assert list(table.schema)[:2] == ["customer", "churn_probability"]
    np.testing.assert_allclose([probability[f"c{i}"] for i in range(800)], expected, atol=1e-6)
    assert service.called.count("list_rows") == 6
    assert "insert_job" not in service.called  # nothing is queried, so nothing billed


@pytest.mark.filterwarnings("ignore:Retrieving Arrow record batches:PendingDeprecationWarning")
def test_the_storage_api_gives_the_same_rows_even_if_its_streams_break(service, scored, monkeypatch):
    scored()
    with Storage(service.tables) as storage:
        monkeypatch.setattr("churn.data.sources.bigquery.has_storage_api", lambda: True)
        monkeypatch.setattr("google.cloud.bigquery_storage.BigQueryReadClient", storage.client)
        service.called.clear()
        scored("output=bq://p.d.again", "score.chunk_rows=200")
    assert "list_rows" not in service.called
    assert sorted(start for _, start in storage.read) == [0, 0, 100, 100]
    by_rest, by_storage = (sorted(service.tables[name].rows) for name in ("p.d.scores", "p.d.again"))
    assert [row[0] for row in by_storage] == [row[0] for row in by_rest]
    np.testing.assert_allclose([row[1] for row in by_storage], [row[1] for row in by_rest], atol=1e-6)


def test_a_file_can_be_scored_into_a_table_and_a_table_into_a_file(service, scored, tmp_path):
    scored(f"output={tmp_path / 'scores.csv'}")
    lines = (tmp_path / "scores.csv").read_text().splitlines()
    assert len(lines) == 801
    scored("top=5", "output=bq://p.d.calls")
    assert service.tables["p.d.calls"].schema["expected_profit"] == "FLOAT64"


@pytest.mark.parametrize(
    ("chosen", "says"),
    [
        ("output=bq://p.gone.scores", "Not found: Dataset p:gone"),
        ("output=bq://p.d.old", "has rows already"),
        ("output=bq://p.d.customers", "would replace what is read"),
        ("output=bq://d.scores", "no table name"),
        ("input=bq://p.d.gone", "Not found: Table p:d.gone"),
        ("output=folder", "no order"),
        ("data.bigquery.max_gigabytes=1e-9", "more than the limit"),
    ],
)
def test_a_wrong_table_ends_with_one_message_and_nothing_is_written(service, scored, chosen, says):
    with pytest.raises(UserError) as refused:
        scored(chosen)
    assert says in str(refused.value)
    assert refused.value.do
    assert not service.uploads


def test_a_table_that_got_rows_in_the_meantime_is_not_changed(service, scored, monkeypatch):
    rows = service.tables["p.d.customers"].rows[:1]
    service.tables["p.d.scores"] = Table({"x": "INT64"}, rows)
    monkeypatch.setattr("churn.data.sources.warehouse.check_writable", lambda address, cfg: None)
    with pytest.raises(UserError, match=r"Already Exists: Table p\.d\.scores") as refused:
        scored()
    assert "name another table" in refused.value.do
    assert service.tables["p.d.scores"].rows == rows
