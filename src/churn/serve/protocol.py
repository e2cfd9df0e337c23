"""What a request may contain: TensorFlow Serving's rules in Vertex AI's format.

A row is an object with exactly the bundle's inputs: numbers as JSON numbers, categories and `customer_key` as
strings. A category may be spelled in any way of `churn.data.spelling`: "true", "TRUE", "1" and "1.0" are one
level. But true, 1 and 1.0 without quotes are refused, because TensorFlow Serving takes nothing but strings
for a string input. A request that is accepted here is accepted by the same bundle on Vertex AI.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec.structs import astuple

from churn.bundle.bundle import Bundle
from churn.data.contract import CUSTOMER_KEY, MISSING_BELOW
from churn.serve.problems import EXPECTED, GREATEST, LISTED, rows_refused, shortened
from churn.serve.refused import JsonRow, RefusedError

MISSING: dict[str, Any] = {"number": MISSING_BELOW, "category": ""}  # the values that mean it to the graph
JSON_SCHEMAS: dict[str, dict[str, Any]] = {
    "number": {"type": "number", "minimum": -GREATEST, "maximum": GREATEST},
    "category": {"type": "string"},
}
UNREADABLE = (
    msgspec.DecodeError,
    UnicodeDecodeError,
    RecursionError,
)  # not JSON, not UTF-8, nested too deeply
MOST_ROWS = 10_000  # of a request whose rows may be empty; else the size of a request bounds them
MOST_WORDS = 2_000  # that are read without making new texts; to prepare 50,000 takes two seconds

RequestRows = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Fields:
    """The names of a bundle's inputs, in the order in which its model takes them."""

    numbers: tuple[str, ...]
    texts: tuple[str, ...]  # categories, then `customer_key`

    @classmethod
    def of(cls, bundle: Bundle) -> Fields:
        """From the facts of a bundle."""
        kinds = {kind: [i["input"] for i in bundle.facts["inputs"] if i["kind"] == kind] for kind in EXPECTED}
        return cls(tuple(kinds["number"]), (*kinds["category"], CUSTOMER_KEY))

    @property
    def kinds(self) -> dict[str, str]:
        """The kind of each input: "number" or "category"."""
        return dict.fromkeys(self.numbers, "number") | dict.fromkeys(self.texts, "category")


class Reader:
    """Reads the rows of a request: tuples of values in the order of `Fields.kinds`.

    msgspec parses and checks in one step. Only a request that it refuses is examined closely, so that the
    error names everything that is wrong. lenient: a field that is left out or null counts as missing.

    words: the categories that training knew. A request with no other ones is read without making new texts,
    which takes a quarter less to read, and half as long to turn into codes.
    """

    def __init__(self, fields: Fields, lenient: bool = False, words: Collection[str] = ()) -> None:
        self.fields, self.lenient = fields, lenient
        self.example: JsonRow | None = None  # a row that works, for messages
        self.defaults = {name: MISSING[kind] for name, kind in fields.kinds.items()}
        self.request = _request_of(fields, str)
        self.decode = msgspec.json.Decoder(self.request).decode
        known: Any = Literal[*words] if 0 < len(words) <= MOST_WORDS else str
        self.decode_known = msgspec.json.Decoder(_request_of(fields, known)).decode

    def __call__(self, body: bytes | bytearray) -> RequestRows:
        """The rows of a request body; raises `RefusedError`, which names every wrong field of every row."""
        if self.lenient:
            instances = _instances_of(body)
            if len(instances) > MOST_ROWS:
                raise RefusedError(413, "size", f"the request has more than {MOST_ROWS:,} rows: send fewer")
            return self.rows([self._fill(row) for row in instances])
        try:
            instances = self._decode(body).instances
        except UNREADABLE:
            return self.rows(_instances_of(body))
        return list(map(astuple, instances)) if instances else self.rows(_instances_of(body))

    def rows(self, instances: list[Any]) -> RequestRows:
        """The rows of a list of JSON objects; raises `RefusedError`, too."""
        try:
            request = msgspec.convert({"instances": instances}, self.request)
        except msgspec.ValidationError as error:
            raise rows_refused(instances, self.fields.kinds, self.example) from error
        return list(map(astuple, request.instances))

    def _decode(self, body: bytes | bytearray) -> Any:
        """The request; raises one of `UNREADABLE`."""
        try:
            return self.decode_known(body)
        except UNREADABLE:  # most likely a category that is new, or has another spelling
            return self.decode(body)

    def _fill(self, row: Any) -> Any:
        """The row with the value for "missing" in each field that is left out or null."""
        if not isinstance(row, dict):
            return row
        return self.defaults | {name: value for name, value in row.items() if value is not None}


def _request_of(fields: Fields, category: Any) -> Any:
    """The msgspec type of a request body, with the type of a category."""
    number = Annotated[float, msgspec.Meta(ge=-GREATEST, le=GREATEST)]
    types: dict[str, Any] = {"number": number, "category": category}
    names = {f"f{i}": name for i, name in enumerate(fields.kinds)}  # an input may be called "class"
    kinds = [str if name == CUSTOMER_KEY else types[kind] for name, kind in fields.kinds.items()]
    columns = list(zip(names, kinds, strict=True))
    row = msgspec.defstruct("Row", columns, forbid_unknown_fields=True, rename=names, gc=False)
    rows: Any = list[row]  # type: ignore[valid-type]
    body: list[Any] = [("instances", rows), ("parameters", Any, None)]
    return msgspec.defstruct("Request", body, forbid_unknown_fields=True)


def _instances_of(body: bytes | bytearray) -> list[Any]:
    """The list under "instances"; raises `RefusedError` if the body has none."""
    try:
        request = msgspec.json.decode(body)
    except UNREADABLE as error:
        raise RefusedError(400, "json", f"the body is not JSON: {shortened(str(error))}") from None
    if not isinstance(request, dict) or not isinstance(request.get("instances"), list):
        raise RefusedError(400, "request", 'the body must be {"instances": [row, ...]}')
    if unknown := request.keys() - {"instances", "parameters"}:
        names = ", ".join(map(shortened, sorted(unknown)[:LISTED]))
        raise RefusedError(400, "request", f"unknown name in the body: {names}")
    if not request["instances"]:
        raise RefusedError(400, "request", '"instances" is empty: send at least one row')
    instances: list[Any] = request["instances"]
    return instances
