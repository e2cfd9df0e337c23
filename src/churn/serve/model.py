"""The bundle as the server runs it: many rows at once, with little overhead per row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import chain, islice
from typing import Any

import msgspec
import numpy as np

from churn.bundle.bundle import Bundle
from churn.bundle.model import Model
from churn.bundle.unseen import UnseenCells
from churn.data.contract import CUSTOMER_KEY, MISSING_BELOW
from churn.data.infer.cells import missing_codes
from churn.data.spelling import apply_steps, level_steps
from churn.serve.protocol import Fields, Reader, RequestRows
from churn.serve.refused import JsonRow

WARM_UP_ROWS = (1, 32)
KNOWN_CUSTOMERS = 100_000  # with unseen cells; what others share is counted, and not shown


class _Codes(dict[str, int]):
    """The code of each text; a text that is not in the vocabulary is first spelled as in training."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle.vocabulary)
        self.steps = level_steps(bundle.schema)

    def __missing__(self, text: str) -> int:
        return self.get(apply_steps(text, self.steps), 0)


class ServedModel:
    """The bundle as a function of the rows of requests, called once for all that wait."""

    def __init__(self, model: Model, lenient: bool = False) -> None:
        self.model, self.bundle = model, model.bundle
        self.fields = Fields.of(self.bundle)
        self.read = Reader(self.fields, lenient, self.bundle.vocabulary)
        self.codes, self.missing_codes = _Codes(self.bundle), missing_codes(self.bundle.schema)
        column = {field["input"]: field["column"] for field in self.bundle.facts["inputs"]}
        self.columns = [column[name] for name in self.fields.kinds if name in column]
        self.outputs = model.kinds()
        self.prediction = msgspec.defstruct("Prediction", [*self.outputs, CUSTOMER_KEY], gc=False)
        self.unseen, self.known = UnseenCells(self.bundle), set[int]()
        self._warm_up()
        self.read.example = self.example
        self.unseen = UnseenCells(self.bundle)  # without the rows of the warm-up

    def __call__(self, requests: list[RequestRows]) -> tuple[list[list[Any]], int]:
        """The predictions of each request, one per row, and the number of missing fields in all rows.

        The graph is called once.
        """
        columns = list(zip(*chain.from_iterable(requests), strict=True))
        split = len(self.fields.numbers)
        texts, keys = columns[split:-1], columns[-1]
        numbers = _matrix(columns[:split], np.float32, len(keys))
        codes = _matrix([map(self.codes.__getitem__, column) for column in texts], np.int32, len(keys))
        outputs = {name: values.tolist() for name, values in self.model(numbers, codes).items()}
        self._count_unseen(outputs["unseen_inputs"], numbers, texts, keys)
        predictions = list(map(self.prediction, *outputs.values(), keys))
        missing = self._count_missing(numbers, codes, texts)
        if len(requests) == len(predictions):  # the usual case: one row each
            return [[prediction] for prediction in predictions], missing
        remaining = iter(predictions)
        return [list(islice(remaining, len(rows))) for rows in requests], missing

    def _count_unseen(
        self, counts: list[int], numbers: np.ndarray, texts: list[tuple[str, ...]], keys: Sequence[str]
    ) -> None:
        """Count the cells of the rows in which the model found some that are unlike any in training."""
        self.unseen.add_rows(len(counts))
        if not any(counts):
            return
        first: list[int] = []
        repeated: list[int] = []
        for i, number in enumerate(counts):
            if number:
                (first if self._is_first(keys[i]) else repeated).append(i)
        for rows, again in ((first, False), (repeated, True)):
            if rows:
                self._count_cells(rows, again, numbers, texts)

    def _is_first(self, key: str) -> bool:
        """Whether this is the first row of a customer with unseen cells; so is every one without a name."""
        if not key:
            return True
        one = hash(key)  # not the text: a stranger's may be as long as a request
        if one in self.known or len(self.known) >= KNOWN_CUSTOMERS:
            return False
        self.known.add(one)
        return True

    def _count_cells(
        self, rows: list[int], again: bool, numbers: np.ndarray, texts: list[tuple[str, ...]]
    ) -> None:
        for name, values in zip(self.columns, numbers[:, rows], strict=False):
            self.unseen.add_numbers(name, values, again=again)
        for name, column in zip(self.columns[len(self.fields.numbers) :], texts, strict=True):
            self.unseen.add_texts(name, Counter([column[i] for i in rows]), again)

    def _count_missing(self, numbers: np.ndarray, codes: np.ndarray, texts: list[tuple[str, ...]]) -> int:
        """Fields of a batch that mean "missing"."""
        count = np.count_nonzero(numbers <= MISSING_BELOW)
        if len(self.missing_codes):
            count += np.count_nonzero(np.isin(numbers, self.missing_codes))
        blank = self.bundle.vocabulary.get("")
        if blank is None:  # training saw no missing category
            return int(count) + sum([column.count("") for column in texts])
        return int(count + np.count_nonzero(codes == blank))

    def _warm_up(self) -> None:
        for count in WARM_UP_ROWS:
            self([self.read.rows([self.example] * count)])

    @cached_property
    def example(self) -> JsonRow:
        """A typical row: median numbers and most frequent categories of the training rows."""
        profile, row = self.bundle.profile, dict(self.read.defaults)
        for field in self.bundle.facts["inputs"]:
            if numbers := profile.get("numeric", {}).get(field["column"], {}).get("edges"):
                row[field["input"]] = numbers[(len(numbers) - 1) // 2]
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


def _matrix(columns: Sequence[Iterable[Any]], kind: type, rows: int) -> np.ndarray:
    """[k, rows] the columns in an array."""
    return np.fromiter(chain.from_iterable(columns), kind, len(columns) * rows).reshape(-1, rows)
