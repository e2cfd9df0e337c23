"""LiteRT, which computes a model of a bundle without TensorFlow: a start in a blink, a fifth of the memory.

A LiteRT file is a program, as a SavedModel is one. Only operations that compute are let through: no custom
ones, none that keep something from one customer to the next, and no loops.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from churn.backend import silent_stderr
from churn.errors import UserError

SLICE = 512  # rows that go through the model at a time: what they need fits into the processor's cache
_ALLOWED = """
    ABS ADD ADD_N ARG_MAX ARG_MIN BATCH_MATMUL BROADCAST_ARGS BROADCAST_TO CAST CEIL CONCATENATION COS CUMSUM
    DEQUANTIZE DIV ELU EMBEDDING_LOOKUP EQUAL EXP EXPAND_DIMS FILL FLOOR FLOOR_DIV FLOOR_MOD FULLY_CONNECTED
    GATHER GATHER_ND GELU GREATER GREATER_EQUAL HARD_SWISH LEAKY_RELU LESS LESS_EQUAL LOG LOGICAL_AND
    LOGICAL_NOT LOGICAL_OR LOGISTIC LOG_SOFTMAX MAXIMUM MEAN MINIMUM MIRROR_PAD MUL NEG NOT_EQUAL ONE_HOT PACK
    PAD PADV2 POW PRELU RANGE RANK REDUCE_ALL REDUCE_ANY REDUCE_MAX REDUCE_MIN REDUCE_PROD RELU RELU6 RESHAPE
    REVERSE_V2 ROUND RSQRT SCATTER_ND SELECT SELECT_V2 SHAPE SIGN SIN SLICE SOFTMAX SPLIT SPLIT_V SQRT SQUARE
    SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB SUM TANH TILE TOPK_V2 TRANSPOSE UNPACK WHERE ZEROS_LIKE
"""
ALLOWED = frozenset(_ALLOWED.split())


class LiteRT:
    """A model as a function of numbers [F, n] float32 and codes [C, n] int32; gives named arrays [n].

    Each of the threads computes on an interpreter of its own, a slice of the rows at a time. Raises
    `UserError` for a file that can do more than compute.

    >>> LiteRT(bundle.light_file(CODED))(numbers, codes)["churn_probability"]
    """

    def __init__(self, file: Path, threads: int = 1, rows: int = SLICE) -> None:
        content = file.read_bytes()
        verify_operators(content, file)
        self.rows = rows
        self.workers = [_Interpreter(content) for _ in range(threads)]
        self.kinds = self.workers[0].kinds
        self.lock = Lock()  # an interpreter computes for one caller at a time

    def __call__(self, numbers: np.ndarray, codes: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs in the order of `kinds`."""
        with self.lock:
            return self._compute(numbers, codes)

    def _compute(self, numbers: np.ndarray, codes: np.ndarray) -> dict[str, np.ndarray]:
        count = numbers.shape[1]
        if count <= self.rows:
            return dict(zip(self.kinds, self.workers[0](numbers, codes), strict=True))
        share = -(-count // (self.rows * len(self.workers))) * self.rows  # whole slices for each worker
        shares = [slice(first, min(first + share, count)) for first in range(0, count, share)]
        work = [
            partial(worker.by_slice, numbers[:, rows], codes[:, rows], self.rows)
            for worker, rows in zip(self.workers, shares, strict=False)
        ]
        parts = [part for parts in _side_by_side(work) for part in parts]
        return {
            name: np.concatenate(cut) for name, cut in zip(self.kinds, zip(*parts, strict=True), strict=True)
        }


def _side_by_side(work: list[Any]) -> Iterator[Any]:
    """What the functions give, each called in a thread of its own."""
    if len(work) == 1:
        yield work[0]()
        return
    with ThreadPoolExecutor(len(work)) as threads:
        yield from threads.map(lambda function: function(), work)


class _Interpreter:
    """One interpreter, for one thread at a time."""

    def __init__(self, content: bytes) -> None:
        with silent_stderr():  # it names what it computes with
            from ai_edge_litert.interpreter import Interpreter

            self.interpreter = Interpreter(model_content=content, num_threads=1)
            self.interpreter.allocate_tensors()
            (name,) = self.interpreter.get_signature_list()
            signature = self.interpreter.get_signature_runner(name)
        inputs, outputs = signature.get_input_details(), signature.get_output_details()
        self.inputs = [(inputs[name]["index"], len(inputs[name]["shape"])) for name in ("numbers", "codes")]
        self.outputs = [outputs[name]["index"] for name in outputs]
        self.kinds = {name: np.dtype(outputs[name]["dtype"]) for name in outputs}
        self.count = 0  # of the rows that memory is laid out for

    def __call__(self, numbers: np.ndarray, codes: np.ndarray) -> list[np.ndarray]:
        model = self.interpreter
        if numbers.shape[1] != self.count:
            self._lay_out(numbers, codes)
        for (index, _), values in zip(self.inputs, (numbers, codes), strict=True):
            model.set_tensor(index, values)
        model.invoke()
        return [model.get_tensor(index) for index in self.outputs]

    def _lay_out(self, numbers: np.ndarray, codes: np.ndarray) -> None:
        for (index, _), values in zip(self.inputs, (numbers, codes), strict=True):
            self.interpreter.resize_tensor_input(index, values.shape)
        self.interpreter.allocate_tensors()
        self.count = numbers.shape[1]

    def by_slice(self, numbers: np.ndarray, codes: np.ndarray, rows: int) -> list[list[np.ndarray]]:
        cuts = [slice(first, first + rows) for first in range(0, numbers.shape[1], rows)]
        return [self(numbers[:, cut], codes[:, cut]) for cut in cuts]


def verify_operators(content: bytes, file: Path) -> None:
    """Raise `UserError` if a LiteRT file is damaged or can do more than compute."""
    from ai_edge_litert import schema_py_generated as schema

    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    try:
        if not schema.Model.ModelBufferHasIdentifier(content, 0):
            raise ValueError("it is no LiteRT file")
        model = schema.Model.GetRootAs(content)
        codes = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
        found = {names.get(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), "?") for code in codes}
    except Exception as error:  # flatbuffers and struct raise whatever a damaged offset leads to
        raise UserError(f"the bundle is damaged: {error}", str(file), "copy it whole") from None
    if foreign := found - ALLOWED:
        what = f"the light model does more than compute: {', '.join(sorted(foreign))}"
        raise UserError(what, str(file), "train a bundle of your own")
