"""LiteRT, which computes a model of a bundle without TensorFlow: a start in a blink, a fifth of the memory.

A LiteRT file is a program, as a SavedModel is one. Only operations that compute are let through: no custom
ones, none that keep something from one customer to the next, and no loops.
"""

from __future__ import annotations

from bisect import bisect_left
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
# Numbers of rows for which an interpreter is laid out. To lay one out anew costs as much as 30 rows.
_SIZES = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384)
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

    Each of the threads computes on interpreters of its own, a slice of the rows at a time. Raises
    `UserError` for a file that can do more than compute.

    >>> LiteRT(bundle.light_file(CODED))(numbers, codes)["churn_probability"]
    """

    def __init__(self, file: Path, threads: int = 1, rows: int = SLICE) -> None:
        content = file.read_bytes()
        verify_operators(content, file)
        self.rows = rows
        self.workers = [_Worker(content, rows) for _ in range(threads)]
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


class _Worker:
    """The interpreters of one thread, each for a number of rows, made when first needed."""

    def __init__(self, content: bytes, rows: int) -> None:
        self.content, self.sizes = content, (*(size for size in _SIZES if size < rows), rows)
        self.interpreters: dict[int, _Interpreter] = {}
        self.kinds = self._of_size(self.sizes[0]).kinds

    def __call__(self, numbers: np.ndarray, codes: np.ndarray) -> list[np.ndarray]:
        return self._of_size(self.sizes[bisect_left(self.sizes, numbers.shape[1])])(numbers, codes)

    def _of_size(self, rows: int) -> _Interpreter:
        if rows not in self.interpreters:
            self.interpreters[rows] = _Interpreter(self.content, rows)
        return self.interpreters[rows]

    def by_slice(self, numbers: np.ndarray, codes: np.ndarray, rows: int) -> list[list[np.ndarray]]:
        cuts = [slice(first, first + rows) for first in range(0, numbers.shape[1], rows)]
        return [self(numbers[:, cut], codes[:, cut]) for cut in cuts]


class _Interpreter:
    """An interpreter laid out for so many rows. It takes fewer, too, and computes the rest in vain."""

    def __init__(self, content: bytes, rows: int) -> None:
        with silent_stderr():  # it names what it computes with
            from ai_edge_litert.interpreter import Interpreter

            self.interpreter = Interpreter(model_content=content, num_threads=1)
            self.inputs = [(index, np.zeros((columns, rows), kind)) for index, columns, kind in self._look()]
            for index, array in self.inputs:
                self.interpreter.resize_tensor_input(index, array.shape)
            self.interpreter.allocate_tensors()

    def _look(self) -> list[tuple[int, int, Any]]:
        """Number, columns and type of each input; notes the outputs."""
        (name,) = self.interpreter.get_signature_list()
        signature = self.interpreter.get_signature_runner(name)
        inputs, outputs = signature.get_input_details(), signature.get_output_details()
        self.outputs = [outputs[name]["index"] for name in outputs]
        self.kinds = {name: np.dtype(outputs[name]["dtype"]) for name in outputs}
        abouts = [inputs[name] for name in ("numbers", "codes")]
        return [(about["index"], int(about["shape"][0]), about["dtype"]) for about in abouts]

    def __call__(self, numbers: np.ndarray, codes: np.ndarray) -> list[np.ndarray]:
        count, model = numbers.shape[1], self.interpreter
        for (index, array), values in zip(self.inputs, (numbers, codes), strict=True):
            array[:, :count] = values
            model.set_tensor(index, array)
        model.invoke()
        return [model.get_tensor(index)[:count] for index in self.outputs]


def has_signature(content: bytes) -> bool:
    """Whether a LiteRT file names its inputs and outputs."""
    from ai_edge_litert import schema_py_generated as schema

    return bool(schema.Model.GetRootAs(content).SignatureDefsLength())


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
