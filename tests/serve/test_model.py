"""The server's model gives the bundle's answers, for bundles of every kind."""

import numpy as np
import pytest
from conftest import compose_config

from churn.bundle import export
from churn.bundle.bundle import Bundle, decode_strings
from churn.bundle.graph import ServingGraph
from churn.bundle.litert import SLICE
from churn.bundle.model import Model
from churn.bundle.reasons import reason_outputs
from churn.config.serving import Runtime
from churn.data.dataset import Schema
from churn.data.experiment import Experiment
from churn.data.split import split_dataset
from churn.network.fit import fit_network
from churn.serve.model import ServedModel


def assert_answers_of_the_bundle(model, frame):
    """The model gives for each row what the bundle gives."""
    fields = {field["column"]: field["input"] for field in model.bundle.facts["inputs"]}
    rows = frame[list(fields)].rename(columns=fields).assign(customer_key="k").to_dict("records")
    answers, missing = model([model.read.rows([row]) for row in rows])
    assert missing == int((frame == "").to_numpy().sum())
    expected = decode_strings(model.bundle.predict(frame))
    assert expected.keys() == {*model.outputs, "customer_key"}
    for name in model.outputs:
        values = [getattr(answer, name) for [answer] in answers]
        exact = expected[name].dtype != np.float32
        assert values == (expected[name].tolist() if exact else pytest.approx(expected[name], abs=1e-6))


@pytest.mark.parametrize(("numeric", "categorical"), [(("tenure",), ()), ((), ("contract", "payment"))])
def test_one_kind_of_columns_is_enough(customers, tmp_path, numeric, categorical):
    schema = Schema("left", ("yes",), numeric=numeric, categorical=categorical)
    frame = customers.frame[[*numeric, *categorical]]
    table = type(customers)("t", schema, frame, customers.churned)
    cfg = compose_config("train.epochs=1")
    trained = fit_network(Experiment(table, split_dataset(customers, cfg.split, 0, cfg.seed), cfg))
    graph = ServingGraph(schema, trained.model, 1.0, 0.5)
    export.write_saved_model(graph, tmp_path / "b")
    facts = {"name": "t", "schema": vars(schema), "inputs": export.describe_inputs(graph)}
    export.seal(tmp_path / "b", facts, {})
    model = ServedModel(Model(Bundle.load(tmp_path / "b")))
    for rows in (3, SLICE + 1):
        assert_answers_of_the_bundle(model, frame.dropna()[:rows])


def test_reasons_in_every_answer_of_both_runtimes(graph, customers, tmp_path):
    export.write_saved_model(graph, tmp_path / "b", reasons=True)
    outputs = graph.outputs() | reason_outputs(graph.schema)
    facts = {"name": "t", "schema": vars(graph.schema), "outputs": outputs}
    export.seal(tmp_path / "b", facts | {"inputs": export.describe_inputs(graph)}, {})
    for runtime in Runtime:
        model = ServedModel(Model(Bundle.load(tmp_path / "b"), runtime))
        assert_answers_of_the_bundle(model, customers.frame.dropna()[:3])
