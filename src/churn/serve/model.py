"""A bundle made ready to answer many rows at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from itertools import chain, islice, repeat
from typing import Any

import msgspec
import numpy as np

from churn.backend import tensorflow
from churn.bundle import CODED, Bundle
from churn.predictionlog import KEY, MISSING_BELOW
from churn.serve.protocol import Fields, Reader, Row, Rows

WARM_UP_ROWS = (1, 2, 64)


class Model:
    """The bundle behind a function of two matrices: an eager call costs by the tensor, not by the row."""

    def __init__(self, bundle: Bundle, lenient: bool = False) -> None:
        self.bundle, self.fields = bundle, Fields.of(bundle)
        self.read = Reader(self.fields, lenient)
        self.code = bundle.words.get
        function = two_matrices(bundle, self.fields)
        self.outputs = {name: kind(spec) for name, spec in sorted(function.structured_outputs.items())}
        self.prediction = msgspec.defstruct("Prediction", [*self.outputs, KEY], gc=False)
        self.run = on_this_thread(function)
        self.warm_up()

    def __call__(self, requests: list[Rows]) -> tuple[list[list[Any]], int]:
        """For each request its predictions, one `prediction` per row, from one call of the graph.

        And how many fields of all rows said that they are missing.
        """
        columns = list(zip(*chain.from_iterable(requests), strict=True))
        split = len(self.fields.numbers)
        texts, keys = columns[split:-1], columns[-1]
        numbers = np.array(columns[:split], np.float32).reshape(split, len(keys))
        codes = np.fromiter(map(self.code, chain.from_iterable(texts), repeat(0)), np.int32)
        outputs = self.run(numbers, codes.reshape(len(texts), len(keys)))
        predictions = list(map(self.prediction, *[listed(output.numpy()) for output in outputs], keys))
        missing = int((numbers <= MISSING_BELOW).sum()) + sum([column.count("") for column in texts])
        if len(requests) == len(predictions):  # as is usual: one row each
            return [[prediction] for prediction in predictions], missing
        several = iter(predictions)
        return [list(islice(several, len(rows))) for rows in requests], missing

    def warm_up(self) -> None:
        """Answer the example row a few times, in batches of several sizes."""
        for count in WARM_UP_ROWS:
            self([self.read.rows([self.example] * count)])

    @cached_property
    def example(self) -> Row:
        """A row as training saw many: median numbers, most frequent categories."""
        profile, row = self.bundle.profile, dict(self.read.defaults)
        for field in self.bundle.facts["inputs"]:
            if numbers := profile.get("numeric", {}).get(field["column"], {}).get("edges"):
                row[field["input"]] = numbers[len(numbers) // 2]
            elif levels := profile.get("categorical", {}).get(field["column"]):
                row[field["input"]] = next(iter(levels))
        return row

    @property
    def description(self) -> Row:
        """What names the model in every answer, in Vertex AI's words."""
        name, version = self.bundle.facts["name"], self.bundle.digest[:12]
        return {
            "deployedModelId": version,
            "model": f"models/{name}",
            "modelDisplayName": name,
            "modelVersionId": version,
        }


def two_matrices(bundle: Bundle, fields: Fields) -> Any:
    """The signature of numbers [F, n] float32 and codes [C, n] int32."""
    tf = tensorflow()
    signature = bundle.saved_model.signatures[CODED]
    shapes = [
        tf.TensorSpec([len(fields.numbers), None], tf.float32),
        tf.TensorSpec([len(fields.texts) - 1, None], tf.int32),
    ]
    both = tf.function(lambda numbers, codes: signature(numbers=numbers, codes=codes), input_signature=shapes)
    return both.get_concrete_function()


def on_this_thread(function: Any) -> Callable[..., list[Any]]:
    """The outputs of a concrete function in the order of their names, by the executor that has no threads.

    Where each operation takes microseconds, TensorFlow's usual executor costs as much as they do.
    """
    tf = tensorflow()
    captured, types = list(function.captured_inputs), [output.dtype for output in function.outputs]
    call = partial(
        tf.raw_ops.StatefulPartitionedCall, Tout=types, f=function, executor_type="SINGLE_THREADED_EXECUTOR"
    )
    return lambda *tensors: call(args=[*tensors, *captured])


def kind(spec: Any) -> str:
    """What an output holds, as the header of the log tells it."""
    name = "text" if spec.dtype.name == "string" else "integer" if spec.dtype.is_integer else "number"
    return "list of " * (spec.shape.rank - 1) + name


def listed(values: Any) -> list[Any]:
    """An output [n, ...] as values that JSON has."""
    found: list[Any] = values.tolist()
    if values.dtype != object:
        return found
    return [text.decode() for text in found] if values.ndim == 1 else [listed(row) for row in values]
