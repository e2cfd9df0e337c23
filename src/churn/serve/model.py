"""A bundle made ready to answer many rows at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from itertools import chain, groupby, islice, repeat
from operator import itemgetter
from typing import Any

import msgspec
import numpy as np

from churn.backend import tensorflow
from churn.bundle.bundle import CODED, Bundle
from churn.bundle.conformal import CERTAINTIES
from churn.data.dataset import CUSTOMER_KEY, MISSING_BELOW
from churn.serve.protocol import Fields, JsonRow, Reader, RequestRows

# Executors of TensorFlow: where each operation takes microseconds, the usual one costs as much as they do.
USUAL, ON_THIS_THREAD = "", "SINGLE_THREADED_EXECUTOR"
COMPILED_ROWS = 32  # that XLA's code takes at a time; what is larger goes through the graph as it is
WARM_UP_ROWS = (1, COMPILED_ROWS, 2 * COMPILED_ROWS)


class Model:
    """The bundle as a function of one matrix: what goes between NumPy and TensorFlow costs by the piece."""

    def __init__(self, bundle: Bundle, lenient: bool = False) -> None:
        self.bundle, self.fields = bundle, Fields.of(bundle)
        self.read = Reader(self.fields, lenient)
        self.code = {word: float(code) for word, code in bundle.vocabulary.items()}.get
        named, coded = (bundle.saved_model.signatures[name] for name in ("serving_default", CODED))
        alike = _outputs_by_type(coded)
        self.outputs = {
            name: _output_kind(named.structured_outputs[name]) for name in chain.from_iterable(alike)
        }
        self.prediction = msgspec.defstruct("Prediction", [*self.outputs, CUSTOMER_KEY], gc=False)
        graph = partial(_packed_function, coded, len(self.fields.numbers), alike)
        # Reasons are texts, which XLA does not know, come from loops, for which there is only the usual
        # executor, and are too dear to fill batches up with made-up rows.
        reasons = any(spec.dtype == "string" for spec in coded.structured_outputs.values())
        self.any_rows = _fast_caller(graph(), USUAL if reasons else ON_THIS_THREAD)
        self.few_rows = None if reasons else _fast_caller(graph(COMPILED_ROWS), ON_THIS_THREAD)
        self.warm_up()

    def __call__(self, requests: list[RequestRows]) -> tuple[list[list[Any]], int]:
        """For each request its predictions, one `prediction` per row, from one call of the graph.

        And how many fields of all rows said that they are missing.
        """
        columns = list(zip(*chain.from_iterable(requests), strict=True))
        split = len(self.fields.numbers)
        texts, keys = columns[split:-1], columns[-1]
        codes = map(self.code, chain.from_iterable(texts), repeat(0.0))
        cells = chain(chain.from_iterable(columns[:split]), codes)
        matrix = np.fromiter(cells, np.float32, (len(columns) - 1) * len(keys)).reshape(-1, len(keys))
        outputs = dict(zip(self.outputs, self.run(matrix), strict=True))
        if places := outputs.get("certainty"):
            outputs["certainty"] = [CERTAINTIES[place] for place in places]
        predictions = list(map(self.prediction, *outputs.values(), keys))
        missing = int(np.count_nonzero(matrix[:split] <= MISSING_BELOW))
        missing += sum([column.count("") for column in texts])
        if len(requests) == len(predictions):  # as is usual: one row each
            return [[prediction] for prediction in predictions], missing
        several = iter(predictions)
        return [list(islice(several, len(rows))) for rows in requests], missing

    def run(self, matrix: np.ndarray) -> list[list[Any]]:
        """Each output of the graph as a list, in the order of `outputs`; one value for each row, or more."""
        rows = matrix.shape[1]
        if self.few_rows is None or rows > COMPILED_ROWS:
            found = self.any_rows(matrix)
        else:
            found = self.few_rows(matrix if rows == COMPILED_ROWS else _pad_columns(matrix, COMPILED_ROWS))
        return list(chain.from_iterable([_to_list(output.numpy()) for output in found]))

    def warm_up(self) -> None:
        """Answer the example row a few times, in batches of several sizes."""
        for count in WARM_UP_ROWS:
            self([self.read.rows([self.example] * count)])

    @cached_property
    def example(self) -> JsonRow:
        """A row as training saw many: median numbers, most frequent categories."""
        profile, row = self.bundle.profile, dict(self.read.defaults)
        for field in self.bundle.facts["inputs"]:
            if numbers := profile.get("numeric", {}).get(field["column"], {}).get("edges"):
                row[field["input"]] = numbers[len(numbers) // 2]
            elif levels := profile.get("categorical", {}).get(field["column"]):
                row[field["input"]] = next(iter(levels))
        return row

    @property
    def description(self) -> JsonRow:
        """What names the model in every answer, in Vertex AI's words."""
        name, version = self.bundle.facts["name"], self.bundle.digest[:12]
        return {
            "deployedModelId": version,
            "model": f"models/{name}",
            "modelDisplayName": name,
            "modelVersionId": version,
        }


def _pad_columns(matrix: np.ndarray, rows: int) -> np.ndarray:
    """The matrix with columns of zeros after its own, so that it has as many as `rows`."""
    larger = np.zeros((len(matrix), rows), matrix.dtype)
    larger[:, : matrix.shape[1]] = matrix
    return larger


def _outputs_by_type(signature: Any) -> list[list[str]]:
    """The names of a signature's outputs, those of one type together."""
    outputs = sorted((spec.dtype.name, name) for name, spec in signature.structured_outputs.items())
    return [[name for _, name in group] for _, group in groupby(outputs, itemgetter(0))]


def _packed_function(signature: Any, numbers: int, alike: list[list[str]], rows: int | None = None) -> Any:
    """The signature of numbers and codes as a function of one float32 matrix that has the numbers first.

    Outputs that are alike come as one tensor, too. With `rows`, XLA compiles it for so many.
    """
    tf = tensorflow()
    codes = signature.structured_input_signature[1]["codes"].shape[0]

    def answers(matrix: Any) -> list[Any]:
        found = signature(numbers=matrix[:numbers], codes=tf.cast(matrix[numbers:], tf.int32))
        return [tf.stack([found[name] for name in names]) for names in alike]

    # In a function around it, as what `caller` calls itself is never compiled.
    inner = tf.function(answers, jit_compile=rows is not None)
    shape = tf.TensorSpec([numbers + codes, rows], tf.float32)
    return tf.function(lambda matrix: inner(matrix), input_signature=[shape]).get_concrete_function()


def _fast_caller(function: Any, executor: str) -> Callable[..., list[Any]]:
    """A concrete function that takes NumPy's arrays, too, and is run by the executor of that name."""
    tf = tensorflow()
    captured, types = list(function.captured_inputs), [output.dtype for output in function.outputs]
    call = partial(tf.raw_ops.StatefulPartitionedCall, Tout=types, f=function, executor_type=executor)
    return lambda *tensors: call(args=[*tensors, *captured])


def _output_kind(spec: Any) -> str:
    """What an output holds, as the header of the log tells it."""
    name = "text" if spec.dtype.name == "string" else "integer" if spec.dtype.is_integer else "number"
    return "list of " * (spec.shape.rank - 1) + name


def _to_list(values: Any) -> list[Any]:
    """An output [n, ...] as values that JSON has."""
    found: list[Any] = values.tolist()
    if values.dtype != object:
        return found
    return [text.decode() for text in found] if values.ndim == 1 else [_to_list(row) for row in values]
