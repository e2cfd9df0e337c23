"""What is wrong with the rows of a request, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, islice
from typing import Any

import msgspec

from churn.errors import did_you_mean
from churn.serve.refused import JsonRow, RefusedError

GREATEST = 3.4028234663852886e38  # of float32
EXPECTED = {"number": "a number", "category": "a string"}
LISTED = 20  # problems of a request that its error lists
EXAMINED = 1_000  # rows of a request in which problems are looked for
SHOWN = 60  # characters of a value or a name in an error
Problem = tuple[int, str, Callable[[], str], Callable[[], str]]  # the words are made only for those listed


def rows_refused(instances: list[Any], kinds: dict[str, str], example: JsonRow | None) -> RefusedError:
    """The error that names row, field, value and the expected type, and shows a row that works.

    It lists the first problems only, and looks no further than `EXAMINED` rows: an error must not cost much
    more than the request.
    """
    examined = enumerate(instances[:EXAMINED])
    problems = chain.from_iterable(_row_problems(i, row, kinds) for i, row in examined)
    listed = [
        (row, shortened(field), got(), expected()) for row, field, got, expected in islice(problems, LISTED)
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
        # its value is not shown: the field may be personal (`data.personal`), and clients log their errors
        yield number, name, lambda: "is unknown", partial(_only_known, name, kinds)


def _only_known(name: str, kinds: dict[str, str]) -> str:
    return f"only the bundle's fields{did_you_mean(shortened(name), kinds)}"


def _got(value: Any) -> str:
    """A value as JSON, shortened."""
    try:
        return f"got {shortened(msgspec.json.encode(value).decode())}"
    except (RecursionError, OverflowError, ValueError):  # nested too deeply, or an integer of many digits
        return f"got a {type(value).__name__} that is no sensible value"


def shortened(text: str) -> str:
    """The text, or its beginning."""
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def _expected(kind: str, value: Any) -> str:
    """The expected type, its limits, and how a truth value or a number that has to be a string is written."""
    if kind == "number" and isinstance(value, int | float) and not isinstance(value, bool):
        return f"{EXPECTED[kind]} from {-GREATEST:.7g} to {GREATEST:.7g}"
    if kind != "category" or not isinstance(value, int | float):
        return EXPECTED[kind]
    return f"{EXPECTED[kind]}, {shortened(msgspec.json.encode(msgspec.json.encode(value).decode()).decode())}"


def _is_valid(kind: str, value: Any) -> bool:
    """Whether TensorFlow Serving would accept the value as a number (float32) or as a category."""
    if kind == "category":
        return isinstance(value, str)
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= GREATEST
