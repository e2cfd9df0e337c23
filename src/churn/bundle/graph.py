"""The one graph that is evaluated, exported and served: raw customer fields in, answer out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from churn.backend import tensorflow
from churn.bundle.conformal import PredictionSets, as_text
from churn.bundle.intervals import Interval
from churn.bundle.reasons import Background, Reasons
from churn.data.dataset import CUSTOMER_KEY, Schema
from churn.errors import UserError
from churn.network import layers
from churn.network.encoding import Encoder
from churn.network.ensemble import LogitMean

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
    """For each feature the name that its tensor has in the signature.

    TensorFlow wants letters, digits and underscores, and Vertex AI rows are keyed by these names. Raises
    `UserError` where two columns would share one.
    """
    names: dict[str, str] = {}
    for column in schema.features:
        name = re.sub(r"\W", "_", column, flags=re.ASCII)
        name = f"f_{name}" if not name[:1].isalpha() else name
        taken = next((other for other, used in names.items() if used == name), None)
        if taken or name == CUSTOMER_KEY:
            raise UserError(
                f"the columns {column!r} and {taken or CUSTOMER_KEY!r} would both be called {name!r} in the bundle",
                do="rename one of them in the table",
            )
        names[column] = name
    return names


@dataclass(frozen=True)
class ServingGraph:
    """Encoder, network, pool, temperature and threshold as one function of named raw tensors."""

    schema: Schema
    encoder: Encoder
    network: Any
    pool: LogitMean
    temperature: float
    threshold: float
    background: Background | None = None  # its categories as codes; None: no reasons
    interval: Interval | None = None
    certainty: PredictionSets | None = None

    def outputs(self) -> dict[str, str]:
        """Names and meanings of what a call gives."""
        return OUTPUTS | (INTERVAL if self.interval else {}) | (CERTAINTY if self.certainty else {})

    def __call__(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Named outputs (see `outputs`), each [n], of named inputs, each [n]."""
        return _with_strings(self.of_codes(*self.matrices(fields)), fields)

    def of_codes(self, numbers: Any, codes: Any) -> dict[str, Any]:
        """The same but the key, of numbers [F, n] float32 and codes [C, n] int32 (see `Encoder`).

        Certainty is its place in `churn.bundle.conformal.CERTAINTIES`.
        """
        tf = tensorflow()
        inputs, unseen = self.encoder.read(numbers, codes)
        log_odds = self.log_odds(inputs)
        probability = tf.sigmoid(log_odds)
        found: dict[str, Any] = {
            "churn_probability": probability,
            "churn": tf.cast(probability >= self.threshold, tf.int32),
            "unseen_inputs": unseen,
        }
        if self.interval:
            found |= zip(INTERVAL, self.interval(inputs, log_odds, unseen), strict=True)
        if self.certainty:
            found["certainty"] = self.certainty(probability)
        return found

    def with_reasons(self, fields: dict[str, Any]) -> dict[str, Any]:
        """The same outputs and those of `Reasons`."""
        return _with_strings(self.explained(*self.matrices(fields)), fields)

    def explained(self, numbers: Any, codes: Any) -> dict[str, Any]:
        """The outputs of `of_codes` and those of `Reasons`."""
        assert self.background
        transpose = tensorflow().transpose
        reasons = Reasons(self.probability, self.schema.features, self.background)
        return self.of_codes(numbers, codes) | reasons(transpose(numbers), transpose(codes))

    def probability(self, numbers: Any, codes: Any) -> Any:
        """[n] of numbers [n, F] float32 and codes [n, C] int32."""
        tf = tensorflow()
        inputs = self.encoder.of_codes(tf.transpose(numbers), tf.transpose(codes))
        return tf.sigmoid(self.log_odds(inputs))

    def log_odds(self, inputs: Any) -> Any:
        """[n] of encoded inputs [n, D]."""
        return self.pool.tensor(layers.network_logits(self.network, inputs)) / self.temperature

    def matrices(self, fields: dict[str, Any]) -> tuple[Any, Any]:
        """Numbers [F, n] float32 and codes [C, n] int32 of named inputs, each [n]."""
        tf, names = tensorflow(), input_names(self.schema)
        rows = tf.shape(fields[CUSTOMER_KEY])[0]

        def matrix(columns: tuple[str, ...], dtype: Any) -> Any:
            if not columns:
                return tf.zeros([0, rows], dtype) if dtype != tf.string else tf.fill([0, rows], "")
            return tf.stack([fields[names[column]] for column in columns])

        categories = matrix(self.schema.categorical, tf.string)
        return matrix(self.schema.numeric, tf.float32), self.encoder.codes(categories)

    def signature(self) -> dict[str, Any]:
        """The inputs: numbers float32, categories and the key string, all [n]."""
        tf, names = tensorflow(), input_names(self.schema)
        kinds = dict.fromkeys(self.schema.numeric, tf.float32) | dict.fromkeys(
            self.schema.categorical, tf.string
        )
        specs = {names[column]: tf.TensorSpec([None], kind, names[column]) for column, kind in kinds.items()}
        return specs | {CUSTOMER_KEY: tf.TensorSpec([None], tf.string, CUSTOMER_KEY)}

    def coded_signature(self) -> list[Any]:
        """The inputs of `of_codes`."""
        tf, schema = tensorflow(), self.schema
        numbers = tf.TensorSpec([len(schema.numeric), None], tf.float32, "numbers")
        return [numbers, tf.TensorSpec([len(schema.categorical), None], tf.int32, "codes")]


def _with_strings(found: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """Outputs of codes as those of named inputs: certainty in words, and the customer's key as it came."""
    words = {name: as_text(found[name]) for name in CERTAINTY if name in found}
    return found | words | {CUSTOMER_KEY: tensorflow().identity(fields[CUSTOMER_KEY])}
