"""A bundle as a file for other programs answers as the bundle does, or is not written."""

import json

import numpy as np
import pytest
from conftest import compose_config

from churn.bundle import portable
from churn.bundle.bundle import Bundle
from churn.bundle.litert import LiteRT
from churn.bundle.model import Model
from churn.data.coded import frame_features
from churn.errors import UserError
from churn.vertex.export import export


@pytest.fixture
def cfg(exported_bundle, customers, tmp_path):
    table = customers.frame.assign(customer=[f"c{i}" for i in range(800)])
    table.to_csv(tmp_path / "customers.csv", index=False)
    rows = f"input={tmp_path}/customers.csv"
    return lambda *more: compose_config(f"bundle={exported_bundle}", rows, *more)


def test_a_client_needs_the_two_files_alone(cfg, exported_bundle, customers, tmp_path):
    export(cfg("to=litert", f"output={tmp_path}/churn.tflite"))
    about, row = json.loads((tmp_path / "churn.json").read_text()), customers.frame.iloc[[3]]
    numbers = row[about["numbers"]].fillna(about["missing_number"]).to_numpy(np.float32).T
    codes = np.array([[about["codes"].get(row[name].item(), 0)] for name in about["categories"]], np.int32)
    answer = LiteRT(tmp_path / "churn.tflite")(numbers, codes)
    expected = Model(Bundle.load(exported_bundle)).answer(frame_features(row, customers.schema))
    assert answer["churn_probability"] == pytest.approx(expected["churn_probability"], abs=1e-6)
    assert about["certainty"][answer["certainty"][0]] == expected["certainty"][0]


def test_a_file_that_answers_otherwise_is_not_written(cfg, tmp_path, monkeypatch):
    convert, _, suffix = portable.KINDS[portable.ExportFormat.litert]
    wrong = lambda file: lambda *rows: {k: v * 2 for k, v in LiteRT(file)(*rows).items()}  # noqa: E731
    monkeypatch.setitem(portable.KINDS, portable.ExportFormat.litert, (convert, wrong, suffix))
    with pytest.raises(UserError, match="would answer otherwise than the bundle: another c"):
        export(cfg("to=litert", f"output={tmp_path}/churn.tflite"))
    assert [path.name for path in tmp_path.iterdir()] == ["customers.csv"]


@pytest.mark.parametrize("output", ["null", "churn.onnx"])
def test_the_name_of_the_file_says_what_it_is(cfg, output):
    with pytest.raises(UserError, match=r"ends in \.tflite"):
        export(cfg("to=litert", f"output={output}"))


def test_onnx_without_its_extra_says_which_to_install(cfg, tmp_path, monkeypatch):
    monkeypatch.setattr(portable, "find_spec", lambda package: None)
    with pytest.raises(UserError, match=r"tf2onnx is not installed(.|\n)*churn\[onnx\]"):
        export(cfg("to=onnx", f"output={tmp_path}/churn.onnx"))


def test_onnx_answers_as_the_bundle_does(cfg, tmp_path):
    pytest.importorskip("tf2onnx", reason="the extra `onnx` is not installed")
    pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    export(cfg("to=onnx", f"output={tmp_path}/churn.onnx"))
    assert (tmp_path / "churn.onnx").stat().st_size > 10_000
