"""GoogleSQL that makes a model's inputs from a raw table, cell by cell as `churn.data` reads it.

The type of each column decides: a truth value has its one spelling (1 or 0), a number in text is read
with the decimal mark and the thousands separator of the schema, NaN is missing, and a cell that training
would refuse ends the query.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from math import isfinite

from churn.bundle.bundle import Bundle
from churn.data.contract import CUSTOMER_KEY, MISSING_BELOW
from churn.data.dataset import Schema
from churn.data.infer.cells import POINT_ZERO as TEXT_POINT_ZERO
from churn.data.infer.cells import SHORT_SCIENTIFIC
from churn.data.spelling import NULL_MARKS
from churn.errors import UserError, user_error_of_many

NAMES = {"BOOLEAN": "BOOL", "INTEGER": "INT64", "FLOAT": "FLOAT64"}  # BigQuery has two for some types
NUMBERS = ("INT64", "FLOAT64", "NUMERIC", "BIGNUMERIC")
READABLE = (*NUMBERS, "BOOL", "STRING", "DATE")
POINT_ZERO = r"^(-?[0-9]+)\.0$"  # a number of BigQuery's loses its ".0", as in `as_written`
TOO_LARGE = -MISSING_BELOW


def input_columns(bundle: Bundle, types: Mapping[str, str]) -> list[str]:
    """`EXPRESSION AS name` for each input and the customer; types: of the table's columns, as BigQuery says.

    Raises one `UserError` for all columns that are missing or whose type has no such spelling.
    """
    kinds = {name: NAMES.get(kind, kind) for name, kind in types.items()}
    _check_columns(bundle, kinds)
    columns = []
    for field in bundle.facts["inputs"]:
        column, schema = field["column"], bundle.schema
        make = _number if field["kind"] == "number" else _category
        columns.append(f"{make(column, kinds[column], schema)} AS `{field['input']}`")
    return [*columns, f"{customer_key(bundle, kinds)} AS `{CUSTOMER_KEY}`"]


def customer_key(bundle: Bundle, types: Mapping[str, str]) -> str:
    """The customer of a row as `to_ids` writes it; '' without a column of ids."""
    name = bundle.schema.id
    if not name:
        return "''"
    text = _text(name, NAMES.get(types[name], types[name]))
    short = f"REGEXP_CONTAINS({text}, r'^(?:{SHORT_SCIENTIFIC})$')"
    return (
        f"CASE WHEN {_is_listed(text, NULL_MARKS)} THEN '' "
        f"WHEN {short} THEN CAST(CAST(CAST({text} AS FLOAT64) AS INT64) AS STRING) "
        f"ELSE REGEXP_REPLACE({text}, r'{TEXT_POINT_ZERO}', r'\\1') END"
    )


def unseen_cells(bundle: Bundle, table: str, most: int) -> str:
    """GoogleSQL that counts cells of a table of instances: `input`, `cell` as text, `cells`.

    Of a category it gives the commonest levels, of a number the commonest values outside the range in
    training, at most `most` of each; for the input '' all rows.
    """
    parts = [f"SELECT '' AS input, '' AS cell, COUNT(*) AS cells FROM `{table}`"]
    for field in bundle.facts["inputs"]:
        name, outside = field["input"], ""
        if field["kind"] == "number":
            known = bundle.profile["numeric"][field["column"]]
            if known["lowest"] is None:
                continue
            outside = f"WHERE NOT `{name}` BETWEEN {known['lowest']} AND {known['highest']} "
        parts.append(
            f"(SELECT '{name}' AS input, CAST(`{name}` AS STRING) AS cell, COUNT(*) AS cells FROM `{table}` "
            f"{outside}GROUP BY cell ORDER BY cells DESC LIMIT {most})"
        )
    return "SELECT input, cell, cells FROM (" + "\nUNION ALL\n".join(parts) + ")"


def _check_columns(bundle: Bundle, kinds: Mapping[str, str]) -> None:
    """Raise `UserError` for columns that are absent, or of a type that is read otherwise in training."""
    names = [field["column"] for field in bundle.facts["inputs"]] + [*filter(None, [bundle.schema.id])]
    problems = [
        UserError(f"column '{name}' is missing")
        if name not in kinds
        else UserError(
            f"column '{name}' is {kinds[name]}", do="score a file: input=FILE, or CAST it in a view"
        )
        for name in names
        if kinds.get(name) not in READABLE
    ]
    if problems:
        raise user_error_of_many("the table can't be read as in training", problems)


def _text(column: str, kind: str) -> str:
    """A cell as `to_text` writes it; null for null and NaN."""
    if kind == "BOOL":
        return f"CASE WHEN `{column}` THEN '1' WHEN NOT `{column}` THEN '0' END"
    text = f"TRIM(CAST(`{column}` AS STRING))"
    if kind in NUMBERS:
        text = f"REGEXP_REPLACE({text}, r'{POINT_ZERO}', r'\\1')"
    return f"NULLIF({text}, 'NaN')" if kind == "FLOAT64" else text


def _category(column: str, kind: str, schema: Schema) -> str:
    """A category as text; '' where it is missing: JSON has no null."""
    text = _text(column, kind)
    return f"CASE WHEN {_is_listed(text, [*schema.missing, *NULL_MARKS])} THEN '' ELSE {text} END"


def _number(column: str, kind: str, schema: Schema) -> str:
    """A number as `to_numbers` reads it: `MISSING_BELOW` if it is missing, an error if it is refused."""
    words = sorted({*schema.missing, *schema.missing_numbers, *NULL_MARKS})
    if kind in NUMBERS:
        value, refused = f"CAST(`{column}` AS FLOAT64)", ""
        absent = _is_missing_number(column, kind, words)
    else:
        text = _text(column, kind)
        if kind == "STRING":  # a truth value is a number, as in `to_numbers`
            text = f"CASE LOWER({text}) WHEN 'true' THEN '1' WHEN 'false' THEN '0' ELSE {text} END"
        value, absent = f"CAST({_plain_number(text, schema)} AS FLOAT64)", _is_listed(text, words)
        pattern = _quote(f"^(?:{number_pattern(schema.decimal, schema.thousands)})$")
        refused = f"WHEN NOT REGEXP_CONTAINS({text}, {pattern}) THEN {_error(column, 'not a number')} "
    refused += f"WHEN ABS({value}) >= {TOO_LARGE} THEN {_error(column, 'infinite, or 1e30 and more')}"
    return f"CASE WHEN {absent} THEN {MISSING_BELOW} {refused} ELSE {value} END"


def _is_missing_number(column: str, kind: str, words: Iterable[str]) -> str:
    """The condition that a cell of a type of numbers is null, NaN or one of the numbers for "missing"."""
    numbers = {float(word) for word in words if re.fullmatch(number_pattern(), word)}
    codes = sorted(filter(isfinite, numbers))  # an infinite number is refused, whatever it means as a text
    conditions = [f"`{column}` IS NULL"]
    if kind == "FLOAT64":
        conditions.append(f"IS_NAN(`{column}`)")
    if codes:
        conditions.append(f"CAST(`{column}` AS FLOAT64) IN ({', '.join(map(str, codes))})")
    return " OR ".join(conditions)


def _is_listed(text: str, words: Iterable[str]) -> str:
    """The condition that a text is blank or one of the words for "missing"."""
    spelled = dict.fromkeys(["", *(re.sub(POINT_ZERO, r"\1", word) for word in words)])
    return f"COALESCE({text}, '') IN ({', '.join(map(_quote, spelled))})"


def _error(column: str, reason: str) -> str:
    """An expression that ends the query: training would refuse the cell, too."""
    return f"ERROR({_quote(f'column {column}: {reason}')})"


def number_pattern(decimal: str = ".", thousands: str | None = None) -> str:
    """The texts that `parse_numbers` takes for numbers, as a regular expression of RE2."""
    point, digits = re.escape(decimal), "[0-9]+"
    if thousands:
        digits = rf"(?:[0-9]+|[0-9]{{1,3}}(?:{re.escape(thousands)}[0-9]{{3}})+)"
    return rf"[+-]?(?:{digits}{point}?[0-9]*|{point}[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?(?i:inf(?:inity)?)"


def _plain_number(text: str, schema: Schema) -> str:
    """The text with a point as its decimal mark, and no thousands separator."""
    if schema.thousands:
        text = f"REPLACE({text}, {_quote(schema.thousands)}, '')"
    return text if schema.decimal == "." else f"REPLACE({text}, {_quote(schema.decimal)}, '.')"


def _quote(text: str) -> str:
    """A text as a literal of GoogleSQL."""
    return "'" + re.sub(r"(['\\])", r"\\\1", text).replace("\n", "\\n") + "'"
