"""A bundle with shifted log-odds answers like the other one, with shifted probabilities."""

import shutil

import numpy as np
import pytest
from scipy.special import expit, logit

from churn.bundle.bundle import CODED, REASONS, Bundle
from churn.bundle.export import describe_inputs, seal, write_saved_model
from churn.bundle.model import Model
from churn.bundle.shift import shift_bundle
from churn.config.serving import Runtime
from churn.data.coded import frame_features
from churn.serve.model import ServedModel


@pytest.fixture(scope="module")
def both(graph, tmp_path_factory):
    """A bundle, and the same with log-odds that are 0.7 higher."""
    folder = tmp_path_factory.mktemp("shift")
    write_saved_model(graph, folder / "own")
    facts = {"name": "x", "schema": vars(graph.schema), "inputs": describe_inputs(graph), "threshold": 0.3}
    seal(folder / "own", facts, {"rows": 3})
    own = Bundle.load(folder / "own")
    return own, shift_bundle(own, 0.7, folder / "new", {"rows": 4}, recalibrated=0.7)


def test_every_probability_is_shifted_and_the_decision_follows(both, customers):
    own, new = (
        bundle.predict(customers.frame, customers.frame.index.astype(str).to_numpy(object)) for bundle in both
    )
    assert own.keys() == new.keys()
    for name in own:
        if name.startswith("churn_probability"):
            assert new[name] == pytest.approx(expit(logit(own[name].astype(float)) + 0.7), abs=1e-5)
        elif name != "churn":
            assert (new[name] == own[name]).all()
    assert (new["churn"] == (new["churn_probability"] >= np.float32(0.3))).all()
    assert new["churn"].sum() > own["churn"].sum()


def test_a_share_of_the_customers_stays_that_share(both, customers, tmp_path):
    own = both[0]
    key = customers.frame.index.astype(str).to_numpy(object)
    threshold = float(np.quantile(own.predict(customers.frame, key)["churn_probability"], 0.9))
    facts = own.facts | {"threshold": threshold, "decision": {"threshold": None, "top_share": 0.1}}
    shutil.copytree(own.path, tmp_path / "own")
    seal(tmp_path / "own", {name: fact for name, fact in facts.items() if name != "format"}, {"rows": 3})
    new = shift_bundle(Bundle.load(tmp_path / "own"), 1.0, tmp_path / "new", {"rows": 4})
    assert logit(new.facts["threshold"]) == pytest.approx(logit(threshold) + 1)
    answers = new.predict(customers.frame, key)
    assert answers["churn"].mean() == pytest.approx(0.1, abs=0.005)
    assert (answers["churn"] == (answers["churn_probability"] >= np.float32(new.facts["threshold"]))).all()


def test_the_reasons_still_sum_to_the_probability(both, customers):
    answers = both[1].predict(customers.frame[:20], signature=REASONS)
    total = sum(answers[name] for name in answers if "contribution" in name or name == "average_probability")
    assert total == pytest.approx(answers["churn_probability"], abs=1e-5)


def test_the_light_model_gives_the_same_answers_and_reasons(both, customers):
    rows = frame_features(customers.frame[:20], customers.schema)
    light, graph = (Model(both[1], runtime).answer(rows, reasons=True) for runtime in Runtime)
    total = sum(light[name] for name in light if "contribution" in name or name == "average_probability")
    assert total == pytest.approx(light["churn_probability"], abs=1e-5)
    for name, values in graph.items():
        if values.dtype == np.float32:
            assert light[name] == pytest.approx(values, abs=1e-6)


def test_the_server_takes_it_and_the_facts_say_so(both):
    own, new = both
    assert new.facts["recalibrated"] == 0.7
    assert new.profile == {"rows": 4}
    assert new.digest != own.digest
    assert new.saved_model.signatures.keys() == own.saved_model.signatures.keys() >= {CODED}
    model = ServedModel(Model(new))
    rows = model.read.rows([model.example])
    answered = model([rows])[0][0][0].churn_probability
    before = ServedModel(Model(own))([rows])[0][0][0].churn_probability
    assert logit(answered) == pytest.approx(logit(before) + 0.7, abs=1e-4)
