"""The serving graph, the same in evaluation, export and serving: raw customer fields in, outputs out."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from churn.backend import tensorflow
from churn.bundle.background import Background
from churn.bundle.conformal import PredictionSets, as_text
from churn.bundle.intervals import Interval
from churn.bundle.reasons import Reasons
from churn.data.contract import CUSTOMER_KEY
from churn.data.dataset import Schema
from churn.data.infer.cells import missing_codes
from churn.data.spelling import level_steps
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
RESERVED = (CUSTOMER_KEY, "row_key", "self")  # keys of a row beside the inputs; the last one is Python's
LONGEST_NAME = 100  # characters of a tensor's name, before a hash that tells it from others
CERTAINTY = {"certainty": "stays, leaves, ambiguous (both are possible) or unusual (neither fits)"}


def input_names(schema: Schema) -> dict[str, str]:
    """For each feature the name of its tensor in the signature, which no other has.

    TensorFlow wants letters, digits and underscores; rows on Vertex AI have these names as keys; BigQuery,
    where its log lies, ignores case and takes 300 characters. A name that would not be clear ends in a hash
    of the column's name, so that it does not depend on the other columns.

    >>> input_names(Schema("left", ("yes",), numeric=("Call  Failure", "spend $"), categorical=("等级",)))
    {'Call  Failure': 'Call__Failure', 'spend $': 'spend_a5ceaa0f', '等级': 'f_33771717'}
    """
    plain = {column: _plain_name(column) for column in schema.features}
    times = Counter([*RESERVED, *(name.lower() for name in plain.values())])
    return {
        column: name
        if times[name.lower()] == 1 and name != "f_"
        else f"{name.rstrip('_')}_{_short_hash(column)}"
        for column, name in plain.items()
    }


def _plain_name(column: str) -> str:
    """The letters and digits of a name, without accents; "_" for all else, and "f_" if none are left."""
    ascii_only = unicodedata.normalize("NFKD", column).encode("ascii", "ignore").decode()
    name = re.sub(r"\W", "_", ascii_only)[:LONGEST_NAME]
    if not name.strip("_"):
        return "f_"
    return name if name[0].isalpha() else f"f_{name}"


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


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
        numbers = self._known(numbers)
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
            outputs["certainty"] = self.prediction_sets(probability, unseen)
        return outputs

    def with_reasons(self, fields: dict[str, Any]) -> dict[str, Any]:
        """The outputs of a call, and those of `Reasons`."""
        transpose, (numbers, codes) = tensorflow().transpose, self._matrices(fields)
        reasons = self._reasons(transpose(self._known(numbers)), transpose(codes))
        return _with_strings(self.from_codes(numbers, codes), fields) | reasons

    def reasons_from_codes(self, numbers: Any, codes: Any) -> dict[str, Any]:
        """The outputs of `Reasons` for one row, [F, 1] and [C, 1]; a reason is a column's position."""
        transpose = tensorflow().transpose
        return self._reasons.of_one(transpose(self._known(numbers)), transpose(codes))

    @cached_property
    def _reasons(self) -> Reasons:
        assert self.background
        return Reasons(self._terms, self._probability, self.schema.features, self.background)

    def _known(self, numbers: Any) -> Any:
        """The numbers with NaN in place of those, such as -99, that mean "missing"."""
        tf = tensorflow()
        for number in missing_codes(self.schema):
            numbers = tf.where(numbers == number, np.float32(np.nan), numbers)
        return numbers

    def _terms(self, numbers: Any, codes: Any) -> Any:
        """[n, F + C, S] what each column adds to sums, from numbers [n, F] float32 and codes [n, C] int32."""
        transpose = tensorflow().transpose
        return self.model.terms(transpose(numbers), transpose(codes))

    def _probability(self, sums: Any) -> Any:
        """[n] probabilities, from the sums of all columns' terms [n, S]."""
        return tensorflow().sigmoid(self.model.log_odds(sums) / self.temperature)

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
        return stack(self.schema.numeric, tf.float32), self._codes(categories)

    def _codes(self, categories: Any) -> Any:
        """int32 codes of texts; one that is unknown as it is gets its one spelling, as in training."""
        tf = tensorflow()
        codes = self.model.encoder.codes(categories)
        unknown = tf.where(codes == 0)
        texts = tf.gather_nd(categories, unknown)
        for pattern, replacement in level_steps(self.schema):
            texts = tf.strings.regex_replace(texts, pattern, replacement)
        return tf.tensor_scatter_nd_update(codes, unknown, self.model.encoder.codes(texts))

    def signature(self) -> dict[str, Any]:
        """The named inputs: numbers float32, categories and the key string, all [n]."""
        tf, names = tensorflow(), input_names(self.schema)
        kinds = dict.fromkeys(self.schema.numeric, tf.float32) | dict.fromkeys(
            self.schema.categorical, tf.string
        )
        specs = {names[column]: tf.TensorSpec([None], kind, names[column]) for column, kind in kinds.items()}
        return specs | {CUSTOMER_KEY: tf.TensorSpec([None], tf.string, CUSTOMER_KEY)}

    def coded_signature(self, rows: int | None = None) -> list[Any]:
        """The inputs of `from_codes` for any number of rows, or for so many."""
        tf, schema = tensorflow(), self.schema
        numbers = tf.TensorSpec([len(schema.numeric), rows], tf.float32, "numbers")
        return [numbers, tf.TensorSpec([len(schema.categorical), rows], tf.int32, "codes")]


def _with_strings(outputs: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """The outputs with certainty as text, and with the customer's key."""
    texts = {name: as_text(outputs[name]) for name in CERTAINTY if name in outputs}
    return outputs | texts | {CUSTOMER_KEY: tensorflow().identity(fields[CUSTOMER_KEY])}
