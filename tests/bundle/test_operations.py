"""A graph that computes is loaded; one that reads, writes, prints or calls Python is refused before."""

import re
import shutil

import pytest
from conftest import ROOT

from churn.backend import silent_stderr, tensorflow
from churn.bundle.bundle import EXTRA, Bundle
from churn.bundle.export import seal
from churn.bundle.operations import COMPUTING, SAVING, verify_operations
from churn.errors import UserError


def reads(x, file):
    return x + tensorflow().cast(tensorflow().strings.length(tensorflow().io.read_file(file)), "float32")


def writes(x, file):
    tensorflow().io.write_file(file, "written")
    return x


def prints(x, file):
    tensorflow().print("printed")
    return x


def calls_python(x, file):
    return tensorflow().numpy_function(lambda y: y, [x], "float32")


def lists(x, file):
    return x + tensorflow().cast(tensorflow().size(tensorflow().io.matching_files(file)), "float32")


def save(act, path, file):
    """A SavedModel that acts in its signature."""
    tf, module = tensorflow(), tensorflow().Module()
    module.weight = tf.Variable(1.0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def answer(x):
        return {"churn_probability": act(x * module.weight, str(file))}

    with silent_stderr():
        tf.saved_model.save(module, str(path), signatures={"serving_default": answer})


@pytest.mark.parametrize(
    ("act", "operation"),
    [
        (reads, "ReadFile"),
        (writes, "WriteFile"),
        (prints, "PrintV2, StringFormat"),
        (calls_python, "PyFunc"),
        (lists, "MatchingFiles"),
    ],
)
def test_a_graph_that_acts_is_refused_before_it_is_loaded(act, operation, exported_bundle, tmp_path):
    path, file = tmp_path / "bundle", tmp_path / "file"
    save(act, path, file)
    shutil.copytree(exported_bundle / EXTRA, path / EXTRA)
    own = Bundle.load(exported_bundle)
    seal(path, {name: fact for name, fact in own.facts.items() if name != "format"}, own.profile)
    bundle = Bundle.load(path)  # its checksums are right
    with pytest.raises(UserError, match=f"more than compute: {operation}\n"):
        bundle.saved_model  # noqa: B018
    assert not file.exists()


def test_the_saver_may_write_variables_but_nothing_else_may_call_it(tmp_path):
    from tensorflow.core.protobuf import saved_model_pb2

    save(lambda x, file: x, tmp_path, "")
    verify_operations(tmp_path)
    file = tmp_path / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    graph = model.meta_graphs[0]
    functions = {f.signature.name: f for f in graph.graph_def.library.function}
    (saving,) = (name for name in functions if "traced_save" in name)
    (answer,) = (name for name in functions if "signature_wrapper" in name)

    called = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    wrapper = next(f for f in called.meta_graphs[0].graph_def.library.function if f.signature.name == answer)
    node = next(node for node in wrapper.node_def if "f" in node.attr)
    node.attr["f"].func.name = saving
    file.write_bytes(called.SerializeToString())
    with pytest.raises(UserError, match=f"write or read files, by .*{answer}"):
        verify_operations(tmp_path)

    named = saved_model_pb2.SavedModel.FromString(model.SerializeToString())
    signature = named.meta_graphs[0].signature_def["serving_default"]
    signature.outputs["churn_probability"].name = graph.saver_def.save_tensor_name
    file.write_bytes(named.SerializeToString())
    with pytest.raises(UserError, match="write or read files, by serving_default"):
        verify_operations(tmp_path)


@pytest.fixture
def saved(tmp_path):
    """The message of a SavedModel in `tmp_path`."""
    from tensorflow.core.protobuf import saved_model_pb2

    save(lambda x, file: x, tmp_path, "")
    return saved_model_pb2.SavedModel.FromString((tmp_path / "saved_model.pb").read_bytes())


def rewrite(model, path):
    (path / "saved_model.pb").write_bytes(model.SerializeToString())


def test_what_reads_the_variables_may_not_write(saved, tmp_path):
    graph = saved.meta_graphs[0]
    (restore,) = (f for f in graph.graph_def.library.function if "traced_restore" in f.signature.name)
    restore.node_def.add(name="more", op="SaveV2")
    rewrite(saved, tmp_path)
    with pytest.raises(UserError, match="more than compute: SaveV2\n"):
        verify_operations(tmp_path)


def test_what_a_loader_runs_first_may_not_be_the_saver(saved, tmp_path):
    graph = saved.meta_graphs[0]
    name = graph.saver_def.save_tensor_name.partition(":")[0]
    graph.collection_def["saved_model_main_op"].node_list.value.append(name)
    rewrite(saved, tmp_path)
    with pytest.raises(UserError, match="write or read files, by saved_model_main_op"):
        verify_operations(tmp_path)


def test_a_graph_in_the_form_of_tensorflow_1_is_refused(saved, tmp_path):
    graph = saved.meta_graphs[0]
    two = type(saved)(meta_graphs=[graph, graph])
    graph.ClearField("object_graph_def")
    for model in (saved, two, type(saved)()):
        rewrite(model, tmp_path)
        with pytest.raises(UserError, match="not one that TensorFlow 2 wrote"):
            verify_operations(tmp_path)


def test_a_file_that_is_no_graph_is_one_message(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"\xff\xff no protocol buffer")
    with pytest.raises(UserError, match="the bundle is damaged"):
        verify_operations(tmp_path)


def test_every_allowed_operation_exists():
    from tensorflow.python.framework import op_def_registry

    assert [name for name in sorted(COMPUTING) if op_def_registry.get(name) is None] == []


def test_the_documents_list_every_operation_that_is_allowed_and_no_other():
    text = (ROOT / "docs" / "model-card.md").read_text()
    named = set(re.findall("`([A-Z]\\w+)`", text.partition("## Operations")[2]))
    refused = {"WriteFile", "ReadFile", "PrintV2", "PyFunc", "EagerPyFunc", "LoadLibrary", "MatchingFiles"}
    refused |= {"RpcCall", "TFRecordReaderV2", "Assert"}
    assert refused.isdisjoint(COMPUTING | SAVING)
    assert named == COMPUTING | SAVING | refused
