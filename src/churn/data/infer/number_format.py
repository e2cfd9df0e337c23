"""Numbers in text that are not written like 1234.5: which keys to set to read them."""

from __future__ import annotations

import re

import pandas as pd

from churn.config.data import DataConfig
from churn.data.infer.roles import missing_words
from churn.errors import UserError, shell_override

SIGN = r"[$€£¥%]|USD|EUR|GBP"
GROUPED = r"[0-9]{1,3}(?:[., '’\u00a0\u202f][0-9]{3})+(?:[.,][0-9]+)?"
POINTED = r"[1-9][0-9]{0,2}(?:\.[0-9]{3})+"  # 1.234, which may be more than a thousand
SHORT = "[0-9]{1,3}"
NUMBER = rf"[+-]?(?:{SIGN})?\s?[+-]?(?:{GROUPED}|[0-9]+(?:[.,][0-9]+)?)\s?(?:{SIGN})?"


def check_number_format(name: str, values: pd.DataFrame, keys: str = "data") -> UserError | None:
    """The error that names the keys to set for a column; None if it has plain numbers, or no numbers.

    `values` is its `value_table`; `keys`: what the two keys belong to. Of the cells that are neither plain
    numbers nor words for "missing", nine in ten must be numbers in another form.
    """
    others = values[values["number"].isna()].drop(list(missing_words(values)))
    if others.empty:
        return None
    numbers = others[others.index.str.fullmatch(NUMBER)]
    if numbers["rows"].sum() < 0.9 * others["rows"].sum():
        return None
    cells = f"{numbers['rows'].sum():,} of {values['rows'].sum():,} cells"
    as_category = f"; if they are no numbers: {shell_override('data.categorical', name)}" * (keys == "data")
    return UserError(
        f"column '{name}': {cells} are like '{numbers.index[0]}'",
        do=_suggest_settings(list(numbers.index), keys) + as_category,
    )


def check_points(name: str, values: pd.DataFrame, cfg: DataConfig, keys: str = "data") -> UserError | None:
    """The error that asks whether points separate thousands: 38, 950, 1.234. None if that is clear.

    `values` is the column's `value_table`; `keys`: what the keys of number formats belong to. Numbers that
    all have three decimals, or a number such as 0.125, speak for a decimal mark.
    """
    if values.index.dtype != "str" or cfg.thousands or cfg.decimal != ".":
        return None
    pointed = values.index.str.fullmatch(POINTED)
    if not pointed.any() or pointed.all() or not (pointed | values.index.str.fullmatch(SHORT)).all():
        return None
    settings = f"{mark_setting(keys, 'thousands', '.')} {mark_setting(keys, 'decimal', ',')}"
    decimals = mark_setting(keys, "thousands", ",")
    return UserError(
        f"column '{name}': '{values.index[pointed][0]}' may be more than a thousand; its numbers have at "
        "most three digits, or a point before the last three",
        do=f"if points separate thousands: {settings}; if they are decimal marks: "
        + (shell_override("data.numeric", name) if keys == "data" else decimals),
    )


def _suggest_settings(texts: list[str], keys: str) -> str:
    """The overrides for the decimal mark and the thousands separator of these numbers."""
    if any(re.search(SIGN, text) for text in texts):
        return "write them without signs such as $ and % in the export"
    marks = [re.sub("[0-9+-]", "", text) for text in texts]
    for mark in sorted(marks, key=lambda mark: (-len(set(mark)), -len(mark))):
        if len(set(mark)) == 2:
            decimal = f" {mark_setting(keys, 'decimal', mark[-1])}" * (mark[-1] != ".")
            return mark_setting(keys, "thousands", mark[0]) + decimal
        if len(mark) > 1 or mark in " '’\u00a0\u202f":
            decimal = f" {mark_setting(keys, 'decimal', ',')}" * (mark[0] == ".")
            return mark_setting(keys, "thousands", mark[0]) + decimal
    mark = marks[0][0]
    if any(len(text.rpartition(mark)[2]) != 3 for text in texts if mark in text):
        return mark_setting(keys, "decimal", mark)
    decimal, thousands = mark_setting(keys, "decimal", mark), mark_setting(keys, "thousands", mark)
    return f"{decimal} if '{texts[0]}' is less than a thousand, else {thousands}"


def mark_setting(keys: str, key: str, mark: str) -> str:
    """An override with a mark, quoted for the shell and for Hydra."""
    quote = '\\"' if mark == "'" else "'"
    return f'"{keys}.{key}={quote}{mark}{quote}"'
