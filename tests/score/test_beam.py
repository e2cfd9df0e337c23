"""Many workers give the same rows and counts as one machine."""

import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions, WorkerOptions
from conftest import compose_config

from churn.bundle.bundle import Bundle
from churn.bundle.contents import CHECKSUMS, list_checksums
from churn.bundle.export import seal
from churn.config.data import SyntheticConfig
from churn.data.sources import synthetic
from churn.data.stream import beam
from churn.data.stream.rows import open_stream
from churn.errors import UserError
from churn.files import write_text
from churn.score import beam as beam_scoring
from churn.score import stage
from churn.score.folder import claim_folder, fingerprint_of

pytestmark = pytest.mark.filterwarnings("default")  # Beam's own


def test_two_workers_score_like_one_process_and_keep_finished_files(
    customers, exported_bundle, tmp_path, capsys
):
    named = customers.frame.assign(
        customer=[f"c{i}" for i in range(800)], name=[f"{i}.0" for i in range(800)]
    )
    named.to_parquet(tmp_path / "in.parquet", row_group_size=150)
    kept = tmp_path / "scores" / "part-00001.parquet"
    settings = [f"bundle={exported_bundle}", f"input={tmp_path / 'in.parquet'}", "score.keep=[name]"]
    workers = ["beam.runner=direct", "beam.workers=2"]
    cfg = compose_config(*settings, *workers)
    claim_folder(tmp_path / "scores", fingerprint_of(Bundle.load(exported_bundle), cfg))
    pd.DataFrame({"customer": ["written before"]}).to_parquet(kept)
    stage.score(compose_config(*settings, f"output={tmp_path / 'scores'}", *workers))
    assert "remarks are about the cells of the first 150 rows only" in capsys.readouterr().out
    stage.score(compose_config(*settings, f"output={tmp_path / 'one.parquet'}", "score.chunk_rows=150"))
    expected = pd.read_parquet(tmp_path / "one.parquet")
    files = sorted((tmp_path / "scores").glob("[!_]*"))
    assert [file.name for file in files] == [f"part-0000{i}.parquet" for i in range(6)]
    assert pd.read_parquet(kept).customer.tolist() == ["written before"]
    for i in (0, 2, 3, 4, 5):
        assert files[i].stat().st_mode & 0o777 == 0o640
        part, rows = pd.read_parquet(files[i]), expected[150 * i : 150 * i + 150]
        assert part.columns.tolist() == rows.columns.tolist()
        assert part.customer.tolist() == rows.customer.tolist()
        assert part.name.tolist() == rows.name.tolist()
        probability = part.churn_probability.to_numpy()
        np.testing.assert_allclose(probability, rows.churn_probability.to_numpy(), atol=1e-6)


@pytest.mark.parametrize("other", [{}, {"customer": str, "months": float, "spend": str}])
def test_ids_and_kept_columns_have_the_types_that_one_process_writes(
    customers, exported_bundle, tmp_path, other
):
    spend = np.where(np.arange(800) % 3, 3.5, np.nan)
    plan = np.resize(np.array(["gold", None], object), 800)
    named = customers.frame.assign(customer=range(800), months=range(800), spend=spend, plan=plan)
    folder = tmp_path / "in"
    folder.mkdir()
    for name, part in (("a", named[:400]), ("b", named[400:].astype(other))):
        part.to_parquet(folder / f"{name}.parquet", row_group_size=200)
    settings = [f"bundle={exported_bundle}", f"input={folder}", "score.keep=[months,spend,plan]"]
    stage.score(compose_config(*settings, f"output={tmp_path / 'one'}"))
    stage.score(compose_config(*settings, f"output={tmp_path / 'many'}", "beam.runner=direct"))
    one, many = (pq.ParquetDataset(sorted((tmp_path / name).glob("p*"))) for name in ("one", "many"))
    schemas = {str(pq.read_schema(file)) for file in one.files + many.files}
    assert schemas == {str(one.schema)}
    kept = ["customer", "months", "spend", "plan"]
    assert many.read(kept).equals(one.read(kept))


def test_numbers_stay_as_they_were_typed_where_the_files_types_differ(customers, exported_bundle, tmp_path):
    """A model of numbers like 1.234,56: as text, 70.5 would be no number, and 70.125 seventy thousand."""
    bundle, folder = tmp_path / "bundle", tmp_path / "in"
    shutil.copytree(exported_bundle, bundle)
    facts = Bundle.load(bundle).facts
    seal(bundle, facts | {"schema": facts["schema"] | {"decimal": ",", "thousands": "."}}, {})
    folder.mkdir()
    number = next(name for name in customers.schema.numeric if name != "tenure")
    parts = customers.frame[:200], customers.frame[200:400].fillna({number: 0}).astype({number: int})
    for name, part in zip("ab", parts, strict=True):
        part.to_parquet(folder / f"{name}.parquet")
    output = tmp_path / "scores"
    stage.score(
        compose_config(f"bundle={bundle}", f"input={folder}", f"output={output}", "beam.runner=direct")
    )
    found = [pq.read_table(file)["churn_probability"] for file in sorted(output.glob("part-*"))]
    expected = [Bundle.load(exported_bundle).predict(part)["churn_probability"] for part in parts]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.to_numpy(), other, atol=1e-6)
    stage.score(compose_config(f"bundle={bundle}", f"input={folder}", f"output={tmp_path / 'one.parquet'}"))
    found = pq.read_table(tmp_path / "one.parquet")["churn_probability"]
    np.testing.assert_allclose(found.to_numpy(), np.concatenate(expected), atol=1e-6)


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_the_files_of_another_scoring_are_refused_before_the_work(
    customers, exported_bundle, tmp_path, scheme
):
    bundle, file, output = Bundle.load(exported_bundle), tmp_path / "in.parquet", tmp_path / "scores"
    customers.frame.to_parquet(file)
    settings = [
        f"bundle={exported_bundle}",
        f"input={file}",
        f"output={scheme}{output}",
        "beam.runner=direct",
    ]
    cfg = compose_config(*settings)
    for _ in range(2):  # the same scoring goes on
        beam_scoring._claim(str(cfg.output), fingerprint_of(bundle, cfg))
    with pytest.raises(UserError, match="or scores of other rows"):
        stage.score(compose_config(*settings, "score.keep=[tenure]"))
    with pytest.raises(UserError, match="no column 'nonsense'"):
        stage.score(compose_config(*settings, "score.keep=[nonsense]"))
    customers.frame[:700].to_parquet(file)
    with pytest.raises(UserError, match="or scores of other rows"):
        stage.score(cfg)
    customers.frame.drop(columns="tenure").to_parquet(file)
    with pytest.raises(UserError, match="tenure"):
        stage.score(cfg)
    assert [entry.name for entry in output.iterdir()] == ["_scored.json"]


@pytest.mark.parametrize("workers", [1, 2])
def test_cells_that_cannot_be_used_are_the_same_single_message_as_without_beam(
    customers, exported_bundle, tmp_path, workers, capfd, caplog
):
    frame = customers.frame.astype({"tenure": str})
    frame.loc[[500, 700], "tenure"] = "abc"
    frame.to_parquet(tmp_path / "in.parquet", row_group_size=150)
    settings = [f"bundle={exported_bundle}", f"input={tmp_path / 'in.parquet'}"]
    with pytest.raises(UserError) as expected:
        stage.score(compose_config(*settings, f"output={tmp_path / 'one.csv'}", "score.chunk_rows=150"))
    beam_settings = [f"output={tmp_path / 'scores'}", "beam.runner=direct", f"beam.workers={workers}"]
    with pytest.raises(UserError) as error:
        stage.score(compose_config(*settings, *beam_settings))
    assert str(error.value) == str(expected.value)
    assert "row 501: 'abc'" in str(error.value)
    assert "Traceback" not in capfd.readouterr().err + caplog.text
    assert not (tmp_path / "scores" / beam_scoring.STOP_FILE).exists()


@pytest.mark.parametrize(
    ("lacking", "message"), [("coded", "no light model"), ("coded_reasons", "gives no reasons")]
)
def test_what_the_bundle_cannot_compute_is_refused_before_the_work(
    customers, exported_bundle, tmp_path, lacking, message
):
    customers.frame.to_parquet(tmp_path / "in.parquet")
    shutil.copytree(exported_bundle, tmp_path / "bundle")
    Bundle.load(tmp_path / "bundle").light_file(lacking).unlink()
    write_text(tmp_path / "bundle" / CHECKSUMS, list_checksums(tmp_path / "bundle"))
    keys = ["score.reasons=true", "beam.runner=direct", f"output={tmp_path / 'scores'}"]
    with pytest.raises(UserError, match=message):
        stage.score(
            compose_config(f"bundle={tmp_path / 'bundle'}", f"input={tmp_path / 'in.parquet'}", *keys)
        )
    assert not (tmp_path / "scores").exists()


@pytest.mark.parametrize("fault", ["no id", "one more", "twice", "nested"])
def test_columns_that_cannot_be_read_are_refused_as_without_beam(customers, exported_bundle, tmp_path, fault):
    (tmp_path / "in").mkdir()
    table = pa.Table.from_pandas(customers.frame.assign(customer="c"), preserve_index=False)
    pq.write_table(table, tmp_path / "in" / "a.parquet")
    changed = {
        "no id": lambda: table.drop(["customer"]),
        "one more": lambda: table.append_column("more", table["tenure"]),
        "twice": lambda: table.append_column("tenure", table["tenure"]),
        "nested": lambda: table.set_column(
            table.column_names.index("tenure"), "tenure", pa.array([{"years": 1}] * len(table))
        ),
    }[fault]()
    pq.write_table(changed, tmp_path / "in" / "b.parquet")
    settings = [f"bundle={exported_bundle}", f"input={tmp_path / 'in'}"]
    errors = []
    for keys in ([f"output={tmp_path / 'one.csv'}"], [f"output={tmp_path / 'scores'}", "beam.runner=direct"]):
        with pytest.raises(UserError) as error:
            stage.score(compose_config(*settings, *keys))
        errors.append(error.value.what)
    assert errors[1].replace(f"{tmp_path / 'in'}/", "") == errors[0].replace(f"{tmp_path / 'in'}/", "")
    assert not (tmp_path / "scores").exists()


@pytest.mark.parametrize("key", ["top=3", "score.sort=true", "input=sqlite:///t.db", "input=events"])
def test_what_beam_cannot_score_is_one_message(exported_bundle, tmp_path, key):
    for output in ("scores", "scores.csv"):
        keys = [f"output={tmp_path / output}", "beam.runner=direct", key]
        with pytest.raises(UserError, match="Beam scores Parquet files") as error:
            stage.score(compose_config(f"bundle={exported_bundle}", "input=in.parquet", *keys))
        assert error.value.do == "leave beam.runner out"


def test_a_table_without_rows_is_refused_as_without_beam(customers, exported_bundle, tmp_path):
    customers.frame[:0].to_parquet(tmp_path / "in.parquet")
    settings = [f"bundle={exported_bundle}", f"input={tmp_path / 'in.parquet'}"]
    with pytest.raises(UserError) as expected:
        stage.score(compose_config(*settings, f"output={tmp_path / 'one.csv'}"))
    with pytest.raises(UserError) as error:
        stage.score(compose_config(*settings, f"output={tmp_path / 'scores'}", "beam.runner=direct"))
    assert str(error.value) == str(expected.value)
    assert not (tmp_path / "scores").exists()


def test_a_scoring_that_was_killed_while_it_stopped_goes_on(customers, exported_bundle, tmp_path):
    customers.frame.to_parquet(tmp_path / "in.parquet")
    output = tmp_path / "scores"
    settings = [f"bundle={exported_bundle}", f"input={tmp_path / 'in.parquet'}", f"output={output}"]
    cfg = compose_config(*settings, "beam.runner=direct")
    claim_folder(output, fingerprint_of(Bundle.load(exported_bundle), cfg))
    (output / beam_scoring.STOP_FILE).touch()
    stage.score(cfg)
    assert sorted(file.name for file in output.iterdir()) == ["_scored.json", "part-00000.parquet"]


def test_a_worker_removes_the_bundle_that_it_unpacked(exported_bundle, tmp_path):
    bundle = Bundle.load(exported_bundle)
    worker = beam_scoring._ScoreRowGroup(bundle, str(tmp_path), compose_config().score, {})
    worker.setup()
    unpacked = worker.model.bundle.path
    assert unpacked.exists()
    worker.teardown()
    assert not unpacked.exists()


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
