"""Reasons are Shapley values, and the same wherever the bundle runs."""

import subprocess
from dataclasses import replace
from itertools import combinations
from math import factorial

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from scipy.special import expit

from churn.backend import tensorflow
from churn.bundle import bundle, export
from churn.bundle.background import ALIKE, Background, choose_background
from churn.bundle.bundle import Bundle
from churn.bundle.reasons import Reasons, reason_in_words, reason_outputs
from churn.data.dataset import Schema
from churn.errors import UserError

CONTAINER_PYTHON = ROOT / ".venv-container" / "bin" / "python"
SCHEMA = Schema("left", ("yes",), numeric=("a", "b", "c"), categorical=("d",))


def additive(sums):
    """0.1 a - 0.2 b + 0.3 where d is x; c does nothing."""
    a, b, _, is_x = tensorflow().unstack(sums, axis=1)
    return 0.1 * a - 0.2 * b + 0.3 * is_x


def crossed(sums):
    """Two interactions of two columns each, and a main effect of b."""
    a, b, c, is_x = tensorflow().unstack(sums, axis=1)
    return a * b + c * is_x - 0.5 * b


def interacting(sums):
    """An interaction of all four columns."""
    tf = tensorflow()
    a, b, c, is_x = tf.unstack(sums, axis=1)
    return tf.sigmoid(a * b * (1 + c) + 2 * is_x * c)


def terms(numbers, categories):
    """[n, 4, 4] a, b, c, and 1 where d is x: each column adds to a sum of its own."""
    tf = tensorflow()
    is_x = tf.cast(categories == "x", tf.float32)
    return tf.linalg.diag(tf.concat([numbers, is_x], axis=1))


def answers(model, frame):
    return model(tensorflow().reduce_sum(terms(*tensors(frame)), axis=1)).numpy()


def table(rows, seed=0):
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(random.normal(size=(rows, 3)), columns=["a", "b", "c"])
    return frame.assign(d=random.choice(["x", "y"], rows))


def tensors(frame):
    tf = tensorflow()
    return tf.constant(frame[["a", "b", "c"]].to_numpy(np.float32)), tf.constant(
        frame[["d"]].to_numpy(object)
    )


def explained(model, rows, size=40, seed=0):
    frame = table(500, seed + 10)
    chosen = choose_background(frame, answers(model, frame), SCHEMA, size, seed)
    return Reasons(terms, model, SCHEMA.features, chosen), rows


def exact(model, row, others):
    """[4] Shapley values by their definition: every subset of columns, every customer of the background."""
    n, values = 4, np.zeros(4)
    chance = {}
    for size in range(n + 1):
        for own in combinations(SCHEMA.features, size):
            mixed = others.assign(**{column: row[column] for column in own})
            chance[own] = answers(model, mixed).mean()
    for j, column in enumerate(SCHEMA.features):
        for own in (own for own in chance if column not in own):
            weight = factorial(len(own)) * factorial(n - len(own) - 1) / factorial(n)
            joined = tuple(c for c in SCHEMA.features if c in {*own, column})
            values[j] += weight * (chance[joined] - chance[own])
    return values


def customers_of(chosen: Background):
    return pd.DataFrame(chosen.numbers.astype(float), columns=["a", "b", "c"]).assign(
        d=chosen.categories[:, 0]
    )


def test_an_additive_model_s_contributions_are_its_terms():
    reasons, rows = explained(additive, table(5, seed=1))
    means = customers_of(reasons.background)
    share_of_x = (means.d == "x").mean()
    contributions = reasons.contributions(*tensors(rows)).numpy()
    assert contributions[:, 0] == pytest.approx(0.1 * (rows.a - means.a.mean()), abs=1e-6)
    assert contributions[:, 1] == pytest.approx(-0.2 * (rows.b - means.b.mean()), abs=1e-6)
    assert contributions[:, 2] == pytest.approx(0, abs=1e-6)
    assert contributions[:, 3] == pytest.approx(0.3 * ((rows.d == "x") - share_of_x), abs=1e-6)


def test_interactions_of_two_columns_are_exact():
    reasons, rows = explained(crossed, table(4, seed=1))
    contributions = reasons.contributions(*tensors(rows)).numpy()
    for i in range(len(rows)):
        assert contributions[i] == pytest.approx(
            exact(crossed, rows.iloc[i], customers_of(reasons.background)), abs=1e-5
        )


def test_a_huge_number_leaves_the_contributions_of_the_others_exact():
    """A sum that holds it has lost the digits of what else was added."""
    tf, random = tensorflow(), np.random.default_rng(0)
    others = random.normal(size=(8, 2)).astype(np.float32)
    turn = np.array([random.permutation(2) for _ in others], np.int32)
    background = Background(others, np.empty((8, 0), object), turn)
    reasons = Reasons(
        lambda numbers, _: numbers[:, :, None], lambda sums: tf.sigmoid(sums[:, 0]), ("a", "b"), background
    )
    row = np.array([[1e7, 0.3]], np.float32)
    found = reasons.contributions(tf.constant(row), tf.constant(np.empty((1, 0), object), shape=(1, 0)))
    a, b = others.astype(float).T
    expected = (expit(a + 0.3) - expit(a + b)).mean() / 2  # beside the huge number it changes nothing
    assert found.numpy()[0, 1] == pytest.approx(expected, abs=1e-6)


def test_deeper_interactions_are_close_with_a_large_background():
    reasons, rows = explained(interacting, table(4, seed=1), size=300)
    contributions = reasons.contributions(*tensors(rows)).numpy()
    expected = [exact(interacting, row, customers_of(reasons.background)) for _, row in rows.iterrows()]
    assert contributions == pytest.approx(np.array(expected), abs=0.02)
    assert np.abs(expected).max() > 0.15


def test_contributions_add_up_to_the_difference_from_the_average_customer():
    reasons, rows = explained(interacting, table(50, seed=1))
    answer = {name: value.numpy() for name, value in reasons(*tensors(rows)).items()}
    total = answer["average_probability"] + answer["other_contributions"]
    total += sum(answer[f"contribution_{i}"] for i in (1, 2, 3))
    assert total == pytest.approx(answers(interacting, rows), abs=1e-6)


def test_the_background_s_average_is_that_of_all_train_rows():
    frame = table(5000)
    probability = answers(interacting, frame)
    chosen = customers_of(choose_background(frame, probability, SCHEMA, 64, 0))
    assert answers(interacting, chosen).mean() == pytest.approx(probability.mean(), abs=0.002)


def test_no_customer_s_row_stands_in_the_background():
    frame = table(500)
    chosen = choose_background(frame, answers(interacting, frame), SCHEMA, 64, 0)
    assert not np.isin(chosen.numbers, frame[["a", "b", "c"]].to_numpy(np.float32)).any()
    assert set(chosen.categories[:, 0]) == {"x", "y"}


@pytest.mark.parametrize(("columns", "levels"), [(6, 4), (12, 3), (3, 2)])
def test_no_customer_s_row_stands_in_the_background_of_categories_alone(columns, levels):
    random = np.random.default_rng(0)
    names = [f"c{i}" for i in range(columns)]
    frame = pd.DataFrame({name: random.choice(list("wxyz")[:levels], 2_000) for name in names})
    schema = Schema("left", ("yes",), (), tuple(names))
    chosen = choose_background(frame, random.random(2_000), schema, 64, 0)
    rows = frame.value_counts().to_dict()
    shared = [rows.get(tuple(row), 0) for row in chosen.categories]
    assert [count for count in shared if 0 < count < ALIKE] == []


@pytest.mark.parametrize("columns", [["age", "tenure"], ["age", "tenure", "rarely known"]])
def test_no_customer_s_row_stands_in_the_background_of_whole_numbers_alone(columns):
    random = np.random.default_rng(0)
    whole = {"age": random.integers(18, 80, 3_000), "tenure": random.integers(0, 73, 3_000)}
    frame = pd.DataFrame(whole).assign(**{"rarely known": np.nan}).astype(float)
    frame.loc[:9, "rarely known"] = 1.0
    frame = frame[columns]
    probability = frame["age"].rank(pct=True).to_numpy()
    chosen = choose_background(frame, probability, Schema("left", ("yes",), tuple(columns), ()), 64, 0)
    same = [frame.fillna(-1).eq(np.nan_to_num(row, nan=-1)).all(axis=1).sum() for row in chosen.numbers]
    assert [count for count in same if 0 < count < ALIKE] == []
    assert chosen.numbers[:, 0].mean() == pytest.approx(frame["age"].mean(), abs=1)


def test_an_average_customer_is_made_of_five_people_however_many_rows_each_has():
    """The months of a customer are most alike; averaged alone they would be a row about one person."""
    random = np.random.default_rng(0)
    customers = np.repeat([f"C{i}" for i in range(60)], 12)
    frame = pd.DataFrame({"age": np.repeat(random.choice(range(18, 90), 60, replace=False), 12)}, dtype=float)
    frame["plan"] = np.repeat(random.choice(["a", "b"], 60), 12)
    schema = Schema("left", ("yes",), ("age",), ("plan",))
    probability = frame["age"].to_numpy() / 100
    rows, people = (choose_background(frame, probability, schema, 16, 0, of) for of in (None, customers))
    ages = set(frame["age"].astype(np.float32))
    assert sum(age in ages for age in rows.numbers[:, 0]) > 8
    owners = frame.assign(of=customers).groupby(["age", "plan"])["of"].nunique()
    chosen = zip(people.numbers[:, 0], people.categories[:, 0], strict=True)
    alike = [owners.get(own, 0) for own in chosen]
    assert [count for count in alike if 0 < count < ALIKE] == []


def test_the_greatest_contributions_are_named_first():
    reasons, rows = explained(additive, pd.DataFrame({"a": [0.0, 30], "b": [9.0, 0], "c": 5.0, "d": "x"}))
    answer = reasons(*tensors(rows))
    assert answer["reason_1"].numpy().tolist() == [b"b", b"a"]
    assert answer["contribution_1"].numpy() == pytest.approx([-1.8, 3.0], abs=0.1)
    assert answer.keys() == reason_outputs(SCHEMA).keys()


def test_another_background_gives_nearly_the_same_contributions():
    first, rows = explained(interacting, table(50, seed=1), size=64, seed=0)
    second, _ = explained(interacting, rows, size=64, seed=1)
    a, b = (reasons.contributions(*tensors(rows)).numpy() for reasons in (first, second))
    assert np.abs(a - b).mean() < 0.02
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.95


def test_a_table_smaller_than_the_background_is_its_own_background():
    frame = table(7)
    assert len(choose_background(frame, np.zeros(7), SCHEMA, 64, 0).numbers) == 7


@pytest.mark.parametrize("columns", [("a", "b"), ("d",)])
def test_tables_with_one_kind_of_column_have_reasons(columns):
    schema = Schema("left", ("yes",), tuple(set(columns) - {"d"}), tuple({"d"} & set(columns)))
    tf = tensorflow()

    def terms(numbers, categories):
        lengths = tf.cast(tf.strings.length(categories), tf.float32)
        return tf.concat([numbers, lengths], axis=1)[:, :, None]

    def model(sums):
        return sums[:, 0]

    frame = table(20)[list(columns)]
    reasons = Reasons(terms, model, schema.features, choose_background(frame, np.arange(20), schema, 8, 0))
    numbers = tf.constant(frame[list(schema.numeric)].to_numpy(np.float32))
    texts = frame[list(schema.categorical)].to_numpy(object)
    answer = reasons(numbers, tf.constant(texts, tf.string, texts.shape))
    assert answer.keys() == reason_outputs(schema).keys()
    assert answer["other_contributions"].numpy() == pytest.approx(0, abs=1e-5)


def test_the_second_signature_of_a_bundle_adds_the_reasons(exported_bundle, customers):
    served = Bundle.load(exported_bundle)
    plain, answer = (
        served.predict(customers.frame[:20], signature=s) for s in ("serving_default", bundle.REASONS)
    )
    assert answer.keys() - plain.keys() == reason_outputs(served.schema).keys()
    total = answer["average_probability"] + answer["other_contributions"]
    total += sum(answer[f"contribution_{i}"] for i in (1, 2, 3))
    assert total == pytest.approx(plain["churn_probability"], abs=1e-6)
    assert {name.decode() for name in answer["reason_1"]} <= set(served.schema.features)


@pytest.fixture(scope="module")
def bundle_with_reasons_first(graph, tmp_path_factory):
    """A bundle whose default signature gives reasons, too."""
    path = tmp_path_factory.mktemp("first") / "bundle"
    export.write_saved_model(graph, path, reasons=True)
    export.seal(path, {"schema": vars(graph.schema), "inputs": export.describe_inputs(graph)}, {})
    return path


@pytest.mark.parametrize(
    ("which", "signature"),
    [("exported_bundle", bundle.REASONS), ("bundle_with_reasons_first", "serving_default")],
)
def test_the_container_s_tensorflow_gives_the_same_reasons(which, signature, request, customers, tmp_path):
    if not CONTAINER_PYTHON.exists():
        pytest.skip("no .venv-container: `make test` builds it where there is a python3.11")
    path = request.getfixturevalue(which)
    served, frame = Bundle.load(path), customers.frame[:50].copy()
    frame.loc[::7, "contract"] = "lifetime"
    fields = bundle.to_tensors(frame, served.facts["inputs"], None)
    arrays = {k: v.numpy().astype(str) if v.dtype == "string" else v.numpy() for k, v in fields.items()}
    np.savez(tmp_path / "in.npz", **arrays)
    script = ROOT / "tests" / "container" / "answer.py"
    files = [path, tmp_path / "in.npz", tmp_path / "out.npz"]
    process = subprocess.run([CONTAINER_PYTHON, script, *files, signature], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    expected = served.predict(frame, signature=signature)
    with np.load(tmp_path / "out.npz") as outputs:
        assert str(outputs["tensorflow"]) == "2.15.1"
        for name in reason_outputs(served.schema):
            if name.startswith("reason"):
                assert outputs[name].tolist() == expected[name].astype(str).tolist()
            else:
                assert outputs[name] == pytest.approx(expected[name], abs=1e-5)


def test_reasons_can_be_in_the_first_signature(graph, bundle_with_reasons_first, customers):
    answer = Bundle.load(bundle_with_reasons_first).predict(customers.frame[:3])
    assert answer.keys() == (graph.outputs() | reason_outputs(graph.schema)).keys()


def test_a_bundle_without_a_background_gives_no_reasons(graph, tmp_path):
    bare = replace(graph, background=None)
    with pytest.raises(UserError, match=r"export\.background"):
        export.write_saved_model(bare, tmp_path / "b", reasons=True)
    export.write_saved_model(bare, tmp_path / "b")
    export.seal(tmp_path / "b", {}, {})
    assert set(Bundle.load(tmp_path / "b").saved_model.signatures) == {"serving_default", "coded"}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("Month-to-month", "x is Month-to-month"),
        ("", "x is missing"),
        (3.0, "x is 3"),
        (np.nan, "x is missing"),
    ],
)
def test_a_reason_reads_as_a_sentence(value, words):
    assert reason_in_words("x", value, 0.123) == f"{words} (+0.12)"
    assert reason_in_words("x", value, -0.5) == f"{words} (-0.50)"
