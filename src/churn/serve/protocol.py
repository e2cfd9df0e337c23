"""What a request may contain, and what an error looks like: TensorFlow Serving's rules in Vertex AI's format.

A row is an object with exactly the bundle's inputs: numbers as JSON numbers, categories and `customer_key` as
strings. A category may be spelled in any way of `churn.data.spelling`: "true", "TRUE", "1" and "1.0" are one
level. But true, 1 and 1.0 without quotes are refused, because TensorFlow Serving takes nothing but strings
for a string input. A request that is accepted here is accepted by the same bundle on Vertex AI.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import Annotated, Any, Literal

import msgspec
from msgspec.structs import astuple

from churn.bundle.bundle import Bundle
from churn.data.contract import CUSTOMER_KEY, MISSING_BELOW
from churn.errors import did_you_mean

MISSING: dict[str, Any] = {"number": MISSING_BELOW, "category": ""}  # the values that mean it to the graph
GREATEST = 3.4028234663852886e38  # of float32
EXPECTED = {"number": "a number", "category": "a string"}
JSON_SCHEMAS: dict[str, dict[str, Any]] = {
    "number": {"type": "number", "minimum": -GREATEST, "maximum": GREATEST},
    "category": {"type": "string"},
}
UNREADABLE = (
    msgspec.DecodeError,
    UnicodeDecodeError,
    RecursionError,
)  # not JSON, not UTF-8, nested too deeply
LISTED = 20  # problems of a request that its error lists
MOST_ROWS = 10_000  # of a request whose rows may be empty; else the size of a request bounds them
EXAMINED = 1_000  # rows of a request in which problems are looked for
SHOWN = 60  # characters of a value or a name in an error
STATUS = {
    400: "FAILED_PRECONDITION",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    413: "INVALID_ARGUMENT",
    415: "INVALID_ARGUMENT",
    431: "INVALID_ARGUMENT",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}

JsonRow = dict[str, Any]
Problem = tuple[int, str, Callable[[], str], Callable[[], str]]  # the words are made only for those listed
RequestRows = list[tuple[Any, ...]]


class RefusedError(Exception):
    """A request that gets an error as its answer: code, reason (for metrics), message, details, headers."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: Iterable[JsonRow] = (),
        headers: Iterable[tuple[bytes, bytes]] = (),
    ) -> None:
        super().__init__(message)
        self.code, self.reason, self.message, self.details = code, reason, message, list(details)
        self.headers = list(headers)

    def body(self) -> bytes:
        """The error as JSON, in the format that Google's clients read."""
        error = {"code": self.code, "message": self.message, "status": STATUS[self.code]}
        return msgspec.json.encode({"error": error | ({"details": self.details} if self.details else {})})


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

    def __init__(self, fields: Fields, lenient: bool = False, words: Iterable[str] = ()) -> None:
        self.fields, self.lenient = fields, lenient
        self.example: JsonRow | None = None  # a row that works, for messages
        self.defaults = {name: MISSING[kind] for name, kind in fields.kinds.items()}
        self.request = _request_of(fields, str)
        self.decode = msgspec.json.Decoder(self.request).decode
        known: Any = Literal[*words] if words else str
        self.decode_known = msgspec.json.Decoder(_request_of(fields, known)).decode

    def __call__(self, body: bytes) -> RequestRows:
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
            raise _rows_refused(instances, self.fields.kinds, self.example) from error
        return list(map(astuple, request.instances))

    def _decode(self, body: bytes) -> Any:
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


def _instances_of(body: bytes) -> list[Any]:
    """The list under "instances"; raises `RefusedError` if the body has none."""
    try:
        request = msgspec.json.decode(body)
    except UNREADABLE as error:
        raise RefusedError(400, "json", f"the body is not JSON: {_shortened(str(error))}") from None
    if not isinstance(request, dict) or not isinstance(request.get("instances"), list):
        raise RefusedError(400, "request", 'the body must be {"instances": [row, ...]}')
    if unknown := request.keys() - {"instances", "parameters"}:
        names = ", ".join(map(_shortened, sorted(unknown)[:LISTED]))
        raise RefusedError(400, "request", f"unknown name in the body: {names}")
    if not request["instances"]:
        raise RefusedError(400, "request", '"instances" is empty: send at least one row')
    instances: list[Any] = request["instances"]
    return instances


def _rows_refused(instances: list[Any], kinds: dict[str, str], example: JsonRow | None) -> RefusedError:
    """The error that names row, field, value and the expected type, and shows a row that works.

    It lists the first problems only, and looks no further than `EXAMINED` rows: an error must not cost much
    more than the request.
    """
    examined = enumerate(instances[:EXAMINED])
    problems = chain.from_iterable(_row_problems(i, row, kinds) for i, row in examined)
    listed = [
        (row, _shortened(field), got(), expected()) for row, field, got, expected in islice(problems, LISTED)
    ]
    others = [row for row, *_ in problems]
    rows = len({row for row, *_ in listed} | set(others))
    of = f"{len(instances)}" if len(instances) <= EXAMINED else f"the first {EXAMINED} of {len(instances)}"
    lines = [f"row {row}, field {field!r}: {got}, expected {type_}" for row, field, got, type_ in listed]
    lines += [f"and {len(others)} more"] if others else []
    message = f"{rows} of {of} rows cannot be read. " + "; ".join(lines)
    if example:
        message += f". A row that works: {msgspec.json.encode(example).decode()}"
    violations = [
        {"field": f"instances[{row}].{field}", "description": f"{got}, expected {expected}"}
        for row, field, got, expected in listed
    ]
    detail = {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}
    return RefusedError(400, "rows", message, [detail])


def _row_problems(number: int, row: Any, kinds: dict[str, str]) -> Iterator[Problem]:
    """Row number, field, value and expected type of each wrong field of a row."""
    if not isinstance(row, dict):
        yield number, "", partial(_got, row), lambda: f"an object with the fields {', '.join(kinds)}"
        return
    for name, kind in kinds.items():
        expected = partial(EXPECTED.__getitem__, kind)
        if name not in row:
            yield number, name, lambda: "is missing", expected
        elif not _is_valid(kind, value := row[name]):
            yield number, name, partial(_got, value), partial(_expected, kind, value)
    for name in row.keys() - kinds.keys():
        yield number, name, partial(_got, row[name]), partial(_only_known, name, kinds)


def _only_known(name: str, kinds: dict[str, str]) -> str:
    return f"only the bundle's fields{did_you_mean(_shortened(name), kinds)}"


def _got(value: Any) -> str:
    """A value as JSON, shortened."""
    try:
        return f"got {_shortened(msgspec.json.encode(value).decode())}"
    except (RecursionError, OverflowError, ValueError):  # nested too deeply, or an integer of many digits
        return f"got a {type(value).__name__} that is no sensible value"


def _shortened(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def _expected(kind: str, value: Any) -> str:
    """The expected type, its limits, and how a truth value or a number that has to be a string is written."""
    if kind == "number" and isinstance(value, int | float) and not isinstance(value, bool):
        return f"{EXPECTED[kind]} from {-GREATEST:.7g} to {GREATEST:.7g}"
    if kind != "category" or not isinstance(value, int | float):
        return EXPECTED[kind]
    return (
        f"{EXPECTED[kind]}, {_shortened(msgspec.json.encode(msgspec.json.encode(value).decode()).decode())}"
    )


def _is_valid(kind: str, value: Any) -> bool:
    """Whether TensorFlow Serving would accept the value as a number (float32) or as a category."""
    if kind == "category":
        return isinstance(value, str)
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= GREATEST
