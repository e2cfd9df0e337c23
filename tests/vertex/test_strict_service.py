"""A service that is strict, slow and busy: nothing older is lost, and nothing stays unsaid."""

import json
import re
import sys
from importlib.metadata import version

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from conftest import ROOT
from doubles.vertex import Fault

from churn.bundle.bundle import Bundle
from churn.data.contract import MISSING_BELOW
from churn.data.infer.cells import parse_numbers, to_ids
from churn.data.sources import columns
from churn.errors import UserError, missing_package
from churn.vertex import sql
from churn.vertex import train as train_module
from churn.vertex.cloud import operations
from churn.vertex.cloud.operations import wait_for_pending
from churn.vertex.cloud.session import connect
from churn.vertex.deploy import deploy
from churn.vertex.destroy import destroy
from churn.vertex.score import score

from .test_deploy import ENDPOINT, model_id, traffic
from .test_faults import restore, save

MODEL = "projects/p/locations/us-central1/models/churn-dev"


def resources(cloud):
    """Names of all that exists."""
    service = cloud.service
    versions = [(name, v.version_id) for name, versions in service.models.items() for v in versions]
    deployed = [(name, d.id) for name, e in service.endpoints.items() for d in e.deployed_models]
    files = [name for name in service.storage.list("gs://bucket/") if "/monitoring/" not in name]
    return versions, deployed, sorted(service.datasets), [*service.monitors], files


@pytest.mark.parametrize("share", [0, 100])
def test_a_failed_deployment_removes_what_it_created_and_nothing_older(cloud, settings, bundles, share):
    deploy(settings(1))
    cloud.service.endpoints[ENDPOINT].traffic_split = (
        {model_id(settings(1), bundles[0]): 100} if share else {}
    )
    before = resources(cloud)
    cloud.service.wrong = {model_id(settings(2), bundles[1])}
    with pytest.raises(UserError, match="differs from the bundle's"):
        deploy(settings(2))
    assert resources(cloud) == before
    assert traffic(cloud) == {"1": share}


@pytest.mark.parametrize("kind", ["unavailable", "deadline"])
def test_a_fault_while_a_failed_deployment_is_undone_touches_nothing_older(cloud, settings, bundles, kind):
    deploy(settings(1))
    cloud.service.wrong = {model_id(settings(2), bundles[1])}
    before, versions = save(cloud), resources(cloud)
    cloud.inject(None)
    with pytest.raises(UserError, match="differs from the bundle's"):
        deploy(settings(2))
    last = len(cloud.calls) - cloud.calls[::-1].index("Predict")
    for number in range(last, len(cloud.calls), 6):
        restore(cloud, before)
        cloud.inject(Fault(number, kind))
        with pytest.raises(UserError):
            deploy(settings(2))
        cloud.inject(None)
        left = resources(cloud)
        assert [all(name in left[i] for name in versions[i]) for i in range(4)] == [True] * 4, number
        assert traffic(cloud)["1"] >= 50


def test_a_version_that_an_earlier_call_deployed_keeps_its_machines_but_loses_its_traffic(
    cloud, settings, bundles
):
    for number in (1, 2):
        deploy(settings(number, "deploy.canary=60"))
    before = resources(cloud)
    cloud.service.wrong = {model_id(settings(2), bundles[1])}
    with pytest.raises(UserError, match="differs from the bundle's"):
        deploy(settings(2, "deploy.canary=60"))
    assert resources(cloud) == before
    assert traffic(cloud) == {"1": 100, "2": 0}


@pytest.mark.parametrize("winner", ["model", "version"])
def test_versions_are_told_apart_whichever_label_wins(cloud, settings, winner):
    cloud.service.labels_win = winner
    for number in (1, 2, 2, 1):
        deploy(settings(number))
    assert len(cloud.service.models[MODEL]) == 2
    assert traffic(cloud) == {"1": 100, "2": 0}
    destroy(settings(1))
    assert not cloud.service.models


def test_a_version_of_unknown_origin_ends_in_one_message_and_no_further_version(cloud, settings):
    deploy(settings(1))
    cloud.service.models[MODEL][0].artifact_uri = "gs://elsewhere/model"
    for _ in range(2):
        with pytest.raises(UserError, match=r"can't be told apart(.|\n)*models/churn-dev@1: 'gs://elsewhere"):
            deploy(settings(2))
    assert len(cloud.service.models[MODEL]) == 1


def test_another_container_is_another_version_on_the_endpoint(cloud, settings):
    with pytest.raises(UserError, match=r"not built yet(.|\n)*--config=deploy/serving/cloudbuild.yaml"):
        deploy(settings(1, "serving=churn"))
    cloud.service.images.add("serving:0.1.0")
    for serving in ("prebuilt", "tf_serving", "churn"):
        deploy(settings(1, f"serving={serving}"))
    images = [model.container_spec.image_uri for model in cloud.service.models[MODEL]]
    assert ["tf2-cpu" in images[0], "tf-serving:" in images[1], "/serving:" in images[2]] == [True] * 3
    assert traffic(cloud) == {"2": 0, "3": 100}


def test_our_container_has_the_version_of_the_package():
    for file in ("configs/serving/churn.yaml", "deploy/serving/cloudbuild.yaml"):
        assert f"churn/serving:{version('churn')}" in (ROOT / file).read_text()


def test_operations_beyond_the_first_page_are_waited_for(cloud, settings):
    deploy(settings(1))
    service = cloud.service
    started = [service.operate(ENDPOINT, lambda: service.endpoints[ENDPOINT]).name for _ in range(5)]
    wait_for_pending(connect_to(settings(1)))
    assert all(service.operations[name].done for name in started)


def connect_to(cfg):
    from churn.vertex.cloud.deployment import Deployment

    return connect(Deployment.from_config(cfg))


def test_destroy_stops_the_machines_first_even_if_the_monitoring_job_stays_pending(
    cloud, settings, monkeypatch
):
    monkeypatch.setattr(operations, "ATTEMPTS", 3)
    deploy(settings(1))
    (job,) = cloud.service.monitors.values()
    job.state, cloud.service.pending = "JOB_STATE_PENDING", -1
    with pytest.raises(UserError, match=r"PENDING(.|\n)*do: churn destroy"):
        destroy(settings(1))
    assert not cloud.service.endpoints[ENDPOINT].deployed_models
    cloud.service.pending = 5
    destroy(settings(1))
    assert not cloud.service.endpoints


def test_destroy_takes_the_other_order_where_the_service_demands_it(cloud, settings):
    deploy(settings(1))
    cloud.service.monitors_hold = True
    destroy(settings(1))
    assert not {**cloud.service.endpoints, **cloud.service.models, **cloud.service.monitors}


def test_destroy_removes_or_prices_what_the_service_made_by_itself(cloud, settings, capsys):
    deploy(settings(1))
    cloud.service.storage.write("gs://bucket/churn-dev/mine.csv", b"1" * 10_000_000)
    capsys.readouterr()
    destroy(settings(1))
    assert not cloud.service.warehouse.tables
    assert list(cloud.service.storage.list("gs://bucket/")) == ["churn-dev/mine.csv"]
    printed = capsys.readouterr().out
    for line in (
        r"1 file below gs://bucket/churn-dev, not from here, will stay \(0.010 GB, \$0.00 a month\)",
        r"\d+ deleted files are kept by the bucket's soft delete until \d{4}-\d\d-\d\d \(0.\d+ GB",
        r"2 images in the repository churn stay .*\(0.800 GB, \$0.08 a month\): gcloud artifacts",
    ):
        assert re.search(line, printed), printed


def test_destroy_also_removes_what_was_staged_in_another_bucket(cloud, settings, table, capsys):
    for name in ("bucket2", "wide"):
        cloud.service.storage.make_bucket(name, "US-CENTRAL1")
    cloud.service.storage.write("gs://bucket/mine/1.csv", b"1")
    deploy(settings(1))
    score(settings(1, "deploy.bucket=wide", f"input={table}", "output=gs://wide/scores"))
    capsys.readouterr()
    destroy(settings(1, "deploy.bucket=bucket2"))
    assert [*cloud.service.storage.list("gs://bucket/")] == ["mine/1.csv"]
    assert {name.split("/")[0] for name in cloud.service.storage.list("gs://wide/")} == {"scores"}
    printed = capsys.readouterr().out
    assert re.search(r"\d+ files in gs://bucket/churn-dev/\n  \d+ files in gs://wide/churn-dev/", printed)
    assert "gcloud storage rm --recursive gs://wide/churn-dev/scoring --project=p" in printed


def test_destroy_ends_well_where_the_bucket_has_no_soft_delete(cloud, settings, capsys):
    cloud.service.storage.keep_no_deleted("bucket")
    score(settings(1, f"input={settings(1).data.path}", "output=gs://bucket/scores"))
    destroy(settings(1))
    printed = capsys.readouterr().out
    assert "nothing is left" in printed
    assert "soft delete" not in printed


def test_destroy_names_the_old_versions_that_the_bucket_keeps_and_their_price(cloud, settings, capsys):
    storage = cloud.service.storage
    storage.keep_versions("bucket")
    storage.write("gs://bucket/mine/1.csv", b"1")
    storage.delete("gs://bucket/mine/1.csv")
    deploy(settings(1))
    staged = len(storage.list("gs://bucket/"))
    capsys.readouterr()
    destroy(settings(1))
    assert not storage.list("gs://bucket/")
    kept = rf"{staged} deleted files below gs://bucket/churn-dev/ stay in the bucket's object versioning"
    command = r"gcloud storage rm --all-versions --recursive gs://bucket/churn-dev/ \(removes"
    printed = capsys.readouterr().out
    assert re.search(rf"{kept} \(0\.\d+ GB, \$0\.\d\d a month\): {command}", printed), printed


def test_monitoring_that_is_switched_off_keeps_its_tables(cloud, settings):
    deploy(settings(1))
    deploy(settings(1, "deploy.monitoring.enabled=false"))
    assert not cloud.service.monitors
    assert list(cloud.service.warehouse.tables) == ["p.model_deployment_monitoring_churn_dev.serving_predict"]


def test_tables_that_may_not_be_removed_are_named_with_their_price_and_removed_later(cloud, settings, capsys):
    deploy(settings(1))
    cloud.service.denied.add("bigquery.tables.delete")
    destroy(settings(1))
    text = r"data set model_deployment_monitoring_churn_dev with 1 tables .*\$0.00 a month\): bq rm"
    assert re.search(text, capsys.readouterr().out)
    cloud.service.denied.clear()
    destroy(settings(1))
    assert not cloud.service.warehouse.tables
    assert "with 1 tables" not in capsys.readouterr().out


def test_scarce_machines_are_no_quota(cloud, settings):
    cloud.service.scarce = {"n1-standard-2"}
    with pytest.raises(
        UserError, match=r"no such machines just now \(this is no quota\)(.|\n)*machine_type="
    ):
        deploy(settings(1))
    assert resources(cloud)[:4] == ([], [], [], [])


def test_a_multi_region_bucket_serves_jobs_but_no_endpoint(cloud, settings, table):
    cloud.service.storage.make_bucket("wide", "US")
    score(settings(1, "deploy.bucket=wide", f"input={table}", "output=gs://wide/scores"))
    with pytest.raises(UserError, match="the bucket is in us, the endpoint in us-central1"):
        deploy(settings(1, "deploy.bucket=wide"))


def test_a_table_is_scored_into_a_bucket_in_a_fresh_project(cloud, settings, table):
    cloud.service.warehouse.write("p.d.customers", pd.read_csv(table))
    score(settings(1, "input=bq://p.d.customers", "output=gs://bucket/scores"))
    assert "p.churn_dev_log" in cloud.service.datasets
    destroy(settings(1))
    assert sorted(cloud.service.datasets) == ["p.d"]


def test_a_data_set_for_the_answers_that_does_not_exist_is_named_before_anything_is_made(
    cloud, settings, table
):
    cloud.service.warehouse.write("p.d.customers", pd.read_csv(table))
    with pytest.raises(UserError, match=r"does not exist(.|\n)*mk --dataset p:scores"):
        score(settings(1, "input=bq://p.d.customers", "output=bq://p.scores"))
    assert not cloud.service.models


def test_a_training_job_replaces_a_copy_that_was_cut_short(cloud):
    script = train_module._job_script("/gcs/bucket/churn-dev/training/x", "churn.whl")
    copy = script[script.index("rm -rf") :]
    cloud.service.storage.write("gs://bucket/churn-dev/training/x/run/half", b"1")
    run_in_container(cloud, f"mkdir -p /tmp/runs/run && echo 1 > /tmp/runs/run/whole && {copy}")
    assert list(cloud.service.storage.list("gs://bucket/churn-dev")) == ["churn-dev/training/x/run/whole"]


def run_in_container(cloud, script):
    """Run a script as the container of a custom job does."""
    pool = {"container_spec": {"image_uri": "x", "command": ["sh", "-c"], "args": [script]}}
    from google.cloud.aiplatform_v1 import types as t

    cloud.service.run_custom(t.CustomJob({"job_spec": {"worker_pool_specs": [pool]}}))


def test_a_broken_run_in_the_bucket_is_refused_with_a_way_on(tmp_path):
    with pytest.raises(UserError, match=r"is not whole(.|\n)*another run\.dir=DIR"):
        train_module._refuse_broken_run(tmp_path, "gs://bucket/run/")


# -- the SQL of batch prediction


class Facts:
    """As much of a bundle as the SQL needs."""

    def __init__(self, schema):
        self.schema = schema
        kinds = dict.fromkeys(schema.numeric, "number") | dict.fromkeys(schema.categorical, "category")
        self.facts = {
            "inputs": [{"column": n, "input": n.replace(" ", "_"), "kind": k} for n, k in kinds.items()]
        }


def schema(**more):
    from churn.data.dataset import Schema

    return Schema("left", ("1",), **{"numeric": (), "categorical": ()} | more)


def read_by_sql(cloud, table, roles):
    """The inputs that BigQuery makes of a table."""
    cloud.service.warehouse.write("p.d.raw", table)
    types = {field["name"]: field["type"] for field in cloud.service.warehouse.schema("p.d.raw")}
    columns = ", ".join(sql.input_columns(Facts(roles), types))
    return cloud.service.warehouse.run(f"SELECT {columns} FROM `p.d.raw`")[1].to_pydict()


def read_by_training(table, roles):
    """The inputs that training makes of the same table, as Vertex AI is sent them."""
    from churn.data.table import RawTable
    from churn.data.validate import to_features
    from churn.vertex.checks.parity import to_instances

    frame = columns.to_pandas(columns.simplify_types(table))
    rows = to_instances(to_features(RawTable(frame, "raw"), roles), Facts(roles))
    return {name: [row[name] for row in rows] for name in rows[0] if name != "customer_key"}


ROLES = schema(
    numeric=("n f", "n i", "n d", "n text", "n true"),
    categorical=("c bool", "c text", "c f", "c i", "c d"),
    missing=("?", "-99"),
    missing_numbers=("none",),
    decimal=",",
    thousands=".",
)
RAW = {
    "n f": pa.array([1.5, float("nan"), -99.0, None]),
    "n i": pa.array([1, -99, None, 4]),
    "n d": pa.array([*map(__import__("decimal").Decimal, ("1.50", "2", "-99")), None], pa.decimal128(38, 9)),
    "n text": pa.array(["1.234,5", " ? ", "none", "7"]),
    "n true": pa.array(["True", " FALSE ", "?", "2,5"]),
    "c bool": pa.array([True, False, None, True]),
    "c text": pa.array([" a\u00a0", "?", "it's \\ two", "3.0"]),
    "c f": pa.array([1.0, float("nan"), 2.5, None]),
    "c i": pa.array([1, -99, None, 4]),
    "c d": pa.array(
        [*map(__import__("decimal").Decimal, ("1.50", "2", "3.000")), None], pa.decimal128(38, 9)
    ),
}


def test_bigquery_reads_every_type_of_cell_as_training_does(cloud):
    table = pa.table(RAW)
    by_sql, by_training = read_by_sql(cloud, table, ROLES), read_by_training(table, ROLES)
    assert by_sql.pop("customer_key") == [""] * 4
    for name, values in by_training.items():
        if name.startswith("n"):
            np.testing.assert_allclose(by_sql[name], np.array(values, float), err_msg=name)
        else:
            assert by_sql[name] == values, name


@pytest.mark.parametrize(
    "ids",
    [
        pa.array(["0042", " 7.00 ", "-3.0", "1e+05", "2.5E+5", "\\N", "#N/A", "", None, "1.5", "a.0"]),
        pa.array([1.0, 100_000.0, 2.5, float("nan"), None]),
        pa.array([1, -7, None]),
    ],
)
def test_bigquery_writes_ids_as_scoring_here_does(cloud, ids):
    table = pa.table({"id": ids, "n": [1.0] * len(ids)})
    cloud.service.warehouse.write("p.d.raw", table)
    types = {field["name"]: field["type"] for field in cloud.service.warehouse.schema("p.d.raw")}
    key = sql.customer_key(Facts(schema(numeric=("n",), id="id")), types)
    _, written = cloud.service.warehouse.run(f"SELECT {key} AS customer FROM `p.d.raw`")
    assert written["customer"].to_pylist() == to_ids(columns.to_pandas(table)["id"]).tolist()


@pytest.mark.parametrize(
    ("column", "values"),
    [("n text", ["1.5"]), ("n text", ["x"]), ("n text", ["nan"]), ("n f", [float("inf")]), ("n f", [-1e30])],
)
def test_a_cell_that_training_refuses_ends_the_query(cloud, column, values):
    roles = schema(numeric=(column,), decimal=",", thousands=".")
    with pytest.raises(UserError):
        read_by_training(pa.table({column: values}), roles)
    with pytest.raises(Exception, match=f"column {column}: "):
        read_by_sql(cloud, pa.table({column: values}), roles)


@pytest.mark.parametrize("mark", ["'", "’", " ", "\u00a0", "\u202f", "\\", '"'])
def test_bigquery_reads_numbers_with_any_thousands_separator_as_training_does(cloud, mark):
    roles = schema(numeric=("n",), thousands=mark)
    table = pa.table({"n": [f"1{mark}234.5", "12", f"-7{mark}654{mark}321", None]})
    by_sql, by_training = read_by_sql(cloud, table, roles), read_by_training(table, roles)
    np.testing.assert_allclose(by_sql["n"], np.array(by_training["n"], float))
    assert by_sql["n"][:3] == [1234.5, 12, -7654321]
    with pytest.raises(Exception, match="column n: not a number"):
        read_by_sql(cloud, pa.table({"n": [f"1{mark}23"]}), roles)


def test_an_infinite_number_is_refused_also_where_its_word_means_missing(cloud):
    roles = schema(numeric=("n",), missing=("-999", "inf"))
    assert read_by_sql(cloud, pa.table({"n": [1.5, -999.0]}), roles)["n"] == [1.5, MISSING_BELOW]
    assert read_by_sql(cloud, pa.table({"n": ["1.5", "inf"]}), roles)["n"] == [1.5, MISSING_BELOW]
    infinite = pa.table({"n": [float("inf")]})
    for read in (read_by_training, lambda table, roles: read_by_sql(cloud, table, roles)):
        with pytest.raises(Exception, match=r"column '?n'?: infinite"):
            read(infinite, roles)


def test_missing_columns_and_types_without_a_spelling_are_named_together(cloud):
    roles = schema(numeric=("a",), categorical=("b",))
    table = pa.table({"b": pa.array([0], pa.timestamp("us", "UTC"))})
    with pytest.raises(UserError, match=r"column 'a' is missing(.|\n)*column 'b' is TIMESTAMP"):
        read_by_sql(cloud, table, roles)


@pytest.mark.parametrize(("decimal", "thousands"), [(".", None), (".", ","), (",", "."), (",", None)])
def test_sql_and_training_agree_on_what_is_a_number(decimal, thousands):
    texts = [
        "1",
        "1.5",
        "1,5",
        "1.234,5",
        "1,234.5",
        "1,2345",
        "",
        "e5",
        "1e5",
        "-.5",
        "+,5",
        "inf",
        "nan",
        "0x1",
    ]
    by_sql = [bool(re.fullmatch(sql.number_pattern(decimal, thousands), text)) for text in texts]
    numbers = parse_numbers(pd.Series(texts, dtype="str"), decimal, thousands)
    assert by_sql == list(~np.isnan(numbers))


def test_a_truth_value_in_bigquery_gets_the_scores_of_training(cloud, settings, table, bundles):
    frame = pd.read_csv(table)
    truth = frame["contract"] == frame["contract"].iloc[0]
    cloud.service.warehouse.write("p.d.customers", frame.assign(contract=truth))
    score(settings(1, "input=bq://p.d.customers", "output=bq://p.d"))
    (job,) = cloud.service.jobs.values()
    made = cloud.service.table(job.input_config.bigquery_source.input_uri)
    assert {row["contract"] for row in made} == {"1", "0"}
    bundle = Bundle.load(bundles[0])
    assert json.loads(
        cloud.service.table(f"bq://p.d.{job.output_info.bigquery_output_table}")[0]["prediction"]
    )
    assert bundle.schema.id


def test_serve_without_its_extra_says_which_to_install(monkeypatch):
    from churn.config.root import compose_config
    from churn.serve.stage import serve

    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "churn.serve.server", raising=False)
    with pytest.raises(ModuleNotFoundError) as missing:
        serve(compose_config())
    message = str(missing_package(missing.value))
    assert "package uvicorn is not installed" in message
    assert "churn[serve]" in message
