"""`churn export to=bigquery`: scores in SQL are those of the bundle."""

from types import SimpleNamespace

import pandas as pd
import pytest
from conftest import churn

from churn.errors import UserError
from churn.vertex import export as module
from churn.vertex.checks.parity import MismatchError
from churn.vertex.export import export

WHERE = ("to=bigquery", "input=bq://p.d.customers", "output=bq://p.d.churn")


@pytest.fixture
def raw(cloud, table):
    """The customers as a table of BigQuery."""
    frame = pd.read_csv(table)
    cloud.service.warehouse.write("p.d.customers", frame)
    return frame


def test_the_printed_query_scores_every_customer_as_the_bundle_does(cloud, settings, raw, capsys):
    export(settings(1, *WHERE))
    printed = capsys.readouterr().out
    assert "20 rows compared" in printed
    query = printed[printed.index("SELECT `row_key`") : printed.index("))\n") + 2]
    _, rows = cloud.service.warehouse.run(query)
    assert sorted(rows.column("row_key").to_pylist()) == sorted(raw["customer"].astype(str))
    assert all(0 < value < 1 for value in rows.column("churn_probability").to_pylist())


def test_it_can_be_run_again_and_nothing_is_made_without_confirmation(cloud, settings, raw, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda _: "n")
    with pytest.raises(UserError, match="nothing was changed"):
        export(settings(1, *WHERE, "deploy.yes=false"))
    assert not cloud.service.warehouse.models
    assert not cloud.service.storage.list("gs://bucket/")
    for _ in range(2):
        export(settings(1, *WHERE))
    assert list(cloud.service.warehouse.models) == ["p.d.churn"]


def test_a_table_above_the_limit_is_refused_before_anything_is_made(cloud, settings, raw):
    cloud.service.warehouse.size = 2_000_000_000
    with pytest.raises(UserError, match=r"2\.00 GB, more than the limit of 1 GB") as refused:
        export(settings(1, *WHERE))
    assert "data.bigquery.max_gigabytes=2.20" in refused.value.do
    assert not cloud.billed
    assert not cloud.service.storage.list("gs://bucket/")
    export(settings(1, *WHERE, "data.bigquery.max_gigabytes=2.2"))
    assert cloud.billed[-1]["maximumBytesBilled"] == "2200000000"


def test_other_scores_are_an_error(cloud, settings, raw):
    answer = cloud.service.warehouse.predict
    halve = lambda row: row | {"churn_probability": row["churn_probability"] / 2}  # noqa: E731
    cloud.service.warehouse.predict = lambda uri, rows: [halve(row) for row in answer(uri, rows)]
    with pytest.raises(MismatchError, match="differs from the bundle's in 20 of 20 rows"):
        export(settings(1, *WHERE))


def test_limits_of_bigquery_are_named(monkeypatch, bundles):
    from churn.bundle.bundle import Bundle

    monkeypatch.setattr(module, "LARGEST", 1000)
    monkeypatch.setattr(module, "TYPES", ("float32",))
    monkeypatch.setattr(module, "FOREIGN", ("StringLower", "StaticRegexReplace", "LookupTableFindV2"))
    problems = list(map(str, module._limit_problems(Bundle.load(bundles[0]))))
    assert "BigQuery takes 0" in problems[0]
    assert any("BigQuery does not take string" in problem for problem in problems)
    assert "BigQuery has no operations LookupTableFindV2" in problems[-1]


def test_nothing_to_compare_is_an_error(bundles):
    with pytest.raises(UserError, match="has no rows"):
        module._compare(SimpleNamespace(), [])


def test_the_command_line_says_what_an_export_needs(tmp_path):
    assert "output=bq://P.SET.MODEL" in churn("export", code=2, cwd=tmp_path).stderr
