"""Batch prediction and training as jobs on Vertex AI give the results of this machine."""

import json
import os
import sqlite3
import sys
from contextlib import closing
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import SMALLEST, compose_config
from omegaconf import OmegaConf

from churn.bundle.bundle import Bundle
from churn.data.forgotten import put_on_list
from churn.data.sources import files
from churn.data.validate import to_features
from churn.errors import UserError
from churn.vertex import train
from churn.vertex.checks.scoring import check_addresses
from churn.vertex.cloud import jobs
from churn.vertex.cloud.deployment import Deployment
from churn.vertex.cloud.session import connect
from churn.vertex.deploy import deploy
from churn.vertex.destroy import destroy
from churn.vertex.score import score
from churn.vertex.status import status
from vertex.test_faults import start_retraining

VIEW = SimpleNamespace(table_type="VIEW", modified="2026-01-01")


@pytest.fixture
def expected(bundles, table, settings):
    """The bundle's probability on this machine, by customer."""
    bundle = Bundle.load(bundles[0])
    (raw,) = files.raw_tables(str(table), settings(1).data, 1000)
    answers = bundle.predict(to_features(raw, bundle.schema))["churn_probability"]
    return dict(zip(raw.frame["customer"].astype(str), answers, strict=True))


def compare(answers, expected):
    """Compare answers by customer, each an object of all outputs, with the probabilities."""
    assert answers.keys() == expected.keys()
    probabilities = [answers[key]["churn_probability"] for key in expected]
    np.testing.assert_allclose(probabilities, list(expected.values()), rtol=1e-5)


def results(cloud, directory):
    (name,) = cloud.service.storage.list(f"gs://bucket/{directory}")
    lines = cloud.service.storage.read(f"gs://bucket/{name}").splitlines()
    return {line["key"]: line["prediction"] for line in map(json.loads, lines)}


def test_a_file_is_scored_as_on_this_machine_and_a_running_job_is_not_started_twice(
    cloud, settings, table, expected, capsys
):
    where = (f"input={table}", "output=gs://bucket/scores", "score.chunk_rows=60")
    score(settings(1, *where))
    compare(results(cloud, "scores"), expected)
    printed = capsys.readouterr().out
    assert "$0.22 an hour" in printed
    assert "The answers, by `key`: gs://bucket/scores" in printed
    (job,) = cloud.service.jobs.values()
    assert job.instance_config.instance_type == "object"
    assert job.instance_config.key_field == "row_key"
    assert len(job.input_config.gcs_source.uris) == 2
    job.state = "JOB_STATE_RUNNING"  # the command was killed while the job ran
    cloud.inject(None)
    cloud.service.storage.delete(
        f"gs://bucket/{next(iter(cloud.service.storage.list('gs://bucket/scores')))}"
    )
    score(settings(1, *where))
    assert "CreateBatchPredictionJob" not in cloud.calls


def test_a_table_of_bigquery_is_scored_as_objects_with_missing_values_replaced(
    cloud, settings, table, expected
):
    frame = pd.read_csv(table)
    assert frame["Monthly  charge"].isna().any()
    assert frame["payment"].isna().any()
    cloud.service.warehouse.write("p.d.customers", frame)
    score(settings(1, "input=bq://p.d.customers", "output=bq://p.d"))
    (job,) = cloud.service.jobs.values()
    assert (job.input_config.instances_format, job.instance_config.instance_type) == ("bigquery", "object")
    rows = cloud.service.table(f"bq://p.d.{job.output_info.bigquery_output_table}")
    compare({row["key"]: json.loads(row["prediction"]) for row in rows}, expected)


def test_customers_in_several_rows_of_a_file_are_counted(cloud, settings, table, tmp_path, capsys):
    frame = pd.read_csv(table).head(5)
    frame["customer"] = ["a", "b", "a", "c", "c"]
    frame.to_csv(tmp_path / "rows.csv", index=False)
    score(settings(1, f"input={tmp_path}/rows.csv", "output=gs://bucket/scores"))
    printed = capsys.readouterr().out
    assert "! 2 customers stand in 4 rows: each row has its answer, all with one `key`" in printed


def test_a_row_late_in_a_file_that_cannot_be_scored_leaves_nothing_behind(cloud, settings, table, tmp_path):
    frame = pd.read_csv(table).head(100).astype({"tenure": object})
    frame.loc[80, "tenure"] = "abc"
    frame.to_csv(tmp_path / "rows.csv", index=False)
    with pytest.raises(UserError, match="'abc'"):
        score(settings(1, f"input={tmp_path}/rows.csv", "output=gs://bucket/scores", "score.chunk_rows=60"))
    assert not cloud.service.models
    assert not cloud.service.storage.list("gs://bucket/")


def test_rows_without_a_customer_are_counted(cloud, settings, table, tmp_path, capsys):
    frame = pd.read_csv(table).head(5)
    frame["customer"] = ["a", None, "b", " ", "c"]
    frame.to_csv(tmp_path / "rows.csv", index=False)
    score(settings(1, f"input={tmp_path}/rows.csv", "output=gs://bucket/scores"))
    assert "! 2 rows without a customer: nobody can tell whose these answers are" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (("input=bq://p.d.none", "output=bq://p.d"), r"there is no such table(.|\n)*do: bq ls p:d"),
        (("input=bq://p.d.customers", "output=gs://none/s"), r"the bucket(.|\n)*buckets create gs://none"),
    ],
)
def test_a_table_or_a_bucket_that_does_not_exist_is_found_first(cloud, settings, table, keys, message):
    cloud.service.warehouse.write("p.d.customers", pd.read_csv(table))
    with pytest.raises(UserError, match=message):
        score(settings(1, *keys))
    assert not cloud.service.models


def test_a_table_above_the_limit_is_refused_before_it_is_billed(cloud, settings, table):
    cloud.service.warehouse.write("p.d.customers", pd.read_csv(table))
    cloud.service.warehouse.size = 2_000_000_000
    where = ("input=bq://p.d.customers", "output=bq://p.d")
    with pytest.raises(UserError, match=r"2\.00 GB, more than the limit of 1 GB") as refused:
        score(settings(1, *where))
    assert "data.bigquery.max_gigabytes=2.20" in refused.value.do
    assert not cloud.billed
    score(settings(1, *where, "data.bigquery.max_gigabytes=2.2"))
    assert [asked["maximumBytesBilled"] for asked in cloud.billed] == ["2200000000"] * 2


def test_columns_of_a_table_of_bigquery_with_many_unseen_cells_are_named(cloud, settings, table, capsys):
    frame = pd.read_csv(table)
    frame["contract"] = frame["contract"].str.capitalize()
    frame["tenure"] = 7e4
    cloud.service.warehouse.write("p.d.customers", frame)
    score(settings(1, "input=bq://p.d.customers", "output=bq://p.d"))
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("! ")]
    assert len(printed) == 2
    assert printed[0] == (
        f"! column 'tenure': 100% of the cells are unlike any in training, most often '70000' ({len(frame)})"
    )
    assert "! column 'contract': 100% of the cells" in printed[1]


@pytest.mark.parametrize("state", ["JOB_STATE_SUCCEEDED", "JOB_STATE_PARTIALLY_SUCCEEDED"])
def test_rows_without_an_answer_are_named(cloud, settings, table, capsys, state):
    where = (f"input={table}", "output=gs://bucket/scores")
    score(settings(1, *where))
    assert "have no answer" not in capsys.readouterr().out
    (job,) = cloud.service.jobs.values()
    job.state, job.completion_stats = state, {"successful_count": 90, "failed_count": 10}
    score(settings(1, *where))  # finds the job
    said = capsys.readouterr().out
    assert "gs://bucket/scores" in said
    assert "! 10 of 100 rows have no answer" in said
    assert len(cloud.service.jobs) == 1


def test_marks_that_the_model_does_not_read_are_refused(cloud, settings, table):
    with pytest.raises(UserError, match="this model reads numbers like"):
        score(settings(1, f"input={table}", "output=gs://bucket/s", "data.decimal=','", "data.thousands=."))
    assert not cloud.service.jobs


@pytest.mark.parametrize("change", [{"size": 2_000_000_000}, {"lacks": "contract"}])
def test_a_table_that_cannot_be_read_is_refused_before_anything_is_made(cloud, settings, table, change):
    frame = pd.read_csv(table).drop(columns=change.get("lacks", []))
    cloud.service.warehouse.write("p.d.customers", frame)
    cloud.service.warehouse.size = change.get("size", 0)
    with pytest.raises(UserError):
        score(settings(1, "input=bq://p.d.customers", "output=bq://p.d"))
    assert not cloud.service.models
    assert not cloud.service.storage.list("gs://bucket/")


def test_json_lines_in_a_bucket_are_used_as_they_are(cloud, settings):
    row = {
        "tenure": 1.0,
        "Monthly__charge": 2.0,
        "contract": "monthly",
        "payment": "card",
        "customer_key": "k",
    }
    cloud.service.storage.write("gs://bucket/in.jsonl", json.dumps(row).encode())
    score(settings(1, "input=gs://bucket/in.jsonl", "output=gs://bucket/scores"))
    (name,) = cloud.service.storage.list("gs://bucket/scores")
    assert json.loads(cloud.service.storage.read(f"gs://bucket/{name}"))["prediction"]["customer_key"] == "k"
    cloud.service.storage.write("gs://bucket/bad.jsonl", json.dumps(row | {"more": 1}).encode())
    with pytest.raises(UserError, match=r"ended as FAILED: Failed to process(.|\n)*gcloud logging read"):
        score(settings(1, "input=gs://bucket/bad.jsonl", "output=gs://bucket/scores"))


def test_a_table_without_the_column_of_ids_is_refused_before_the_question(cloud, settings, table, tmp_path):
    """Vertex AI gives the answers in no order."""
    pd.read_csv(table).drop(columns="customer").to_csv(tmp_path / "noid.csv", index=False)
    with pytest.raises(UserError, match=r"'customer' is missing(.|\n)*noid\.csv(.|\n)*target=local"):
        score(settings(1, f"input={tmp_path}/noid.csv", "output=gs://bucket/scores", "deploy.yes=false"))
    assert not cloud.service.models
    assert not cloud.service.jobs


def test_json_lines_on_this_machine_are_read_here(cloud, settings, table, expected, tmp_path):
    pd.read_csv(table).to_json(tmp_path / "rows.jsonl", orient="records", lines=True)
    score(settings(1, f"input={tmp_path}/rows.jsonl", "output=gs://bucket/scores"))
    compare(results(cloud, "scores"), expected)


@pytest.mark.parametrize(
    "where",
    [
        [],
        ["input=x.csv", "output=y.csv"],
        ["input=x.csv", "output=gs://"],
        ["input=bq://customers", "output=bq://p.d"],
        ["input=bq://p.d.t", "output=bq://p.d.scores"],
        ["input=bq://p.d.t", "output=bq://p"],
    ],
)
def test_scoring_needs_an_output_in_the_cloud(cloud, settings, where):
    with pytest.raises(UserError, match=r"output=bq://P\.SET"):
        score(settings(1, *where))
    assert not cloud.calls


def test_a_project_may_have_a_domain():
    check_addresses("bq://example.com:p.d.customers", "bq://example.com:p.d")


@pytest.mark.parametrize(
    "key",
    ["top=3", "score.reasons=true", "score.keep=[payment]", "score.sort=true", "score.page=a.html",
     "score.do_not_contact=no.csv", "decision.contact_cost=3"],
)  # fmt: skip
def test_what_only_a_scoring_on_this_machine_does_is_refused(cloud, settings, table, key):
    with pytest.raises(UserError, match=rf"where: {key.partition('=')[0]}(.|\n)*target=local"):
        score(settings(1, f"input={table}", "output=gs://bucket/scores", key))
    assert not cloud.calls


def test_destroy_cancels_and_removes_only_our_jobs(cloud, settings, table):
    deploy(settings(1))
    for name in ("ours", "theirs"):
        score(settings(1, f"input={table}", f"output=gs://bucket/{name}"))
    running, foreign = cloud.service.jobs.values()
    running.state, foreign.labels = "JOB_STATE_RUNNING", {}
    destroy(settings(1))
    assert list(cloud.service.jobs) == [foreign.name]
    assert {name.split("/")[0] for name in cloud.service.storage.list("gs://bucket/")} == {"ours", "theirs"}


def test_destroy_removes_schedules_before_pipelines_and_pipelines_before_jobs(cloud, settings, table, capsys):
    deploy(settings(1))
    score(settings(1, f"input={table}", "output=gs://bucket/ours"))
    start_retraining(settings(1))
    start_retraining(settings(1, "deploy.name=another"))
    status(settings(1))
    assert "Starts runs, each of which is billed (ACTIVE, 0 6 * * 1)" in capsys.readouterr().out
    for job in cloud.service.jobs.values():
        job.state = "JOB_STATE_RUNNING"
    cloud.inject(None)
    cloud.service.lag = 1
    cloud.service.storage.write("gs://bucket/churn-dev/retrain/artifact", b"1")
    destroy(settings(1))
    order = ["DeleteSchedule", "CancelPipelineJob", "DeletePipelineJob", "CancelBatchPredictionJob",
             "DeleteBatchPredictionJob", "DeleteModelDeploymentMonitoringJob", "DeleteEndpoint"]  # fmt: skip
    assert [call for call in dict.fromkeys(cloud.calls) if call in order] == order
    (pipeline,), (schedule,) = cloud.service.pipelines.values(), cloud.service.schedules.values()
    assert pipeline.labels["churn-deployment"] == "another"
    assert schedule.create_pipeline_job_request.pipeline_job.labels["churn-deployment"] == "another"
    assert not cloud.service.jobs
    assert "1 file below gs://bucket/churn-dev, not from here, will stay" in capsys.readouterr().out


def test_the_same_rows_are_scored_once_and_other_rows_again(cloud, settings, table, tmp_path, capsys):
    copy = tmp_path / "customers.csv"
    copy.write_bytes(table.read_bytes())
    for _ in range(2):
        score(settings(1, f"input={copy}", "output=gs://bucket/scores"))
    assert "scored before" in capsys.readouterr().out
    assert len(cloud.service.jobs) == 1
    copy.write_bytes(table.read_bytes().replace(b"monthly", b"Monthly"))
    score(settings(1, f"input={copy}", "output=gs://bucket/scores"))
    assert len(cloud.service.jobs) == 2
    assert "of the cells are unlike any in training, most often 'Monthly'" in capsys.readouterr().out


def test_other_rows_of_the_same_file_are_scored_by_another_job(cloud, settings, table, tmp_path):
    months = {"january": pd.read_csv(table)[:20], "february": pd.read_csv(table)[20:50]}
    with closing(sqlite3.connect(tmp_path / "crm.db")) as con:
        for name, rows in months.items():
            rows.to_sql(name, con, index=False)
    for name in ("january", "february", "january"):
        score(settings(1, f"input={tmp_path}/crm.db", f"data.table={name}", "output=gs://bucket/scores"))
    jobs_of = [job.input_config.gcs_source.uris for job in cloud.service.jobs.values()]
    assert [cloud.service.storage.read(uri).count(b"\n") for (uri,) in jobs_of] == [20, 30]


@pytest.mark.parametrize(
    "address",
    ["bucket/data-1.csv", "bucket/data-*.csv", "bucket/data-?.csv", "bucket/data-[0-9].csv", "bucket/d",
     "anonymous@bucket/data-1.csv?scheme=http"],
)  # fmt: skip
def test_other_rows_in_a_bucket_have_another_fingerprint(cloud, settings, address):
    session, seen = connect(Deployment.from_config(settings(1))), set()
    for rows in (b"october", b"november"):
        cloud.service.storage.write("gs://bucket/data-1.csv", rows)
        seen.add(jobs.content_fingerprint(session, f"gs://{address}"))
    assert len(seen) == 2


def test_rows_that_are_not_in_the_bucket_are_refused_before_anything_is_made(cloud, settings):
    for path in ("none.jsonl", "none-[0-9].csv"):
        with pytest.raises(UserError, match=r"no such object(.|\n)*gcloud storage ls gs://bucket/none"):
            score(settings(1, f"input='gs://bucket/{path}'", "output=gs://bucket/scores"))
    assert not cloud.service.models
    cfg = settings(1, "data.path='gs://bucket/none-[0-9].csv'", "target=vertex")
    with pytest.raises(UserError, match="no such object"):
        train._data_fingerprint(connect(Deployment.from_config(cfg)), cfg)


def test_an_object_that_was_put_together_of_parts_has_a_fingerprint_too():
    """It has no MD5."""
    blob = SimpleNamespace(name="data.csv", md5_hash=None, crc32c="october")
    storage = SimpleNamespace(list_blobs=lambda bucket, prefix: [blob])
    session = SimpleNamespace(clients=SimpleNamespace(storage=storage))
    before = jobs.content_fingerprint(session, "gs://bucket/data.csv")
    blob.crc32c = "november"
    assert jobs.content_fingerprint(session, "gs://bucket/data.csv") != before


def test_a_view_counts_as_new_every_day(monkeypatch):
    clients = SimpleNamespace(bigquery=SimpleNamespace(get_table=lambda _: VIEW))
    monkeypatch.setattr(jobs, "today", lambda: date(2026, 11, 25))
    assert jobs.content_fingerprint(SimpleNamespace(clients=clients), "bq://p.d.view") == "2026-11-25"


def test_the_run_of_a_training_job_is_copied_back_and_registered(cloud, tmp_path, capsys):
    cfg = compose_config(
        *SMALLEST, "target=vertex", f"deploy.emulator={cloud.url}", "deploy.project=p",
        "deploy.bucket=bucket", "deploy.yes=true", f"run.root={tmp_path}", f"run.dir={tmp_path}/run",
    )  # fmt: skip
    cloud.service.environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    train.train(cfg)
    bundle = Bundle.load(tmp_path / "run" / "bundle")
    assert bundle.facts["name"] == "synthetic"
    assert (tmp_path / "latest").resolve() == tmp_path / "run"
    assert "synthetic version 1" in capsys.readouterr().out
    (job,) = cloud.service.jobs.values()
    (pool,) = job.job_spec.worker_pool_specs
    assert pool.container_spec.image_uri == "us-central1-docker.pkg.dev/p/churn/training:latest"


def test_a_training_job_says_that_it_does_not_know_who_is_forgotten(cloud, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(train, "_find_or_start_job", lambda *_: pytest.fail("started"))
    cfg = compose_config(
        "target=vertex", f"deploy.emulator={cloud.url}", "deploy.project=p", "deploy.bucket=bucket",
        f"run.root={tmp_path}", f"run.dir={tmp_path}/run",
    )  # fmt: skip
    put_on_list(cfg, "00017")
    with pytest.raises(pytest.fail.Exception, match="started"):
        train.train(cfg)
    assert "does not know the 1 customer on the list of forgotten ones" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data=kaggle", "data.kaggle=o/d"], "no client of Kaggle"),
        (["data.name=a/b"], "cannot be called so"),
        (["data=bigquery", "data.bigquery.table=customers"], "no name of a table"),
        (["data=csv", "data.path=gs://"], "Missing bucket name"),
        (
            ["data=csv", "data.path=postgresql://ann:secret@h/crm"],
            r"ann:\*\*\*@h/crm(.|\n)*Parquet file below gs",
        ),
    ],
)
def test_what_a_training_job_could_not_do_is_refused_before_it(cloud, tmp_path, overrides, message):
    cloud_is = (f"deploy.emulator={cloud.url}", "deploy.project=p", "deploy.bucket=bucket", "target=vertex")
    with pytest.raises(UserError, match=message):
        train.train(compose_config(*cloud_is, f"run.root={tmp_path}", *overrides))
    assert not cloud.service.jobs


def test_rows_that_may_change_without_a_sign_are_other_rows_every_day(tmp_path, monkeypatch):
    (tmp_path / "_delta_log").mkdir()
    for source in ("postgresql://h/crm", str(tmp_path)):
        days = []
        for day in ("2026-11-25", "2026-11-26"):
            monkeypatch.setattr(jobs, "today", lambda day=day: day)
            days.append(jobs.content_fingerprint(SimpleNamespace(clients=None), source))
        assert days == ["2026-11-25", "2026-11-26"]


def test_a_training_job_reads_bigquery_in_the_project_of_the_deployment():
    """Not in the default of its credentials, which on Vertex AI is a project of Google's."""
    cfg = compose_config("data=bigquery", "data.bigquery.table=p.d.t", "deploy.project=mine")
    assert OmegaConf.create(train._job_configuration(cfg)).data.bigquery.project == "mine"


def test_a_training_job_refuses_local_files_and_a_container_that_is_not_built(cloud, table, tmp_path):
    cloud_is = (f"deploy.emulator={cloud.url}", "deploy.project=p", "deploy.bucket=bucket", "target=vertex")
    with pytest.raises(UserError, match=f"gcloud storage cp {table} gs://bucket/data/"):
        train.train(compose_config(*cloud_is, "data=csv", f"data.path={table}"))
    (folder := tmp_path / "our exports").mkdir()
    (folder / "1.csv").write_bytes(Path(table).read_bytes())
    with pytest.raises(UserError, match=f"gcloud storage cp --recursive '{folder}' gs://bucket/data/"):
        train.train(compose_config(*cloud_is, "data=csv", f"data.path={folder}"))
    both = ("data=thelook", "data.bigquery.table=p.d.t")
    with pytest.raises(UserError, match="name a table or a query"):
        train.train(compose_config(*cloud_is, *both))
    assert not cloud.calls
    cloud.service.images.clear()
    with pytest.raises(UserError, match=r"gcloud builds submit \. --config=deploy/training/cloudbuild\.yaml"):
        train.train(compose_config(*cloud_is))
    assert not cloud.service.jobs
