"""The light model: what a bundle's graph computes from codes, as LiteRT files, which need no TensorFlow.

They are written beside the SavedModel and sealed with it. What they answer is compared with the SavedModel's
answers for real rows, and for the same rows with each value missing in turn: runtimes disagree about missing
values first.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from churn.backend import silent_stderr, tensorflow
from churn.bundle.bundle import CODED_REASONS, Bundle
from churn.bundle.litert import has_signature
from churn.bundle.model import Model, Outputs
from churn.config.serving import Runtime
from churn.errors import UserError
from churn.files import atomic_write

TOLERANCE = 1e-6  # of a number
# What rounding changes in the log-odds, the width of an interval changes several times.
TOLERANCE_OF_ENDS = {"churn_probability_low": 1e-5, "churn_probability_high": 1e-5}
# Probabilities beside which rounding may change a word: the threshold, and the ends of the prediction sets.
LIMITS = 3
COMPARED, COMPARED_MISSING, EXPLAINED = 1_000, 100, 20  # rows
Rows = tuple[np.ndarray, np.ndarray]  # numbers [F, n] and codes [C, n]
Answer = Callable[[np.ndarray, np.ndarray], Outputs]
_DO = "leave the light model out, and serve and score with TensorFlow: export.light=false"


def write_light(functions: Mapping[str, Any], variables: Iterable[Any], folder: Path) -> None:
    """Write concrete functions, which read these variables, as LiteRT files, each with its name."""
    for name, function in functions.items():
        with atomic_write(folder / f"{name}.tflite") as aside:
            aside.write_bytes(convert(function, variables))


def convert(function: Any, variables: Iterable[Any] = ()) -> bytes:
    """A concrete function as a LiteRT file; raises `UserError` where an operation is lacking."""
    owner = tensorflow().Module()  # of nothing else: the tables of a SavedModel would come along
    owner.variables_of_function = list(variables)
    lite = tensorflow().lite
    with silent_stderr():  # it says much, and more where it fails
        try:
            converter = lite.TFLiteConverter.from_concrete_functions([function], owner)
            content: bytes = converter.convert()
        except Exception as error:  # of many kinds: the converter has none of its own
            failure = error
        else:
            return _with_signature(content)
    raise UserError(f"LiteRT cannot compute this model: {_reason(failure)}", "export.light", _DO) from failure


def _with_signature(content: bytes) -> bytes:
    """The LiteRT file; raises `UserError` without a signature.

    The converter first writes a SavedModel to a temporary folder. Where that fails it says nothing and
    converts without the names of inputs and outputs.
    """
    if has_signature(content):
        return content
    do = "free some space there, or name another folder: TMPDIR=FOLDER churn ..."
    raise UserError("TensorFlow could not write the model that it converts", tempfile.gettempdir(), do)


def _reason(failure: Exception) -> str:
    """The operations that LiteRT lacks, or else the last line of what the converter says."""
    if lacking := re.search(r"(?:TF Select|Custom) ops: (.*)", str(failure)):
        return f"it lacks {lacking[1]}"
    return [*filter(None, str(failure).strip().splitlines()), type(failure).__name__][-2:][0][:300]


def require_parity(bundle: Bundle, numbers: np.ndarray, codes: np.ndarray) -> None:
    """Raise `UserError` if a bundle's light model answers otherwise than its SavedModel.

    Numbers [F, n] and codes [C, n] of real rows.
    """
    light, graph = (Model(bundle, runtime) for runtime in Runtime)
    try:
        compare_answers(light, graph, variants(bundle, numbers, codes))
        if bundle.light_file(CODED_REASONS).exists():
            few = variants(bundle, numbers[:, :1], codes[:, :1], EXPLAINED)
            compare_answers(partial(light, reasons=True), partial(graph, reasons=True), few)
    except MismatchError as error:
        raise UserError(
            f"the light model differs from the SavedModel: {error}", "export.light", _DO
        ) from None


class MismatchError(Exception):
    """Two answers to the same rows differ by more than rounding."""


def compare_answers(answer: Answer, expected: Answer, rows: Iterable[tuple[Rows, str]]) -> None:
    """Raise `MismatchError`, which names the rows, where two models answer otherwise."""
    for (numbers, codes), what in rows:
        _compare(answer(numbers, codes), expected(numbers, codes), what)


def typical_rows(bundle: Bundle, rows: int = 50) -> tuple[np.ndarray, np.ndarray]:
    """Numbers [F, n] and codes [C, n] over the range of the training rows, from the profile."""
    schema, numeric = bundle.schema, bundle.profile.get("numeric", {})
    share, known = np.linspace(0, 1, rows), 1 + len(bundle.vocabulary)
    numbers = [
        np.quantile(edges, share) if (edges := numeric.get(name, {}).get("edges")) else np.full(rows, np.nan)
        for name in schema.numeric
    ]
    codes = [(np.arange(rows) + column) % known for column in range(len(schema.categorical))]
    return (
        np.array(numbers, np.float32).reshape(len(numbers), rows),
        np.array(codes, np.int32).reshape(len(codes), rows),
    )


def variants(
    bundle: Bundle, numbers: np.ndarray, codes: np.ndarray, most: int | None = None
) -> Iterator[tuple[Rows, str]]:
    """The rows, then some of them with one value missing, column after column, and words about each."""
    yield (numbers[:, :COMPARED], codes[:, :COMPARED]), "for real rows"
    blank = bundle.vocabulary.get("", 0)  # 0: a text that training has not seen
    for position, column in enumerate(bundle.schema.features[:most]):
        fewer, others = numbers[:, :COMPARED_MISSING].copy(), codes[:, :COMPARED_MISSING].copy()
        if position < len(numbers):
            fewer[position] = np.nan
        else:
            others[position - len(numbers)] = blank
        yield (fewer, others), f"where '{column}' is missing"


def _compare(answer: Outputs, expected: Outputs, what: str) -> None:
    for name, right in expected.items():
        if right.dtype.kind == "f":
            tolerance = TOLERANCE_OF_ENDS.get(name, TOLERANCE)
            wrong, allowed = ~(abs(answer[name] - right) <= tolerance), 0
        elif name.startswith("reason_"):  # two contributions may be equal to the last digit
            continue
        else:
            wrong = answer[name] != right
            allowed = 0 if name == "unseen_inputs" else LIMITS
        if _different(expected["churn_probability"][wrong]) > allowed:
            first = int(np.argmax(wrong))
            raise MismatchError(f"another {name} {what}, {answer[name][first]} in place of {right[first]}")


def _different(probabilities: np.ndarray) -> int:
    """How many different probabilities there are, to the last digit."""
    return int((np.diff(np.sort(probabilities), prepend=-np.inf) > TOLERANCE).sum())
