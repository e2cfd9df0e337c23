"""Batch prediction and training as jobs on Vertex AI give what this machine gives."""

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import SMALL, compose_config

from churn.bundle.bundle import Bundle
from churn.data.sources import files
from churn.data.validate import to_features
from churn.errors import UserError
from churn.vertex import train
from churn.vertex.cloud import jobs
from churn.vertex.deploy import deploy
from churn.vertex.destroy import destroy
from churn.vertex.score import score
from churn.vertex.status import status
from vertex.test_faults import retraining

VIEW = SimpleNamespace(table_type="VIEW", modified="2026-01-01")


@pytest.fixture
def expected(bundles, table, settings):
    """By customer: the probability that the bundle gives here."""
    bundle = Bundle.load(bundles[0])
    (raw,) = files.raw_tables(str(table), settings(1).data, 1000)
    answers = bundle.predict(to_features(raw, bundle.schema))["churn_probability"]
    return dict(zip(raw.frame["customer"].astype(str), answers, strict=True))


def compare(answers, expected):
    """Answers by customer, each an object of all outputs, against the probabilities."""
    assert answers.keys() == expected.keys()
    ours = [answers[key]["churn_probability"] for key in expected]
    np.testing.assert_allclose(ours, list(expected.values()), rtol=1e-5)


def results(cloud, directory):
    (name,) = cloud.service.storage.list(f"gs://bucket/{directory}")
    lines = cloud.service.storage.read(f"gs://bucket/{name}").splitlines()
    return {line["key"]: line["prediction"] for line in map(json.loads, lines)}


def test_a_file_is_scored_by_vertex_ai_as_here_and_the_job_waits_for_the_one_that_runs(
    cloud, settings, table, expected, capsys
):
    where = (f"input={table}", "output=gs://bucket/scores", "score.chunk_rows=60")
    score(settings(1, *where))
    compare(results(cloud, "scores"), expected)
    assert "$0.22 an hour" in capsys.readouterr().out
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


def test_a_table_of_bigquery_is_scored_as_objects_with_gaps_spelled_out(cloud, settings, table, expected):
    frame = pd.read_csv(table)
    assert frame["Monthly  charge"].isna().any()
    assert frame["payment"].isna().any()
    frame.to_sql("p.d.customers", cloud.service.sql, index=False)
    score(settings(1, "input=bq://p.d.customers", "output=bq://p.d"))
    (job,) = cloud.service.jobs.values()
    assert (job.input_config.instances_format, job.instance_config.instance_type) == ("bigquery", "object")
    found = cloud.service.table(f"bq://p.d.{job.output_info.bigquery_output_table}")
    compare({row["key"]: json.loads(row["prediction"]) for row in found}, expected)


def test_lines_of_json_in_a_bucket_are_taken_as_they_are(cloud, settings):
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


@pytest.mark.parametrize("where", [[], ["input=x.csv", "output=y.csv"]])
def test_scoring_wants_a_place_in_the_cloud_to_write_to(cloud, settings, where):
    with pytest.raises(UserError, match=r"output=bq://P\.SET"):
        score(settings(1, *where))
    assert not cloud.calls


def test_destroy_stops_and_removes_the_jobs_but_not_those_of_others(cloud, settings, table):
    deploy(settings(1))
    for name in ("ours", "theirs"):
        score(settings(1, f"input={table}", f"output=gs://bucket/{name}"))
    running, foreign = cloud.service.jobs.values()
    running.state, foreign.labels = "JOB_STATE_RUNNING", {}
    destroy(settings(1))
    assert list(cloud.service.jobs) == [foreign.name]
    assert {name.split("/")[0] for name in cloud.service.storage.list("gs://bucket/")} == {"ours", "theirs"}


def test_destroy_ends_schedules_before_the_pipelines_that_they_start_and_these_before_their_jobs(
    cloud, settings, table, capsys
):
    deploy(settings(1))
    score(settings(1, f"input={table}", "output=gs://bucket/ours"))
    retraining(settings(1))
    retraining(settings(1, "deploy.name=another"))
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
    assert "1 files below gs://bucket/churn-dev are not from here and stay" in capsys.readouterr().out


def test_the_same_rows_are_scored_once_and_other_rows_anew(cloud, settings, table, tmp_path, capsys):
    copy = tmp_path / "customers.csv"
    copy.write_bytes(table.read_bytes())
    for _ in range(2):
        score(settings(1, f"input={copy}", "output=gs://bucket/scores"))
    assert "scored before" in capsys.readouterr().out
    assert len(cloud.service.jobs) == 1
    copy.write_bytes(b"\n".join(table.read_bytes().splitlines()[:50]))
    score(settings(1, f"input={copy}", "output=gs://bucket/scores"))
    assert len(cloud.service.jobs) == 2


def test_a_view_counts_as_new_every_day(monkeypatch):
    clients = SimpleNamespace(bigquery=SimpleNamespace(get_table=lambda _: VIEW))
    monkeypatch.setattr(jobs, "today_text", lambda: "2026-11-25")
    assert jobs.content_fingerprint(clients, "bq://p.d.view") == "2026-11-25"


def test_training_as_a_job_brings_the_run_home(cloud, tmp_path, capsys):
    cfg = compose_config(
        *SMALL, "target=vertex", f"deploy.emulator={cloud.url}", "deploy.project=p", "deploy.bucket=bucket",
        "deploy.yes=true", f"run.root={tmp_path}", f"run.dir={tmp_path}/run",
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


def test_training_as_a_job_refuses_a_file_of_this_machine_and_a_container_that_is_not_built(cloud, table):
    cloud_is = (f"deploy.emulator={cloud.url}", "deploy.project=p", "deploy.bucket=bucket", "target=vertex")
    with pytest.raises(UserError, match=f"gcloud storage cp {table} gs://bucket/data/"):
        train.train(compose_config(*cloud_is, "data=csv", f"data.path={table}"))
    cloud.service.images.clear()
    with pytest.raises(UserError, match=r"gcloud builds submit \. --config=deploy/training/cloudbuild\.yaml"):
        train.train(compose_config(*cloud_is))
    assert not cloud.service.jobs
