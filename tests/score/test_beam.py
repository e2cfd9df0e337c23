"""Many workers give what one machine gives, row for row."""

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


def test_two_processes_score_as_one_does_and_go_on_where_they_were_killed(
    customers, exported_bundle, tmp_path
):
    customers.frame.assign(customer=[f"c{i}" for i in range(800)]).to_parquet(
        tmp_path / "in.parquet", row_group_size=150
    )
    (tmp_path / "scores").mkdir()
    kept = tmp_path / "scores" / "part-00001.parquet"
    pd.DataFrame({"customer": ["made before"]}).to_parquet(kept)
    asked = [f"bundle={exported_bundle}", f"input={tmp_path / 'in.parquet'}"]
    stage.score(
        compose_config(*asked, f"output={tmp_path / 'scores'}", "beam.runner=direct", "beam.workers=2")
    )
    stage.score(compose_config(*asked, f"output={tmp_path / 'one.parquet'}", "score.chunk_rows=150"))
    one = pd.read_parquet(tmp_path / "one.parquet")
    files = sorted((tmp_path / "scores").iterdir())
    assert [file.name for file in files] == [f"part-0000{i}.parquet" for i in range(6)]
    assert pd.read_parquet(kept).customer.tolist() == ["made before"]
    for i in (0, 2, 3, 4, 5):
        found = pd.read_parquet(files[i])
        assert found.customer.tolist() == one.customer[150 * i : 150 * i + 150].tolist()
        mine = one.churn_probability[150 * i : 150 * i + 150].to_numpy()
        np.testing.assert_allclose(found.churn_probability.to_numpy(), mine, atol=1e-6)


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
    ours, theirs = stream.count(), beam.count_with_beam(stream, cfg)
    assert (ours.rows, ours.churned, ours.levels) == (theirs.rows, theirs.churned, theirs.levels)
    for name in ("lowest", "highest", "missing"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))


def test_dataflow_is_told_all_it_needs_or_the_user_what_is_missing():
    asked = ["beam.runner=dataflow", "input=gs://b/in", "output=gs://b/out", "beam.workers=9"]
    with pytest.raises(UserError, match=r"deploy.project, deploy.bucket, beam.image"):
        beam.pipeline_options(compose_config(*asked))
    image = "europe-docker.pkg.dev/p/churn/beam:1"
    asked += ["deploy.project=customers-1", "deploy.bucket=bucket", f"beam.image={image}"]
    options = beam.pipeline_options(compose_config(*asked))
    cloud, workers = options.view_as(GoogleCloudOptions), options.view_as(WorkerOptions)
    assert (cloud.project, cloud.region) == ("customers-1", "us-central1")
    assert (cloud.temp_location, cloud.staging_location) == (
        "gs://bucket/beam/temp",
        "gs://bucket/beam/staging",
    )
    assert (workers.max_num_workers, workers.sdk_container_image) == (9, image)
    told = {name: value for name, value in options.get_all_options(drop_default=True).items() if value}
    as_flags = PipelineOptions([f"--{name}={value}" for name, value in told.items()])
    assert as_flags.get_all_options(drop_default=True) == told  # each is an option that Beam knows
    with pytest.raises(UserError, match="gs:// only"):
        beam.pipeline_options(compose_config(*asked, "input=here.parquet"))


@pytest.mark.parametrize("wrong", ["deploy.project=12345", "deploy.bucket=BAD_", "beam.workers=0"])
def test_what_beams_own_validator_refuses_never_reaches_dataflow(wrong):
    asked = ["beam.runner=dataflow", "input=gs://b/in", "output=gs://b/out", "beam.image=i"]
    with pytest.raises(UserError, match="Beam refuses the options: Invalid"):
        beam.pipeline_options(
            compose_config(*asked, "deploy.project=customers-1", "deploy.bucket=bucket", wrong)
        )


def test_what_is_no_parquet_or_no_folder_is_refused(exported_bundle, tmp_path):
    (tmp_path / "c.csv").write_text("a,b\n1,2\n")
    asked = [f"bundle={exported_bundle}", f"input={tmp_path / 'c.csv'}", "beam.runner=direct"]
    with pytest.raises(UserError, match="Parquet"):
        stage.score(compose_config(*asked, f"output={tmp_path / 'out'}"))
    with pytest.raises(UserError, match="folder"):
        stage.score(compose_config(*asked, f"output={tmp_path / 'out.parquet'}"))
