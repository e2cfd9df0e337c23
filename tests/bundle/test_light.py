"""The light model answers as the SavedModel does, or is not written; and it can do nothing but compute."""

import json
import resource
import shutil
from contextlib import nullcontext

import numpy as np
import pytest

from churn.backend import tensorflow
from churn.bundle import light
from churn.bundle.bundle import CODED, CODED_REASONS, EXTRA, Bundle
from churn.bundle.contents import CHECKSUMS, list_checksums
from churn.bundle.litert import LiteRT, verify_operators
from churn.bundle.model import Model
from churn.config.serving import Runtime
from churn.data.coded import frame_features, to_matrices
from churn.errors import UserError


@pytest.fixture(scope="module")
def rows(exported_bundle, customers):
    """Numbers and codes of all customers."""
    bundle = Bundle.load(exported_bundle)
    return to_matrices(frame_features(customers.frame, bundle.schema), bundle.schema, bundle.vocabulary)


@pytest.fixture
def copy(exported_bundle, tmp_path):
    """A copy of the bundle, to be changed."""
    return shutil.copytree(exported_bundle, tmp_path / "bundle")


def sealed(path) -> Bundle:
    (path / CHECKSUMS).write_text(list_checksums(path))
    return Bundle.load(path)


def test_every_bundle_has_a_light_model_that_its_checksums_name(exported_bundle):
    listed = json.loads((exported_bundle / CHECKSUMS).read_text())
    assert {f"{EXTRA}/{CODED}.tflite", f"{EXTRA}/{CODED_REASONS}.tflite"} <= listed.keys()


def test_what_differs_from_the_saved_model_is_refused(exported_bundle, rows, monkeypatch):
    bundle = Bundle.load(exported_bundle)
    light.require_parity(bundle, *rows)
    answer = Model.__call__

    def a_little_more(model, numbers, codes, reasons=None):
        outputs = answer(model, numbers, codes, reasons)
        if model.runtime is Runtime.litert and np.isnan(numbers[1]).all():
            outputs["churn_probability_low"] = outputs["churn_probability_low"] + np.float32(3e-5)
        return outputs

    monkeypatch.setattr(Model, "__call__", a_little_more)
    with pytest.raises(UserError, match=r"another churn_probability_low where 'Monthly  charge' is"):
        light.require_parity(bundle, *rows)


@pytest.mark.parametrize(
    ("name", "difference", "refused"),
    [
        ("churn_probability", 5e-7, False),
        ("churn_probability", 2e-6, True),
        ("churn_probability_high", 2e-6, False),  # seen on the Iranian table, whose intervals are wide
        ("churn_probability_high", 2e-5, True),
    ],
)
def test_rounding_is_no_difference(exported_bundle, rows, name, difference, refused):
    graph = Model(Bundle.load(exported_bundle), Runtime.tensorflow)

    def shifted(numbers, codes):
        outputs = graph(numbers, codes)
        return outputs | {name: outputs[name].astype(float) + difference}

    with pytest.raises(light.MismatchError, match=name) if refused else nullcontext():
        light.compare_answers(shifted, graph, [(rows, "for real rows")])


def test_a_model_that_litert_cannot_compute_is_refused_with_the_operation():
    tf = tensorflow()
    function = tf.function(lambda x: {"y": tf.strings.length(tf.strings.as_string(x))})
    with pytest.raises(UserError, match="cannot compute this model: it lacks AsString, StringLength"):
        light.convert(function.get_concrete_function(tf.TensorSpec([None], tf.float32, "x")))


def test_a_model_that_could_not_be_written_for_the_converter_is_refused():
    """TensorFlow 2.21 converts without a signature then, and says nothing."""
    tf = tensorflow()
    tensor = tf.TensorSpec([1, None], tf.float32, "numbers")
    function = tf.function(lambda numbers: {"sum": numbers + 1}, [tensor], autograph=False)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(UserError, match="could not write the model that it converts"):
            light.convert(function.get_concrete_function())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_many_rows_on_several_threads_give_the_same_answers(exported_bundle, rows):
    many = [np.tile(matrix, 3) for matrix in rows]
    one, three = (Model(Bundle.load(exported_bundle), threads=threads) for threads in (1, 3))
    for name, values in one(*many).items():
        assert (values == three(*many)[name]).all()
        assert len(values) == many[0].shape[1]
    no_rows = one(*(matrix[:, :0] for matrix in many))
    assert {name: len(values) for name, values in no_rows.items()} == dict.fromkeys(no_rows, 0)


def test_a_light_model_that_keeps_something_between_customers_is_refused(copy):
    tf = tensorflow()
    seen = tf.Variable(0.0)
    spec = tf.TensorSpec([2, 1], tf.float32, "numbers"), tf.TensorSpec([2, 1], tf.int32, "codes")
    function = tf.function(lambda numbers, codes: {"churn_probability": seen.assign_add(numbers[0, 0])})
    content = light.convert(function.get_concrete_function(*spec), [seen])
    file = copy / EXTRA / f"{CODED}.tflite"
    file.write_bytes(content)
    with pytest.raises(UserError, match="does more than compute: ASSIGN_VARIABLE, CALL_ONCE, READ_"):
        Model(sealed(copy))


@pytest.mark.parametrize(
    "change", [lambda b: b"", lambda b: b[:8], lambda b: b[:4] + b"XXXX" + b[8:], lambda b: b[:2000]]
)
def test_a_damaged_file_is_refused(exported_bundle, tmp_path, change):
    file = tmp_path / "coded.tflite"
    file.write_bytes(change((exported_bundle / EXTRA / "coded.tflite").read_bytes()))
    with pytest.raises(UserError, match="damaged"):
        LiteRT(file)


def test_without_a_light_model_the_message_says_what_to_do(copy):
    (copy / EXTRA / f"{CODED}.tflite").unlink()
    bundle = sealed(copy)
    with pytest.raises(UserError, match=r"(?s)no light model.*serve\.runtime=tensorflow"):
        Model(bundle)
    assert Model(bundle, Runtime.tensorflow).kinds()["certainty"] == "text"


def test_operators_of_a_custom_kind_are_refused(exported_bundle):
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf((exported_bundle / EXTRA / "coded.tflite").read_bytes())
    model.operatorCodes[0].builtinCode, model.operatorCodes[0].customCode = (
        schema.BuiltinOperator.CUSTOM,
        b"Flex",
    )
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    with pytest.raises(UserError, match="CUSTOM"):
        verify_operators(bytes(builder.Output()), exported_bundle)
