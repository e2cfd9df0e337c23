"""Many workers give the same rows and counts as one machine."""

import numpy as np
import pandas as pd
import pytest
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions, WorkerOptions
from conftest import compose_config

from churn.config.data import SyntheticConfig
from churn.data.sources import synthetic
from churn.data.stream import beam
from churn.data.stream.rows import open_stream
from churn.errors import UserError
from churn.score import stage

pytestmark = pytest.mark.filterwarnings("default")  # Beam's own


def test_two_workers_score_like_one_process_and_keep_finished_files(customers, exported_bundle, tmp_path):
    customers.frame.assign(customer=[f"c{i}" for i in range(800)]).to_parquet(
        tmp_path / "in.parquet", row_group_size=150
    )
    (tmp_path / "scores").mkdir()
    kept = tmp_path / "scores" / "part-00001.parquet"
    pd.DataFrame({"customer": ["written before"]}).to_parquet(kept)
    settings = [f"bundle={exported_bundle}", f"input={tmp_path / 'in.parquet'}"]
    workers = ["beam.runner=direct", "beam.workers=2"]
    stage.score(compose_config(*settings, f"output={tmp_path / 'scores'}", *workers))
    stage.score(compose_config(*settings, f"output={tmp_path / 'one.parquet'}", "score.chunk_rows=150"))
    expected = pd.read_parquet(tmp_path / "one.parquet")
    files = sorted((tmp_path / "scores").iterdir())
    assert [file.name for file in files] == [f"part-0000{i}.parquet" for i in range(6)]
    assert pd.read_parquet(kept).customer.tolist() == ["written before"]
    for i in (0, 2, 3, 4, 5):
        part, rows = pd.read_parquet(files[i]), expected[150 * i : 150 * i + 150]
        assert part.customer.tolist() == rows.customer.tolist()
        probability = part.churn_probability.to_numpy()
        np.testing.assert_allclose(probability, rows.churn_probability.to_numpy(), atol=1e-6)


def test_workers_count_what_one_machine_counts(tmp_path):
    frame = synthetic.make_table(SyntheticConfig(rows=1_200), seed=3).frame
    frame.to_parquet(tmp_path / "c.parquet", row_group_size=200, index=False)
    cfg = compose_config(
        "data=parquet",
        f"data.path={tmp_path}/c.parquet",
        "train.stream_rows=1000",
        "beam.runner=direct",
        "beam.workers=2",
    )
    stream = open_stream(cfg)
    one, many = stream.count(), beam.count_with_beam(stream, cfg)
    assert (one.rows, one.churned, one.levels) == (many.rows, many.churned, many.levels)
    for name in ("lowest", "highest", "missing"):
        np.testing.assert_array_equal(getattr(one, name), getattr(many, name))


def test_dataflow_gets_all_options_and_the_user_an_error_for_missing_ones():
    settings = ["beam.runner=dataflow", "input=gs://b/in", "output=gs://b/out", "beam.workers=9"]
    with pytest.raises(UserError, match=r"deploy.project, deploy.bucket, beam.image"):
        beam.pipeline_options(compose_config(*settings))
    image = "europe-docker.pkg.dev/p/churn/beam:1"
    settings += [
        "deploy.project=customers-1",
        "deploy.bucket=bucket",
        f"beam.image={image}",
        "deploy.kms_key=k",
    ]
    options = beam.pipeline_options(compose_config(*settings))
    cloud, workers = options.view_as(GoogleCloudOptions), options.view_as(WorkerOptions)
    assert (cloud.project, cloud.region) == ("customers-1", "us-central1")
    assert (cloud.temp_location, cloud.staging_location) == (
        "gs://bucket/beam/temp",
        "gs://bucket/beam/staging",
    )
    assert cloud.dataflow_kms_key == "k"
    assert (workers.max_num_workers, workers.sdk_container_image) == (9, image)
    changed = {name: value for name, value in options.get_all_options(drop_default=True).items() if value}
    as_flags = PipelineOptions([f"--{name}={value}" for name, value in changed.items()])
    assert as_flags.get_all_options(drop_default=True) == changed  # Beam knows each of these options
    with pytest.raises(UserError, match="gs:// only"):
        beam.pipeline_options(compose_config(*settings, "input=here.parquet"))


@pytest.mark.parametrize("wrong", ["deploy.project=12345", "deploy.bucket=BAD_"])
def test_options_that_beam_s_validator_refuses_never_reach_dataflow(wrong):
    settings = ["beam.runner=dataflow", "input=gs://b/in", "output=gs://b/out", "beam.image=i"]
    with pytest.raises(UserError, match="Beam refuses the options: Invalid"):
        beam.pipeline_options(
            compose_config(*settings, "deploy.project=customers-1", "deploy.bucket=bucket", wrong)
        )


def test_beam_reads_parquet_and_writes_a_folder(exported_bundle, tmp_path):
    (tmp_path / "c.csv").write_text("a,b\n1,2\n")
    settings = [f"bundle={exported_bundle}", f"input={tmp_path / 'c.csv'}", "beam.runner=direct"]
    with pytest.raises(UserError, match="Parquet"):
        stage.score(compose_config(*settings, f"output={tmp_path / 'out'}"))
    with pytest.raises(UserError, match="folder"):
        stage.score(compose_config(*settings, f"output={tmp_path / 'out.parquet'}"))
