"""A bundle as a file for other programs answers as the bundle does, or is not written."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, compose_config

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


def clients() -> list[str]:
    """The programs that the guide shows: for LiteRT, for ONNX."""
    return re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "light.md").read_text(), re.S | re.M)


def answer_of(program: str, folder: Path) -> float:
    """The probability that a program of the guide prints about a customer of the test."""
    known = '{"tenure": 3.0, "contract": "monthly"}'
    program = re.sub(r"customer = \{.*?\}.*", f"customer = {known}", program)
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return float(done.stdout.split()[0])


@pytest.fixture(scope="session")
def expected(exported_bundle, customers):
    """The bundle's own answer about that customer."""
    row = customers.frame.iloc[[0]].assign(tenure=3.0, contract="monthly", payment="")
    row["Monthly  charge"] = np.nan
    answer = Model(Bundle.load(exported_bundle)).answer(frame_features(row, customers.schema))
    return pytest.approx(answer["churn_probability"][0], abs=1e-6)


def test_the_guide_s_client_of_litert_needs_the_two_files_alone(cfg, expected, tmp_path):
    export(cfg("to=litert", f"output={tmp_path}/churn.tflite"))
    assert answer_of(clients()[0], tmp_path) == expected


def test_a_file_that_answers_otherwise_is_not_written(cfg, tmp_path, monkeypatch):
    convert, _, suffix = portable.KINDS[portable.ExportFormat.litert]
    wrong = lambda file: lambda *rows: {k: v * 2 for k, v in LiteRT(file)(*rows).items()}  # noqa: E731
    monkeypatch.setitem(portable.KINDS, portable.ExportFormat.litert, (convert, wrong, suffix))
    with pytest.raises(UserError, match="would answer otherwise than the bundle: another c"):
        export(cfg("to=litert", f"output={tmp_path}/churn.tflite"))
    assert [path.name for path in tmp_path.iterdir()] == ["customers.csv"]


@pytest.mark.parametrize("made", [portable.ExportFormat.litert, portable.ExportFormat.onnx])
def test_customers_in_a_file_of_the_description_s_name_are_not_replaced(cfg, customers, tmp_path, made):
    table = tmp_path / "customers.json"
    customers.frame[:20].to_json(table, orient="records")
    before, output = table.read_bytes(), f"output={tmp_path}/customers.{portable.KINDS[made][2]}"
    with pytest.raises(UserError, match="would be replaced"):
        export(cfg(f"to={made.value}", f"input={table}", output))
    assert table.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 2


def test_an_export_replaces_its_own_two_files(cfg, tmp_path):
    export(cfg("to=litert", f"output={tmp_path}/churn.tflite"))
    export(cfg("to=litert", f"output={tmp_path}/churn.tflite"))


@pytest.mark.parametrize("output", ["null", "churn.onnx"])
def test_the_name_of_the_file_says_what_it_is(cfg, output):
    with pytest.raises(UserError, match=r"ends in \.tflite"):
        export(cfg("to=litert", f"output={output}"))


def test_onnx_without_its_extra_says_which_to_install(cfg, tmp_path, monkeypatch):
    monkeypatch.setattr(portable, "find_spec", lambda package: None)
    with pytest.raises(UserError, match=r"tf2onnx is not installed(.|\n)*churn\[onnx\]"):
        export(cfg("to=onnx", f"output={tmp_path}/churn.onnx"))


def test_the_guide_s_client_of_onnx_needs_the_two_files_alone(cfg, expected, tmp_path):
    for package in ("tf2onnx", "onnxruntime"):
        pytest.importorskip(package, reason="the extra `onnx` is not installed")
    export(cfg("to=onnx", f"output={tmp_path}/churn.onnx"))
    assert answer_of(clients()[1], tmp_path) == expected
