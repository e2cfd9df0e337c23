"""The role of one column, inferred from its name and its values."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import pandas as pd

from churn.config.data import DataConfig
from churn.data.contract import FEW_CUSTOMERS
from churn.data.customers import count_customers
from churn.data.dataset import Finding
from churn.data.infer.cells import (
    MISSING_WORDS,
    are_dates,
    is_missing_code,
    is_typed_number,
    parse_numbers,
    to_text,
)
from churn.errors import count, shell_override, shell_setting

MANY_VALUES = 20  # a column with more distinct values may name rows or people instead of describing them
COUNTERS = {"rownumber", "rownum", "rownames", "rowname", "rowid", "row", "index", "unnamed0", "indexlevel0"}
PEOPLE = {"surname", "name", "firstname", "lastname", "fullname", "customername", "email", "emailaddress"}
PEOPLE |= {"phone", "phonenumber", "telephone", "mobile", "mobilenumber", "address", "ipaddress"}
SHORTEST_PHONE = 10_000  # numbers below it name nobody
IDS = re.compile(  # names of a customer's id: who it is, alone or with a word for an id
    r"(customer|client|user|account|subscriber|member|cust|acct|policy|household)(id|no|nr|num|number|key|ref|uuid|guid)?"
    r"|(employee|emp|staff|worker|person|patient|student|player|guest|donor|sub|subs|subscription|contract|card"
    r"|loyalty|party|contact|shopper|buyer|borrower|holder|insured|consumer|visitor|mem|usr|clnt)"
    r"(id|no|nr|num|number|key|ref|uuid|guid)"
    r"|(kunden?|kd|vertrags|mitglieds?|konto|versicherten|klant|cliente?|abonne|asiakas)(id|nr|no|num|nummer|numero)"
    r"|(id|num|numero|codigo|n)(cliente?|abonne)|id|uid|uuid|guid|msno|msisdn"
)
PREFIXES = {"crm", "dim", "fk", "pk", "raw", "src"}  # before the name of a column
ENDS_IN_ID = re.compile("[a-z]{2,}id")
NO_IDS = {
    "paid",
    "prepaid",
    "unpaid",
    "repaid",
    "overpaid",
    "valid",
    "invalid",
    "covid",
    "grid",
    "hybrid",
    "void",
}
NO_IDS |= {
    "avoid",
    "bid",
    "aid",
    "mid",
    "solid",
    "liquid",
    "fluid",
    "rapid",
    "medicaid",
    "acid",
    "kid",
    "laid",
}
CODES = {"code", "codes", "zip", "zipcode", "postcode", "postal", "pincode"}


class Role(NamedTuple):
    """The role of a column, and a finding if a reader must know the reason."""

    name: str  # "numeric", "categorical" or "drop"
    finding: Finding | None = None


def split_words(name: str) -> list[str]:
    """The words in a column's name, in lower case: customerID -> customer, id."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+", name)]


def value_table(column: pd.Series, cfg: DataConfig, ids: np.ndarray | None = None) -> pd.DataFrame:
    """A row for each distinct value except blank, with the columns `rows` (its count) and `number` (or NaN).

    The values are the index: numbers in a numeric column, otherwise texts. Texts among numbers also have
    their `customers`, by the `ids` [n].
    """
    if is_typed_number(column):
        rows = column.value_counts()
        rows = rows[~is_missing_code(rows.index.to_numpy(np.float64), cfg)]
        return pd.DataFrame({"rows": rows, "number": rows.index.astype(np.float64)})
    text = to_text(column, cfg)
    rows = text.value_counts().drop("", errors="ignore")
    number = parse_numbers(rows.index.to_series(), cfg.decimal, cfg.thousands)
    values = pd.DataFrame({"rows": rows, "number": number})
    is_word = values["number"].isna()
    if ids is None or is_word.all():
        return values.assign(customers=rows)
    of_word = text.isin(values.index[is_word])
    return values.assign(customers=count_customers(text[of_word], ids[of_word]))


def infer_role(name: str, values: pd.DataFrame, rows: int) -> Role:
    """The role of a column with this `value_table`, in a table of so many rows."""
    distinct, known = len(values), int(values["rows"].sum())
    if known == 0:
        advice = "if it should have values, look at the export; otherwise there is nothing to do"
        return _drop_role(name, "has no values", "all cells are blank", advice)
    evidence = f"{count(distinct, 'different value')} in {count(known, 'row')}"
    evidence += f"; blank in {count(rows - known, 'row')}" * (known < rows)
    if reason := _why_identifier(name, values):
        return _drop_role(name, reason, evidence, _advise_to_use(name, known == rows))
    if _has_texts(values) and are_dates(values.index.to_series()):
        return _drop_role(name, "holds dates", evidence, _advise_on_dates(name, known == rows))
    if _holds_numbers(values) and not _is_code(name, values):
        return Role("numeric")
    if distinct > MANY_VALUES and distinct > known / 2:
        return _drop_role(name, "is nearly unique text", evidence, _advise_to_use(name, known == rows))
    return Role("categorical")


def _has_texts(values: pd.DataFrame) -> bool:
    return values.index.dtype == "str"


def _drop_role(name: str, reason: str, evidence: str, advice: str) -> Role:
    """The role of a column that is left out, with a finding."""
    return Role("drop", Finding(f"column '{name}' {reason}: it is left out", evidence, advice))


def _advise_to_use(name: str, filled: bool) -> str:
    """What to type to use a column of texts that is left out; an id must be `filled` in every row."""
    keys = shell_override("data.categorical", name), shell_override("data.numeric", name)
    as_id = f"if it says who the customer is: {shell_setting('data.id', name)}; " * filled
    return f"{as_id}to use it nevertheless: {' or '.join(keys)}"


def _advise_on_dates(name: str, filled: bool) -> str:
    """What to do with a column of dates; the rows can be split by it only if it is `filled` in every row."""
    if filled:
        time = shell_setting("data.time", name)
        return f"to split by time: {time}; as an input, turn it into a number of days first"
    return "if it is known before a customer leaves: as an input, turn it into a number of days first"


def _why_identifier(name: str, values: pd.DataFrame) -> str:
    """The reason if a column with this `value_table` names rows or people, otherwise an empty text."""
    words, distinct, known = split_words(name), len(values), int(values["rows"].sum())
    plain = "".join(words)
    if distinct >= 0.95 * known:
        if plain in COUNTERS:
            return "counts the rows"
        if words[-1:] in (["id"], ["uuid"], ["guid"]) or id_rank(name) is not None:
            return "names the row"
    are_small = bool((values["number"].abs() < SHORTEST_PHONE).all())  # as years at an address
    return "names people" if distinct > 0.05 * known and plain in PEOPLE and not are_small else ""


def id_rank(name: str) -> int | None:
    """How well the name of a column fits a customer's id: 0 best, 2 worst, None not at all."""
    words = split_words(name)
    plain = "".join(words)
    prefixed = len(words) > 1 and (len(words[0]) == 1 or words[0] in PREFIXES)
    if IDS.fullmatch("".join(words[1:]) if prefixed else plain):
        return 0
    if words[-1:] in (["id"], ["uuid"], ["guid"]) or (ENDS_IN_ID.fullmatch(plain) and plain not in NO_IDS):
        return 1
    ends_in_number = len(words) > 1 and words[-1] in ("no", "nr", "number", "key")
    return 2 if ends_in_number or re.fullmatch("(phone|mobile|telephone)(no|num|number)?", plain) else None


def missing_words(values: pd.DataFrame) -> tuple[str, ...]:
    """The texts that mean "missing" in a column of numbers.

    They have no digit, and are a usual spelling or fill at least 1 % of the cells, of several customers;
    rarer texts are mistakes: a bundle holds these words, and a text of few customers may name one.
    """
    others = values[values["number"].isna()]
    if others.empty:
        return ()
    text, frequent = others.index.to_series(), others["rows"] >= 0.01 * values["rows"].sum()
    meant = text.str.lower().isin(MISSING_WORDS) | (frequent & (others["customers"] >= FEW_CUSTOMERS))
    return tuple(text[meant & ~text.str.contains("[0-9]")])


def _holds_numbers(values: pd.DataFrame) -> bool:
    """Whether a column is numeric.

    It may also have words that mean "missing", and a few mistakes; then it needs more than ten distinct
    numbers, because a few numbers beside words are levels of a category.
    """
    others = values[values["number"].isna()]
    mistakes = others.drop(list(missing_words(values)))
    numbers, rows = len(values) - len(others), values["rows"].sum() - others["rows"].sum()
    return numbers > 0 and (others.empty or (numbers > 10 and mistakes["rows"].sum() <= 0.05 * rows))


def _is_code(name: str, values: pd.DataFrame) -> bool:
    """Whether numbers name levels: 0 and 1, digits with a leading 0, or whole numbers called a code."""
    numbers = values["number"].dropna()
    if numbers.isin((0, 1)).all():
        return True
    if _has_texts(values) and values.index.str.fullmatch("0[0-9]+").any():
        return True
    return not CODES.isdisjoint(split_words(name)) and bool((numbers % 1 == 0).all())
