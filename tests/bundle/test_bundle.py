"""The bundle gives the outputs of the evaluated graph everywhere, and is refused when it was changed."""

import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT, compose_config
from scipy.special import expit

from churn.backend import tensorflow
from churn.bundle import bundle, export
from churn.bundle.bundle import Bundle
from churn.bundle.graph import INTERVAL, ServingGraph, input_names
from churn.bundle.model import Model
from churn.config.serving import Runtime
from churn.data.coded import frame_features
from churn.data.dataset import Schema
from churn.data.experiment import Experiment
from churn.data.split import split_dataset
from churn.errors import UserError
from churn.network.fit import fit_network
from churn.network.trained import frame_tensors

CONTAINER_PYTHON = ROOT / ".venv-container" / "bin" / "python"


def odd_rows(customers):
    """The table with what requests contain: missing values, unknown levels, large numbers."""
    frame = customers.frame.copy()
    frame.loc[::5, "tenure"] = np.nan
    frame.loc[1::5, "tenure"] = -1e30
    frame.loc[2::7, "contract"] = "lifetime"
    frame.loc[3::7, "payment"] = ""
    frame.loc[4::7, "Monthly  charge"] = 1e6
    return frame


def test_the_loaded_bundle_gives_the_outputs_of_the_graph_in_memory(graph, exported_bundle, customers):
    frame = odd_rows(customers)
    fields = bundle.to_tensors(frame, export.describe_inputs(graph), None)
    expected = graph(fields)
    answer = Bundle.load(exported_bundle).predict(frame)
    assert answer.keys() == graph.outputs().keys()
    assert set(answer["certainty"]) == {b"stays", b"ambiguous", b"leaves"}
    for name in INTERVAL:
        assert answer[name] == pytest.approx(expected[name].numpy(), abs=1e-6)
    assert answer["churn_probability"] == pytest.approx(expected["churn_probability"].numpy(), abs=1e-6)
    assert np.array_equal(answer["unseen_inputs"], expected["unseen_inputs"].numpy())


@pytest.mark.parametrize("runtime", Runtime)
def test_codes_give_the_same_outputs_as_texts(exported_bundle, customers, runtime):
    frame, served = odd_rows(customers), Bundle.load(exported_bundle)
    answer = Model(served, runtime).answer(frame_features(frame, customers.schema))
    expected = bundle.decode_strings(served.predict(frame))
    assert answer.keys() == expected.keys() - {"customer_key"}
    for name, values in answer.items():
        near = values.dtype == np.float32
        assert values == pytest.approx(expected[name], abs=1e-6) if near else (values == expected[name]).all()


def test_the_container_s_tensorflow_gives_the_same_outputs(exported_bundle, customers, tmp_path):
    if not CONTAINER_PYTHON.exists():
        pytest.skip("no .venv-container: `make test` builds it where there is a python3.11")
    served, frame = Bundle.load(exported_bundle), odd_rows(customers)
    fields = bundle.to_tensors(frame, served.facts["inputs"], np.array([f"k{i}" for i in range(len(frame))]))
    arrays = {k: v.numpy().astype(str) if v.dtype == "string" else v.numpy() for k, v in fields.items()}
    np.savez(tmp_path / "in.npz", **arrays)
    script = ROOT / "tests" / "container" / "answer.py"
    command = [CONTAINER_PYTHON, script, exported_bundle, tmp_path / "in.npz", tmp_path / "out.npz"]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    expected = served.predict(frame)
    with np.load(tmp_path / "out.npz") as outputs:
        assert str(outputs["tensorflow"]) == "2.15.1"
        assert outputs["churn_probability"] == pytest.approx(expected["churn_probability"], abs=1e-5)
        for name in INTERVAL:
            assert outputs[name] == pytest.approx(expected[name], abs=1e-5)
        assert outputs["certainty"].tolist() == expected["certainty"].astype(str).tolist()
        assert np.array_equal(outputs["unseen_inputs"], expected["unseen_inputs"])
        assert outputs["customer_key"][:2].tolist() == ["k0", "k1"]


def test_the_signature_takes_rows_of_scalars(exported_bundle):
    """TensorFlow Serving turns JSON rows of scalars into tensors [n] and does not reshape them."""
    _, inputs = (
        Bundle.load(exported_bundle).saved_model.signatures["serving_default"].structured_input_signature
    )
    assert {name: (spec.shape.rank, spec.dtype.name) for name, spec in inputs.items()} == {
        "tenure": (1, "float32"),
        "Monthly__charge": (1, "float32"),
        "contract": (1, "string"),
        "payment": (1, "string"),
        "customer_key": (1, "string"),
    }


def test_the_key_is_echoed_and_the_decision_follows_the_threshold(exported_bundle, customers):
    answer = Bundle.load(exported_bundle).predict(customers.frame, np.array(["k"] * len(customers)))
    assert set(answer["customer_key"]) == {b"k"}
    assert np.array_equal(answer["churn"], answer["churn_probability"] >= 0.3)
    assert 0 < answer["churn"].mean() < 1


def test_a_temperature_above_one_pulls_towards_a_half(graph, customers):
    transpose, encoder = tensorflow().transpose, graph.model.encoder
    numbers, categories = frame_tensors(customers.frame, graph.schema)
    log_odds, _ = graph.model(transpose(numbers), encoder.codes(transpose(categories)))
    probability = expit(log_odds.numpy())
    answer = graph(bundle.to_tensors(customers.frame, export.describe_inputs(graph), None))[
        "churn_probability"
    ].numpy()
    assert (abs(answer - 0.5) <= abs(probability - 0.5) + 1e-6).all()
    assert np.array_equal(np.argsort(answer, kind="stable"), np.argsort(probability, kind="stable"))


def test_loading_a_bundle_and_reading_its_facts_needs_no_tensorflow(exported_bundle):
    code = (
        f"import sys; from pathlib import Path; from churn.bundle.bundle import Bundle\n"
        f"b = Bundle.load(Path({str(exported_bundle)!r}))\n"
        "assert b.schema.id == 'customer' and b.profile == {'rows': 3}\n"
        "assert not {'tensorflow', 'pandas', 'sklearn'} & sys.modules.keys(), 'heavy'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("change", ["edit", "remove", "add"])
def test_a_bundle_that_was_changed_is_refused_with_the_file_s_name(exported_bundle, tmp_path, change):
    copy = tmp_path / "bundle"
    shutil.copytree(exported_bundle, copy)
    assert Bundle.load(copy).digest == Bundle.load(exported_bundle).digest
    file = copy / "variables" / "variables.index"
    if change == "edit":
        file.write_bytes(file.read_bytes() + b"x")
    elif change == "remove":
        file.unlink()
    else:
        file = copy / "scaler.pkl"
        file.write_bytes(b"x")
    with pytest.raises(UserError, match=file.name):
        Bundle.load(copy)


def test_a_link_that_moves_on_changes_nothing_for_a_bundle_that_is_loaded(exported_bundle, tmp_path):
    other = shutil.copytree(exported_bundle, tmp_path / "other")
    (other / "assets.extra" / "words.json").write_text("{}")
    (link := tmp_path / "latest").symlink_to(exported_bundle)
    loaded = Bundle.load(link)
    link.unlink()
    link.symlink_to(other)
    assert loaded.vocabulary
    assert loaded.path == exported_bundle.resolve()


def test_a_directory_that_is_no_bundle_is_refused(tmp_path):
    with pytest.raises(UserError, match="not a bundle"):
        Bundle.load(tmp_path)


def test_no_file_of_a_bundle_is_a_pickle(exported_bundle):
    heads = [file.read_bytes()[:2] for file in exported_bundle.rglob("*") if file.is_file()]
    assert len(heads) >= 6
    assert not any(head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05" for head in heads)


def schema(*columns):
    return Schema("left", ("yes",), numeric=columns, categorical=())


def test_column_names_that_tensorflow_refuses_are_replaced():
    names = input_names(schema("Call  Failure", "Größe", "2nd line", "tenure", "_x"))
    assert list(names.values()) == ["Call__Failure", "Groe", "f_2nd_line", "tenure", "f__x"]


@pytest.mark.parametrize(
    "columns",
    [
        ("等级", "次数", "费用"),
        ("Город", "Тариф", "Срок"),
        ("Πόλη", "Ηλικία"),
        ("spend $", "spend %", "spend €"),
        ("a b", "a_b", "A B"),  # BigQuery ignores case
        ("customer key", "customer_key", "row_key", "self"),
        ("x" * 400, "x" * 401),
        ("_", "__", "!"),
    ],
)
def test_every_column_has_a_name_of_its_own_that_tensorflow_and_bigquery_take(columns):
    names = input_names(schema("tenure", *columns))
    assert names["tenure"] == "tenure"
    assert (
        len({name.lower() for name in names.values()} | {"customer_key", "row_key", "self"})
        == len(columns) + 4
    )
    tf = tensorflow()
    for name in names.values():
        assert re.fullmatch("[A-Za-z][A-Za-z0-9_]{0,127}", name)
        tf.TensorSpec([None], tf.float32, name)


def test_the_name_of_an_input_does_not_depend_on_the_other_columns():
    assert input_names(schema("等级", "x"))["等级"] == input_names(schema("y", "次数", "等级"))["等级"]


def test_any_column_names_survive_the_export(customers, tmp_path):
    renamed = {"tenure": "Länge der  Kundschaft (Monate)", "contract": "2nd/contract"}
    frame = customers.frame.rename(columns=renamed)
    roles = {
        key: tuple(renamed.get(c, c) for c in getattr(customers.schema, key))
        for key in ("numeric", "categorical")
    }
    table = type(customers)("t", Schema("left", ("yes",), **roles), frame, customers.churned)
    cfg = compose_config("train.epochs=1")
    trained = fit_network(
        Experiment(table, split_dataset(table, cfg.split, 0, 1), cfg), tmp_path / "checkpoint"
    )
    graph = ServingGraph(table.schema, trained.model, 1.0, 0.5)
    export.write_saved_model(graph, tmp_path / "b")
    export.seal(tmp_path / "b", {"schema": vars(table.schema), "inputs": export.describe_inputs(graph)}, {})
    answer = Bundle.load(tmp_path / "b").predict(frame)["churn_probability"]
    assert answer == pytest.approx(trained.predict(frame), abs=1e-6)
