"""The serving graph, the same in evaluation, export and serving: raw customer fields in, outputs out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from churn.backend import tensorflow
from churn.bundle.conformal import PredictionSets, as_text
from churn.bundle.intervals import Interval
from churn.bundle.reasons import Background, Reasons
from churn.data.contract import CUSTOMER_KEY
from churn.data.dataset import Schema
from churn.errors import UserError
from churn.network.model import Model

OUTPUTS = {
    "churn_probability": "probability that the customer leaves",
    "churn": "1 if the probability reaches the threshold, else 0",
    "unseen_inputs": "fields unlike any in training: unknown category, out of range, newly missing",
    CUSTOMER_KEY: "the input of the same name, unchanged",
}
INTERVAL = {
    "churn_probability_low": "lower end of a 90 % interval for the true probability",
    "churn_probability_high": "its upper end",
}
CERTAINTY = {"certainty": "stays, leaves, ambiguous (both are possible) or unusual (neither fits)"}


def input_names(schema: Schema) -> dict[str, str]:
    """For each feature the name of its tensor in the signature.

    TensorFlow wants letters, digits and underscores; rows on Vertex AI have these names as keys. Raises
    `UserError` where two columns would share one.

    >>> input_names(Schema("left", ("yes",), numeric=("Call  Failure",), categorical=()))
    {'Call  Failure': 'Call__Failure'}
    """
    columns = {CUSTOMER_KEY: CUSTOMER_KEY}  # by the name of the tensor
    for column in schema.features:
        name = re.sub(r"\W", "_", column, flags=re.ASCII)
        name = f"f_{name}" if not name[:1].isalpha() else name
        if name in columns:
            raise UserError(
                f"the columns {column!r} and {columns[name]!r} would both be called {name!r} in the bundle",
                do="rename one of them in the table",
            )
        columns[name] = column
    return {column: name for name, column in columns.items() if name != CUSTOMER_KEY}


@dataclass(frozen=True)
class ServingGraph:
    """Model, temperature and threshold as one function of named raw tensors."""

    schema: Schema
    model: Model
    temperature: float
    threshold: float
    background: Background | None = None  # its categories as codes; None: no reasons
    interval: Interval | None = None
    prediction_sets: PredictionSets | None = None

    def outputs(self) -> dict[str, str]:
        """Names and meanings of the outputs."""
        return OUTPUTS | (INTERVAL if self.interval else {}) | (CERTAINTY if self.prediction_sets else {})

    def __call__(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Named outputs (see `outputs`), each [n], from named inputs, each [n]."""
        return _with_strings(self.from_codes(*self._matrices(fields)), fields)

    def from_codes(self, numbers: Any, codes: Any) -> dict[str, Any]:
        """The outputs without the key, from numbers [F, n] float32 and codes [C, n] int32 (see `Encoder`).

        Certainty is a position in `churn.bundle.conformal.CERTAINTIES`.
        """
        tf = tensorflow()
        log_odds, uncertainty = self._log_odds(numbers, codes)
        unseen = self.model.encoder.count_unseen(numbers, codes)
        probability = tf.sigmoid(log_odds)
        outputs: dict[str, Any] = {
            "churn_probability": probability,
            "churn": tf.cast(probability >= self.threshold, tf.int32),
            "unseen_inputs": unseen,
        }
        if self.interval:
            outputs |= zip(INTERVAL, self.interval(log_odds, uncertainty, unseen), strict=True)
        if self.prediction_sets:
            outputs["certainty"] = self.prediction_sets(probability)
        return outputs

    def with_reasons(self, fields: dict[str, Any]) -> dict[str, Any]:
        """The outputs of a call, and those of `Reasons`."""
        return _with_strings(self.from_codes_with_reasons(*self._matrices(fields)), fields)

    def from_codes_with_reasons(self, numbers: Any, codes: Any) -> dict[str, Any]:
        """The outputs of `from_codes`, and those of `Reasons`."""
        assert self.background
        transpose = tensorflow().transpose
        reasons = Reasons(self._probability, self.schema.features, self.background)
        return self.from_codes(numbers, codes) | reasons(transpose(numbers), transpose(codes))

    def _probability(self, numbers: Any, codes: Any) -> Any:
        """[n] probabilities, from numbers [n, F] float32 and codes [n, C] int32."""
        tf = tensorflow()
        return tf.sigmoid(self._log_odds(tf.transpose(numbers), tf.transpose(codes))[0])

    def _log_odds(self, numbers: Any, codes: Any) -> tuple[Any, Any]:
        """[n] calibrated log-odds and [n] the trees' uncertainty, from numbers [F, n] and codes [C, n]."""
        log_odds, uncertainty = self.model(numbers, codes)
        return log_odds / self.temperature, uncertainty

    def _matrices(self, fields: dict[str, Any]) -> tuple[Any, Any]:
        """Numbers [F, n] float32 and codes [C, n] int32, from named inputs, each [n]."""
        tf, names = tensorflow(), input_names(self.schema)
        rows = tf.shape(fields[CUSTOMER_KEY])[0]

        def stack(columns: tuple[str, ...], dtype: Any) -> Any:
            if not columns:
                return tf.zeros([0, rows], dtype) if dtype != tf.string else tf.fill([0, rows], "")
            return tf.stack([fields[names[column]] for column in columns])

        categories = stack(self.schema.categorical, tf.string)
        return stack(self.schema.numeric, tf.float32), self.model.encoder.codes(categories)

    def signature(self) -> dict[str, Any]:
        """The named inputs: numbers float32, categories and the key string, all [n]."""
        tf, names = tensorflow(), input_names(self.schema)
        kinds = dict.fromkeys(self.schema.numeric, tf.float32) | dict.fromkeys(
            self.schema.categorical, tf.string
        )
        specs = {names[column]: tf.TensorSpec([None], kind, names[column]) for column, kind in kinds.items()}
        return specs | {CUSTOMER_KEY: tf.TensorSpec([None], tf.string, CUSTOMER_KEY)}

    def coded_signature(self) -> list[Any]:
        """The inputs of `from_codes`."""
        tf, schema = tensorflow(), self.schema
        numbers = tf.TensorSpec([len(schema.numeric), None], tf.float32, "numbers")
        return [numbers, tf.TensorSpec([len(schema.categorical), None], tf.int32, "codes")]


def _with_strings(outputs: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """The outputs with certainty as text, and with the customer's key."""
    texts = {name: as_text(outputs[name]) for name in CERTAINTY if name in outputs}
    return outputs | texts | {CUSTOMER_KEY: tensorflow().identity(fields[CUSTOMER_KEY])}
