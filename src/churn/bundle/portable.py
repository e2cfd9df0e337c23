"""`churn export to=litert|onnx`: a bundle's model as one file for other programs and devices.

The file takes numbers and codes. What a client needs to make them of a customer's fields, and to read the
answers, lies beside it in a JSON file. Both are written only if real rows get the answers of the bundle.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from churn.bundle.bundle import CODED, Bundle
from churn.bundle.choice import choose_bundle
from churn.bundle.conformal import CERTAINTIES
from churn.bundle.light import Answer, MismatchError, compare_answers, variants
from churn.bundle.litert import LiteRT
from churn.bundle.model import Model
from churn.config.root import Config
from churn.config.serving import ExportFormat
from churn.data.coded import frame_features, to_matrices
from churn.data.contract import MISSING_BELOW
from churn.data.sources import files
from churn.data.spelling import level_steps
from churn.data.validate import to_features
from churn.errors import UserError, missing_extra
from churn.files import atomic_write, refuse_foreign, write_text

OPSET = 18  # of ONNX
_DESCRIBED = r'"digest": "[0-9a-f]{64}",\s+"threshold":'  # in each description
_EXAMPLE = "churn export to={} input=customers.csv output=churn.{}"


def export_file(cfg: Config) -> None:
    """Write the model of `choose_bundle` to `cfg.output`, compared on rows of `cfg.input`.

    Raises `UserError` where the file could not answer as the bundle does.

    >>> export_file(compose_config("to=litert", "input=customers.csv", "output=churn.tflite"))
    """
    assert cfg.to
    convert, load, suffix = KINDS[cfg.to]
    if not cfg.input or not cfg.output or Path(cfg.output).suffix != f".{suffix}":
        what = f"an export needs customers to compare with, and a file to write that ends in .{suffix}"
        raise UserError(what, do=_EXAMPLE.format(cfg.to.value, suffix))
    bundle, output = choose_bundle(cfg), Path(cfg.output)
    about = output.with_suffix(".json")
    refuse_foreign(about, _DESCRIBED)
    numbers, codes = _rows(bundle, cfg)
    with atomic_write(output) as aside:
        convert(bundle, aside)
        model, light = load(aside), Model(bundle)
        try:
            compare_answers(_as_clients(model), partial(_plain, light), variants(bundle, numbers, codes))
        except MismatchError as error:
            what = f"the file would answer otherwise than the bundle: {error}"
            raise UserError(what, f"to={cfg.to.value}", "serve the bundle itself: churn serve") from None
    write_text(about, json.dumps(_description(bundle), indent=1))
    print(f"{output} answers {numbers.shape[1]:,} rows as the bundle does; {about} says how to ask it")


def _rows(bundle: Bundle, cfg: Config) -> tuple[np.ndarray, np.ndarray]:
    """Numbers and codes of the first rows of a table."""
    table = next(iter(files.raw_tables(str(cfg.input), files.with_marks(cfg.data, bundle.schema), 1_000)))
    rows = frame_features(to_features(table, bundle.schema), bundle.schema)
    return to_matrices(rows, bundle.schema, bundle.vocabulary)


def _as_clients(model: Answer) -> Answer:
    """The model, asked as clients do: "missing" is a number.

    tf2onnx makes products of a choice between two values, and 0 times NaN is NaN.
    """
    return lambda numbers, codes: model(np.nan_to_num(numbers, nan=MISSING_BELOW), codes)


def _plain(model: Model, numbers: np.ndarray, codes: np.ndarray) -> dict[str, np.ndarray]:
    """The bundle's outputs as the file has them: certainty as a position."""
    outputs = model(numbers, codes, reasons=False)
    places = {name: place for place, name in enumerate(CERTAINTIES)}
    return {
        name: np.array([places[text] for text in values]) if values.dtype == object else values
        for name, values in outputs.items()
    }


def _description(bundle: Bundle) -> dict[str, Any]:
    """What a client needs."""
    facts, schema = bundle.facts, bundle.schema
    return {
        "name": facts["name"],
        "digest": bundle.digest,
        "threshold": facts.get("threshold"),
        "numbers": schema.numeric,  # rows of the input `numbers`, float32
        "categories": schema.categorical,  # rows of the input `codes`, int32
        "codes": bundle.vocabulary,  # of a text after `spelling`; 0 for any other
        "spelling": level_steps(schema),  # regular expressions and replacements, in turn
        "missing_number": MISSING_BELOW,
        "certainty": CERTAINTIES,
    }


def _copy_light(bundle: Bundle, target: Path) -> None:
    if not (file := bundle.light_file(CODED)).exists():
        raise UserError("the bundle has no light model", str(file), "train it with export.light=true")
    shutil.copyfile(file, target)


def _convert_to_onnx(bundle: Bundle, target: Path) -> None:
    """Let tf2onnx convert the signature `coded`; in a process of its own, since it sets up TensorFlow."""
    for package in ("tf2onnx", "onnxruntime"):
        if find_spec(package) is None:
            raise missing_extra(package, "onnx")
    command = [sys.executable, "-m", "tf2onnx.convert", "--saved-model", str(bundle.path)]
    command += ["--signature_def", CODED, "--opset", str(OPSET), "--output", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = [*done.stderr.strip().splitlines(), "no reason"][-1 if not done.stderr.strip() else -2]
        raise UserError(f"tf2onnx cannot convert this model: {reason}", "to=onnx", "use to=litert")


def _load_onnx(file: Path) -> Answer:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    inputs = {put.name.partition(":")[0]: put.name for put in session.get_inputs()}

    def answer(numbers: np.ndarray, codes: np.ndarray) -> dict[str, np.ndarray]:
        arrays = {"numbers": numbers, "codes": codes}
        values = session.run(names, {name: arrays[key] for key, name in inputs.items()})
        return dict(zip(names, values, strict=True))

    return answer


KINDS: dict[Any, tuple[Callable[[Bundle, Path], None], Callable[[Path], Answer], str]] = {
    ExportFormat.litert: (_copy_light, LiteRT, "tflite"),
    ExportFormat.onnx: (_convert_to_onnx, _load_onnx, "onnx"),
}
