"""What a text means is decided once, in the bundle: each spelling of a cell through every route."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import compose_config
from doubles.bigquery import BigQuery, Table
from doubles.sql import Warehouse
from scipy.special import expit

from churn.backend import tensorflow
from churn.bundle import export
from churn.bundle.bundle import Bundle
from churn.bundle.graph import ServingGraph
from churn.bundle.model import Model
from churn.bundle.unseen import UnseenCells
from churn.data.contract import MISSING_BELOW
from churn.data.dataset import Dataset, Schema
from churn.data.experiment import Experiment
from churn.data.split import split_dataset
from churn.data.table import RawTable
from churn.data.validate import to_features
from churn.monitor.drift.profile import build_profile
from churn.network.fit import fit_network
from churn.score import stage
from churn.serve.model import ServedModel
from churn.vertex import sql
from churn.vertex.checks.parity import to_instances

SPELLINGS = [  # column, the cell as training has it, other spellings of it
    ("flag", "1", ["TRUE", "True", "true", " true ", "1.0", "1.000", "\xa01"]),
    ("flag", "0", ["FALSE", "False", "false", "0.0", "0.000"]),
    ("seats", "12", ["12.0", "12.00", "12 ", "\u300012"]),
    ("seats", "007", [" 007"]),
    ("plan", "basic", [" basic", "basic\t"]),
    ("plan", "", ["  ", "-99", "-99.0", "k.A.", "\\N", "#N/A"]),
    ("months", "5", ["5.0", " 5", "5.000"]),
    ("months", "", ["-99", "-99.0", " -99 ", "k.A.", "\\N", "#DIV/0!"]),
]
CELLS = [(column, text, cell) for column, cell, others in SPELLINGS for text in (cell, *others)]
TYPICAL = {"flag": "0", "seats": "3", "plan": "plus", "months": "20", "fee": "30.5"}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A bundle whose every column matters."""
    rng, n = np.random.default_rng(0), 1200
    frame = pd.DataFrame(
        {
            "months": np.where(rng.random(n) < 0.1, np.nan, rng.integers(0, 60, n)).astype(float),
            "fee": rng.normal(30, 5, n).round(1),
            "flag": rng.choice(["0", "1"], n),
            "seats": rng.choice(["3", "12", "007"], n),
            "plan": rng.choice(["basic", "plus", ""], n),
        }
    )
    odds = 2.0 * (frame["flag"] == "1") + 1.5 * (frame["seats"] == "12") - 1.5 * (frame["seats"] == "007")
    odds += 2.0 * (frame["plan"] == "basic") + 1.5 * (frame["plan"] == "") - 0.06 * frame["months"].fillna(70)
    churned = rng.random(n) < expit(odds - 1).to_numpy()
    schema = Schema(
        "left", ("1",), ("months", "fee"), ("flag", "seats", "plan"), id="id", missing=("-99", "k.A.")
    )
    data = Dataset("alike", schema, frame, churned.astype(np.int8), fingerprint="fixed")
    cfg = compose_config("train.epochs=6")
    experiment = Experiment(data, split_dataset(data, cfg.split, 0, cfg.seed), cfg)
    trained = fit_network(experiment, tmp_path_factory.mktemp("train") / "checkpoint")
    graph = ServingGraph(schema, trained.model, 1.0, 0.5)
    path = tmp_path_factory.mktemp("bundle") / "bundle"
    export.write_saved_model(graph, path)
    facts = {"name": "alike", "schema": vars(schema), "inputs": export.describe_inputs(graph)}
    export.seal(path, facts, build_profile(frame, schema, frame, trained.predict(frame)))
    return Bundle.load(path)


ROWS = [TYPICAL | {column: text} for column, text, _ in CELLS]
PLAIN = [TYPICAL | {column: cell} for column, _, cell in CELLS]


def typed(name, texts):
    """A column as programs type it, where all of its cells allow that; otherwise text."""
    try:
        return pd.Series([float(text) if text.strip() else np.nan for text in texts])
    except ValueError:
        return pd.Series(texts, dtype="str")


def with_ids(rows):
    return pd.DataFrame(rows).assign(id=[f"c{i}" for i in range(len(rows))])


def answers_of(scores):
    scores = scores.set_index("id").loc[[f"c{i}" for i in range(len(scores))]]
    return scores.churn_probability.to_numpy(), scores.unseen_inputs.to_numpy()


def scored(bundle, source, output, *overrides):
    stage.score(compose_config(f"bundle={bundle.path}", f"input={source}", f"output={output}", *overrides))


def through_text_files(bundle, rows, folder):
    with_ids(rows).to_csv(folder / "in.csv", index=False)
    scored(bundle, folder / "in.csv", folder / "out.parquet")
    return answers_of(pd.read_parquet(folder / "out.parquet"))


def through_parquet_files(bundle, rows, folder):
    with_ids(rows).to_parquet(folder / "in.parquet", row_group_size=10)
    scored(bundle, folder / "in.parquet", folder / "out.parquet")
    return answers_of(pd.read_parquet(folder / "out.parquet"))


def through_beam(bundle, rows, folder):
    with_ids(rows).to_parquet(folder / "in.parquet", row_group_size=10)
    scored(bundle, folder / "in.parquet", folder / "scores", "beam.runner=direct", "beam.workers=1")
    return answers_of(pd.concat(map(pd.read_parquet, sorted((folder / "scores").glob("*.parquet")))))


def as_numbers(text):
    """A number as a client would send it; what is no number is missing, as the contract spells it."""
    try:
        return float(text)
    except ValueError:
        return MISSING_BELOW


def as_instances(rows):
    return [
        {name: as_numbers(text) if name in ("months", "fee") else text for name, text in row.items()}
        | {"customer_key": f"c{i}"}
        for i, row in enumerate(rows)
    ]


def through_tensorflow_serving(bundle, rows, folder):
    """The signature that Vertex AI's container calls."""
    tf, instances = tensorflow(), as_instances(rows)
    fields = {name: tf.constant([row[name] for row in instances]) for name in instances[0]}
    outputs = bundle.saved_model.signatures["serving_default"](**fields)
    return outputs["churn_probability"].numpy(), outputs["unseen_inputs"].numpy()


def through_the_server(bundle, rows, folder):
    model = ServedModel(Model(bundle))
    ((predictions,), _) = model([model.read(json.dumps({"instances": as_instances(rows)}).encode())])
    return np.array([p.churn_probability for p in predictions]), np.array(
        [p.unseen_inputs for p in predictions]
    )


def through_batch_prediction_of_files(bundle, rows, folder):
    instances = to_instances(to_features(RawTable(with_ids(rows), "rows"), bundle.schema), bundle)
    return through_tensorflow_serving(
        bundle, [{k: str(v) for k, v in row.items() if k != "customer_key"} for row in instances], folder
    )


def through_batch_prediction_of_bigquery(bundle, rows, folder):
    """BigQuery's SQL, run by the double, which reads it as BigQuery does."""
    warehouse = Warehouse()
    warehouse.write("p.d.in", with_ids(rows).assign(position=range(len(rows))))
    columns = ", ".join(sql.input_columns(bundle, dict.fromkeys(with_ids(rows), "STRING")))
    _, made = warehouse.run(f"SELECT {columns} FROM `p.d.in` ORDER BY position")
    texts = [{name: str(cell) for name, cell in row.items()} for row in made.to_pylist()]
    return through_tensorflow_serving(bundle, texts, folder)


def through_bigquery(bundle, rows, folder):
    with BigQuery() as service, pytest.MonkeyPatch.context() as patch:
        (folder / "account.json").write_text(json.dumps(service.account()))
        patch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(folder / "account.json"))
        patch.setenv("BIGQUERY_EMULATOR_HOST", service.url)
        table = with_ids(rows)
        cells = list(table.itertuples(index=False, name=None))
        service.tables["p.d.in"] = Table(dict.fromkeys(table, "STRING"), cells)
        scored(bundle, "bq://p.d.in", folder / "out.parquet")
    return answers_of(pd.read_parquet(folder / "out.parquet"))


ROUTES = [
    through_text_files,
    through_parquet_files,
    through_beam,
    through_tensorflow_serving,
    through_the_server,
    through_batch_prediction_of_files,
    through_batch_prediction_of_bigquery,
    through_bigquery,
]


@pytest.fixture(scope="module")
def expected(bundle):
    """The answers for the cells as training has them."""
    frame = pd.DataFrame(PLAIN)
    for name in bundle.schema.numeric:
        frame[name] = pd.to_numeric(frame[name])
    outputs = bundle.predict(frame)
    assert outputs["unseen_inputs"].tolist() == [0] * len(PLAIN)
    return outputs["churn_probability"]


@pytest.mark.filterwarnings("default")  # Beam's own
@pytest.mark.parametrize("route", ROUTES)
def test_a_cell_means_the_same_in_every_spelling_through_every_route(bundle, expected, route, tmp_path):
    probability, unseen = route(bundle, ROWS, tmp_path)
    wrong = [CELLS[i] for i in np.flatnonzero(np.abs(probability - expected) > 1e-5)]
    assert wrong == []
    assert [CELLS[i] for i in np.flatnonzero(unseen)] == []


def test_the_cells_are_not_all_the_same_to_the_model(expected):
    by_cell = {(column, cell): p for (column, _, cell), p in zip(CELLS, expected, strict=True)}
    assert np.diff(sorted(by_cell.values())).min() > 1e-3


@pytest.mark.parametrize(
    ("column", "values"),
    [("flag", [True, False, True]), ("flag", [1, 0, 1]), ("flag", [1.0, 0.0, None]), ("seats", [12, 3, 12]),
     ("seats", [12.0, 3.0, None]), ("months", [5, -99, 20]), ("months", [5.0, -99.0, None])],
)  # fmt: skip
def test_typed_columns_mean_what_their_texts_mean(bundle, tmp_path, column, values):
    texts = ["" if value is None else str(value) for value in values]
    frame = with_ids([TYPICAL] * 3).assign(**{column: values})
    frame.to_parquet(tmp_path / "typed.parquet")
    scored(bundle, tmp_path / "typed.parquet", tmp_path / "typed-out.parquet")
    found = answers_of(pd.read_parquet(tmp_path / "typed-out.parquet"))
    written = through_text_files(bundle, [TYPICAL | {column: text} for text in texts], tmp_path)
    np.testing.assert_allclose(found[0], written[0], atol=1e-6)
    np.testing.assert_array_equal(found[1], written[1])


@pytest.mark.parametrize(
    ("value", "shown"), [(True, '"true"'), (1, '"1"'), (1.0, '"1.0"'), (None, "a string")]
)
def test_a_category_that_is_no_string_is_refused_with_a_row_that_works(bundle, value, shown):
    """TensorFlow Serving, and so Vertex AI, takes only strings for string inputs; so does this server."""
    from churn.serve.refused import RefusedError

    model = ServedModel(Model(bundle))
    (row,) = as_instances([TYPICAL])
    with pytest.raises(RefusedError, match="row 0, field 'flag': got") as refused:
        model.read(json.dumps({"instances": [row | {"flag": value}]}).encode())
    assert shown in refused.value.message
    works = json.loads(refused.value.message.partition("A row that works: ")[2])
    assert len(model([model.read(json.dumps({"instances": [works]}).encode())])[0][0]) == 1


def test_what_another_program_spells_otherwise_is_named_by_column(bundle, tmp_path, capsys):
    rows = [TYPICAL | {"flag": "ja" if i % 2 else "0", "months": str(100 + i % 3)} for i in range(50)]
    through_text_files(bundle, [TYPICAL] * 50, tmp_path)
    assert "!" not in capsys.readouterr().out
    through_text_files(bundle, rows, tmp_path)
    printed = capsys.readouterr().out
    assert "! column 'flag': 50% of the cells are unlike any in training, most often 'ja' (25)" in printed
    assert "! column 'months': 100% of the cells are unlike any in training, most often '100' (17)" in printed
    scored(bundle, tmp_path / "in.csv", tmp_path / "calls.csv", "top=5")
    assert "column 'flag': 50%" in capsys.readouterr().out
    through_beam(bundle, rows, tmp_path)
    assert "column 'flag': 50%" in capsys.readouterr().out
    unseen = UnseenCells(bundle)
    unseen.add_frame(to_features(RawTable(with_ids(rows), "rows"), bundle.schema))
    for line in map(str, unseen.columns()):
        assert f"! {line}\n" in printed


def test_the_server_s_metrics_name_the_column_and_the_commonest_unseen_value(bundle):
    from prometheus_client import generate_latest

    from churn.serve.metrics import Metrics

    metrics, model = Metrics(), ServedModel(Model(bundle))
    metrics.unseen_cells = model.unseen
    assert b"column=" not in generate_latest(metrics.registry)
    rows = [TYPICAL | {"flag": " ja" if i % 4 == 0 else "TRUE"} for i in range(40)]
    model([model.read(json.dumps({"instances": as_instances(rows)}).encode())])
    text = generate_latest(metrics.registry).decode()
    assert 'churn_unseen_column_ratio{column="flag",commonest="ja"} 0.25' in text
    assert text.count("column=") == 1
    model, one = ServedModel(Model(bundle)), {"customer_key": "the same customer"}
    metrics.unseen_cells = model.unseen
    for row in as_instances(rows):
        model([model.read(json.dumps({"instances": [row | one]}).encode())])
    text = generate_latest(metrics.registry).decode()
    assert 'churn_unseen_column_ratio{column="flag",commonest="(rare)"} 0.25' in text
    together = UnseenCells(bundle)  # of several processes, which may all have met the same customer
    for _ in range(6):
        together.add_counts(*model.unseen.counts())
    assert [(one.name, one.share, one.commonest) for one in together.columns()] == [("flag", 0.25, None)]


def test_missing_fields_are_counted_in_every_spelling(bundle):
    model = ServedModel(Model(bundle))
    rows = [TYPICAL | {"plan": "k.A.", "months": "-99"}, TYPICAL | {"plan": " "}, TYPICAL]
    _, missing = model([model.read(json.dumps({"instances": as_instances(rows)}).encode())])
    assert missing == 3


def test_a_bundle_of_the_format_before_is_refused(bundle, tmp_path):
    import shutil

    from churn.errors import UserError

    copy = tmp_path / "old"
    shutil.copytree(bundle.path, copy)
    facts = json.loads((copy / "assets.extra" / "bundle.json").read_text())
    export.seal(copy, facts | {"format": 3}, bundle.profile)
    with pytest.raises(UserError, match="format 3, this program reads"):
        Bundle.load(copy)
    assert replace(bundle.schema, missing=()).missing == ()
