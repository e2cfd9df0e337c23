"""Google's own client submits and schedules the pipeline."""

import re

import pytest
from conftest import ROOT
from google.api_core.exceptions import BadRequest

from churn.config.root import compose_config
from churn.data.sources.bigquery import check_choice
from churn.vertex.cloud.deployment import Deployment
from deploy.conftest import load_module

OPTIONS = ["--project=p", "--region=us-central1", "--bucket=bucket", "--name=churn-prod"]


@pytest.fixture(scope="module")
def submit():
    return load_module("pipeline", "submit").main


def test_a_run_has_the_overrides_and_the_label_of_the_deployment(cloud, submit, template):
    name = submit([str(template), *OPTIONS, "--kms-key=k", "data=telco", "target=vertex"])
    ((known, job),) = cloud.service.pipelines.items()
    assert name.endswith(known.rpartition("/")[2])
    overrides = list(job.runtime_config.parameter_values["overrides"])
    assert overrides[-2:] == ["data=telco", "target=vertex"]
    deployment = Deployment.from_config(compose_config(*overrides))
    assert deployment.endpoint == "projects/p/locations/us-central1/endpoints/churn-prod"
    assert (deployment.bucket, deployment.config.kms_key) == ("bucket", "k")
    assert job.encryption_spec.kms_key_name == "k"
    assert dict(job.labels)["churn-deployment"] == "churn-prod"
    assert job.runtime_config.gcs_output_directory == "gs://bucket/churn-prod/retrain"


SHOWING = ("docs/deploy.md", "docs/retraining.md", "deploy/pipeline/submit.py", "configs/data/bigquery.yaml")


@pytest.mark.parametrize("file", SHOWING)
def test_every_documented_reading_of_a_table_of_bigquery_names_it_and_no_query_beside_it(file):
    lines = re.findall(r"\bdata=bigquery(?:\s+[\w.]+=[\w.]+)+", (ROOT / file).read_text())
    assert lines
    for line in lines:
        data = compose_config(*line.split(), "deploy.project=p").data
        check_choice(data.bigquery)
        assert data.target
        assert not [*data.churned, *data.numeric, *data.categorical]  # of another table
        assert data.bigquery.project == "p"


def test_a_schedule_starts_one_run_at_a_time(cloud, submit, template):
    name = submit([str(template), *OPTIONS, "--cron=TZ=Europe/Berlin 0 6 * * 1", "--kms-key=k", "data=telco"])
    ((known, schedule),) = cloud.service.schedules.items()
    assert name.endswith(known.rpartition("/")[2])
    assert schedule.cron == "TZ=Europe/Berlin 0 6 * * 1"
    assert schedule.max_concurrent_run_count == 1
    run = schedule.create_pipeline_job_request.pipeline_job
    assert run.encryption_spec.kms_key_name == "k"
    assert "deploy.project=p" in run.runtime_config.parameter_values["overrides"]
    assert "data=telco" in run.runtime_config.parameter_values["overrides"]


def test_a_wrong_schedule_or_bucket_is_refused(cloud, submit, template):
    with pytest.raises(BadRequest, match="Invalid cron"):
        submit([str(template), *OPTIONS, "--cron=every monday"])
    with pytest.raises(BadRequest, match="in no bucket"):
        submit([str(template), *OPTIONS[:2], "--bucket=elsewhere"])
    assert not cloud.service.pipelines
    assert not cloud.service.schedules
