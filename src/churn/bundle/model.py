"""Give rows, get answers: a bundle's model, computed by LiteRT or, where that is asked for, by TensorFlow."""

from __future__ import annotations

import os
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from churn.backend import tensorflow
from churn.bundle.bundle import BATCH_ROWS, CODED, CODED_REASONS, Bundle
from churn.bundle.conformal import CERTAINTIES
from churn.config.serving import Runtime
from churn.data.coded import ArrowFeatures, to_matrices
from churn.errors import UserError

Outputs = dict[str, np.ndarray]
_CERTAINTIES = np.array(CERTAINTIES, object)


class Model:
    """A bundle as a function of rows. `threads` compute at the same time, where there are many rows.

    Raises `UserError` for a bundle that the runtime cannot compute.

    >>> Model(bundle).answer(features)["churn_probability"]
    """

    def __init__(self, bundle: Bundle, runtime: Runtime = Runtime.litert, threads: int = 1) -> None:
        self.bundle, self.runtime, self.threads = bundle, runtime, threads
        self.always_reasons = "reason_1" in bundle.facts.get("outputs", {})
        self._outputs = self._load(CODED)

    def __call__(self, numbers: np.ndarray, codes: np.ndarray, reasons: bool | None = None) -> Outputs:
        """Named outputs, each [n], from numbers [F, n] float32 and codes [C, n] int32, with texts as str.

        reasons: whether the answers have them; None: if this bundle's always do.
        """
        outputs = self._outputs(numbers, codes)
        if self.always_reasons if reasons is None else reasons:
            outputs = outputs | self._reasons(numbers, codes)
        return {name: self._in_words(name, values) for name, values in outputs.items()}

    def answer(self, rows: ArrowFeatures, reasons: bool | None = None) -> Outputs:
        """The same for rows of `churn.data.features`."""
        return self(*to_matrices(rows, self.bundle.schema, self.bundle.vocabulary), reasons)

    @property
    def gives_reasons(self) -> bool:
        """Whether the bundle has reasons for this runtime."""
        if self.runtime is Runtime.tensorflow:
            return CODED_REASONS in self.bundle.saved_model.signatures
        return self.bundle.light_file(CODED_REASONS).exists()

    def kinds(self) -> dict[str, str]:
        """The type of each output of a call: "number", "integer" or "text"."""
        kinds = self._outputs.kinds | (self._reasons.kinds if self.always_reasons else {})
        return {
            name: "text" if self._words(name) is not None else "integer" if kind.kind == "i" else "number"
            for name, kind in kinds.items()
        }

    @cached_property
    def _reasons(self) -> Any:
        return self._load(CODED_REASONS, rows=1)

    def _words(self, output: str) -> np.ndarray | None:
        """What the positions in an output stand for; None if it has no positions."""
        if output == "certainty":
            return _CERTAINTIES
        return self._features if output.startswith("reason_") else None

    @cached_property
    def _features(self) -> np.ndarray:
        return np.array(self.bundle.schema.features, object)

    def _in_words(self, output: str, values: np.ndarray) -> np.ndarray:
        words = self._words(output)
        return values if words is None else words[values]

    def _load(self, name: str, rows: int | None = None) -> Any:
        """A function of the bundle by its name, which takes so many rows at a time."""
        if self.runtime is Runtime.tensorflow:
            return _Signature(self.bundle, name, rows or BATCH_ROWS)
        file = self.bundle.light_file(name)
        if not file.exists():
            do = "serve.runtime=tensorflow, or score.runtime=tensorflow; or train it with export.light=true"
            raise UserError("the bundle has no light model for this", str(file), do)
        from churn.bundle.litert import SLICE, LiteRT

        return LiteRT(file, self.threads, rows or SLICE)


@lru_cache(maxsize=4)
def model_of(bundle: Bundle, runtime: Runtime = Runtime.litert) -> Model:
    """The bundle's model on all cores, loaded once; several threads may ask it."""
    return Model(bundle, runtime, threads=os.cpu_count() or 1)


class _Signature:
    """A signature of the SavedModel as a function of arrays."""

    def __init__(self, bundle: Bundle, name: str, rows: int) -> None:
        self.graph = bundle.saved_model  # it keeps the variables alive
        self.signature, self.rows = self.graph.signatures[name], rows
        specs = self.signature.structured_outputs
        self.kinds = {name: np.dtype(specs[name].dtype.as_numpy_dtype) for name in specs}

    def __call__(self, numbers: np.ndarray, codes: np.ndarray) -> Outputs:
        cuts = range(0, max(numbers.shape[1], 1), self.rows)
        parts = [self._call(numbers[:, i : i + self.rows], codes[:, i : i + self.rows]) for i in cuts]
        return {name: np.concatenate([part[name] for part in parts]) for name in self.kinds}

    def _call(self, numbers: np.ndarray, codes: np.ndarray) -> Outputs:
        constant = tensorflow().constant
        outputs = self.signature(numbers=constant(numbers), codes=constant(codes))
        return {name: tensor.numpy() for name, tensor in outputs.items()}
