"""The bundle as the server runs it: many rows at once, with little overhead per row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cached_property, partial
from itertools import chain, groupby, islice
from operator import itemgetter
from typing import Any

import msgspec
import numpy as np

from churn.backend import tensorflow
from churn.bundle.bundle import CODED, Bundle
from churn.bundle.conformal import CERTAINTIES
from churn.bundle.unseen import UnseenCells
from churn.data.contract import CUSTOMER_KEY, MISSING_BELOW
from churn.data.infer.cells import missing_codes
from churn.data.spelling import apply_steps, spelling_steps
from churn.serve.protocol import Fields, JsonRow, Reader, RequestRows

# TensorFlow's executors. For operations of microseconds the default one costs as much as the operations.
DEFAULT_EXECUTOR, SINGLE_THREADED = "", "SINGLE_THREADED_EXECUTOR"
COMPILED_ROWS = 32  # of the XLA-compiled graph; a larger batch goes through the graph that is not compiled
WARM_UP_ROWS = (1, COMPILED_ROWS, 2 * COMPILED_ROWS)


class _Codes(dict[str, float]):
    """The code of each text; a text that is not in the vocabulary is first spelled as in training."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__({text: float(code) for text, code in bundle.vocabulary.items()})
        self.steps = spelling_steps(bundle.schema)

    def __missing__(self, text: str) -> float:
        return self.get(apply_steps(text, self.steps), 0.0)


class Model:
    """The bundle as a function of one matrix, because each array passed to TensorFlow has a fixed cost."""

    def __init__(self, bundle: Bundle, lenient: bool = False) -> None:
        self.bundle, self.fields = bundle, Fields.of(bundle)
        self.read = Reader(self.fields, lenient)
        self.codes, self.missing_codes = _Codes(bundle), missing_codes(bundle.schema)
        self.unseen = UnseenCells(bundle)
        column = {field["input"]: field["column"] for field in bundle.facts["inputs"]}
        self.columns = [column[name] for name in self.fields.kinds if name in column]
        named, coded = (bundle.saved_model.signatures[name] for name in ("serving_default", CODED))
        by_type = _outputs_by_type(coded)
        self.outputs = {
            name: _output_kind(named.structured_outputs[name]) for name in chain.from_iterable(by_type)
        }
        self.prediction = msgspec.defstruct("Prediction", [*self.outputs, CUSTOMER_KEY], gc=False)
        graph = partial(_packed_function, coded, len(self.fields.numbers), by_type)
        # Reasons rule out the fast path: XLA has no strings, loops need the default executor, and padding
        # rows would be expensive.
        reasons = any(spec.dtype == "string" for spec in coded.structured_outputs.values())
        self.any_rows = _fast_caller(graph(), DEFAULT_EXECUTOR if reasons else SINGLE_THREADED)
        self.few_rows = None if reasons else _fast_caller(graph(COMPILED_ROWS), SINGLE_THREADED)
        self._warm_up()
        self.read.example = self.example
        self.unseen = UnseenCells(bundle)  # without the rows of the warm-up

    def __call__(self, requests: list[RequestRows]) -> tuple[list[list[Any]], int]:
        """The predictions of each request, one per row, and the number of missing fields in all rows.

        The graph is called once.
        """
        columns = list(zip(*chain.from_iterable(requests), strict=True))
        split = len(self.fields.numbers)
        texts, keys = columns[split:-1], columns[-1]
        text_codes = map(self.codes.__getitem__, chain.from_iterable(texts))
        cells = chain(chain.from_iterable(columns[:split]), text_codes)
        matrix = np.fromiter(cells, np.float32, (len(columns) - 1) * len(keys)).reshape(-1, len(keys))
        outputs = dict(zip(self.outputs, self._run(matrix), strict=True))
        self._count_unseen(outputs["unseen_inputs"], matrix, texts)
        if codes := outputs.get("certainty"):
            outputs["certainty"] = [CERTAINTIES[code] for code in codes]
        predictions = list(map(self.prediction, *outputs.values(), keys))
        missing = self._count_missing(matrix[:split], matrix[split:], texts)
        if len(requests) == len(predictions):  # the usual case: one row each
            return [[prediction] for prediction in predictions], missing
        remaining = iter(predictions)
        return [list(islice(remaining, len(rows))) for rows in requests], missing

    def _count_unseen(self, counts: list[int], matrix: np.ndarray, texts: list[tuple[str, ...]]) -> None:
        """Count the cells of the rows in which the graph found some that are unlike any in training."""
        counts = counts[: matrix.shape[1]]  # without the rows that only fill up the matrix
        self.unseen.add_rows(len(counts))
        if not any(counts):
            return
        rows = [i for i, number in enumerate(counts) if number]
        for name, values in zip(self.columns, matrix[:, rows], strict=False):
            self.unseen.add_numbers(name, values)
        for name, column in zip(self.columns[len(self.fields.numbers) :], texts, strict=True):
            self.unseen.add_texts(name, Counter([column[i] for i in rows]))

    def _count_missing(self, numbers: np.ndarray, codes: np.ndarray, texts: list[tuple[str, ...]]) -> int:
        """Fields of a batch that mean "missing"."""
        count = np.count_nonzero(numbers <= MISSING_BELOW)
        if len(self.missing_codes):
            count += np.count_nonzero(np.isin(numbers, self.missing_codes))
        blank = self.bundle.vocabulary.get("")
        if blank is None:  # training saw no missing category
            return int(count) + sum([column.count("") for column in texts])
        return int(count + np.count_nonzero(codes == blank))

    def _run(self, matrix: np.ndarray) -> list[list[Any]]:
        """Each output of the graph as a list with one item per row, in the order of `outputs`."""
        rows = matrix.shape[1]
        if self.few_rows is None or rows > COMPILED_ROWS:
            tensors = self.any_rows(matrix)
        else:
            tensors = self.few_rows(matrix if rows == COMPILED_ROWS else _pad_columns(matrix, COMPILED_ROWS))
        return list(chain.from_iterable([_to_list(output.numpy()) for output in tensors]))

    def _warm_up(self) -> None:
        for count in WARM_UP_ROWS:
            self([self.read.rows([self.example] * count)])

    @cached_property
    def example(self) -> JsonRow:
        """A typical row: median numbers and most frequent categories of the training rows."""
        profile, row = self.bundle.profile, dict(self.read.defaults)
        for field in self.bundle.facts["inputs"]:
            if numbers := profile.get("numeric", {}).get(field["column"], {}).get("edges"):
                row[field["input"]] = numbers[len(numbers) // 2]
            elif levels := profile.get("categorical", {}).get(field["column"]):
                row[field["input"]] = next(iter(levels))
        return row

    @property
    def description(self) -> JsonRow:
        """The keys that name the model in every answer, as on Vertex AI."""
        name, version = self.bundle.facts["name"], self.bundle.digest[:12]
        return {
            "deployedModelId": version,
            "model": f"models/{name}",
            "modelDisplayName": name,
            "modelVersionId": version,
        }


def _pad_columns(matrix: np.ndarray, rows: int) -> np.ndarray:
    """The matrix with columns of zeros added on the right, up to `rows` columns."""
    larger = np.zeros((len(matrix), rows), matrix.dtype)
    larger[:, : matrix.shape[1]] = matrix
    return larger


def _outputs_by_type(signature: Any) -> list[list[str]]:
    """The names of a signature's outputs, in a list for each data type."""
    outputs = sorted((spec.dtype.name, name) for name, spec in signature.structured_outputs.items())
    return [[name for _, name in group] for _, group in groupby(outputs, itemgetter(0))]


def _packed_function(signature: Any, numbers: int, by_type: list[list[str]], rows: int | None = None) -> Any:
    """The signature as a function of one float32 matrix [numbers + codes, rows], numbers first.

    It gives one tensor for each data type. With `rows`, XLA compiles it for exactly so many.
    """
    tf = tensorflow()
    codes = signature.structured_input_signature[1]["codes"].shape[0]

    def answers(matrix: Any) -> list[Any]:
        outputs = signature(numbers=matrix[:numbers], codes=tf.cast(matrix[numbers:], tf.int32))
        return [tf.stack([outputs[name] for name in names]) for names in by_type]

    # The outer function is needed: XLA never compiles the function that `_fast_caller` calls directly.
    inner = tf.function(answers, jit_compile=rows is not None)
    shape = tf.TensorSpec([numbers + codes, rows], tf.float32)
    return tf.function(lambda matrix: inner(matrix), input_signature=[shape]).get_concrete_function()


def _fast_caller(function: Any, executor: str) -> Callable[..., list[Any]]:
    """The concrete function as a call that also takes NumPy arrays, on the executor of that name."""
    tf = tensorflow()
    captured, types = list(function.captured_inputs), [output.dtype for output in function.outputs]
    call = partial(tf.raw_ops.StatefulPartitionedCall, Tout=types, f=function, executor_type=executor)
    return lambda *tensors: call(args=[*tensors, *captured])


def _output_kind(spec: Any) -> str:
    """An output's type as in the header of the log: "number", "integer", "text", or "list of" one of them."""
    name = "text" if spec.dtype.name == "string" else "integer" if spec.dtype.is_integer else "number"
    return "list of " * (spec.shape.rank - 1) + name


def _to_list(values: Any) -> list[Any]:
    """An output [n, ...] as a list, text in place of bytes."""
    plain: list[Any] = values.tolist()
    if values.dtype != object:
        return plain
    return [text.decode() for text in plain] if values.ndim == 1 else [_to_list(row) for row in values]
