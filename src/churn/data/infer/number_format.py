"""Numbers in text that are not written as plain 1234.5: say how they look and what to set."""

from __future__ import annotations

import re

import pandas as pd

from churn.data.dataset import shell_override
from churn.data.infer.roles import missing_words
from churn.errors import UserError

SIGN = r"[$€£¥%]|USD|EUR|GBP"
GROUPED = r"[0-9]{1,3}(?:[., '’\u00a0\u202f][0-9]{3})+(?:[.,][0-9]+)?"
NUMBER = rf"[+-]?(?:{SIGN})?\s?[+-]?(?:{GROUPED}|[0-9]+(?:[.,][0-9]+)?)\s?(?:{SIGN})?"


def check_number_format(name: str, values: pd.DataFrame) -> UserError | None:
    """What to set to read these `contents` as numbers; none if they are plain numbers or no numbers.

    They are numbers if nine in ten of the cells that are not plain numbers, nor words for "missing", are
    numbers in another form.
    """
    others = values[values["number"].isna()].drop(list(missing_words(values)))
    if others.empty:
        return None
    formed = others[others.index.str.fullmatch(NUMBER)]
    if formed["rows"].sum() < 0.9 * others["rows"].sum():
        return None
    cells = f"{formed['rows'].sum():,} of {values['rows'].sum():,} cells"
    return UserError(
        f"column '{name}': {cells} are like '{formed.index[0]}'",
        do=f"{_suggest_settings(list(formed.index))}; if they are no numbers: {shell_override('data.categorical', name)}",
    )


def _suggest_settings(texts: list[str]) -> str:
    """The keys that describe how the numbers are written, as far as the texts tell."""
    if any(re.search(SIGN, text) for text in texts):
        return "write them without signs such as $ and % in the export"
    marks = [re.sub("[0-9+-]", "", text) for text in texts]
    for mark in sorted(marks, key=lambda mark: (-len(set(mark)), -len(mark))):
        if len(set(mark)) == 2:
            decimal = f" {_shell_setting('decimal', mark[-1])}" * (mark[-1] != ".")
            return _shell_setting("thousands", mark[0]) + decimal
        if len(mark) > 1 or mark in " '’\u00a0\u202f":
            return _shell_setting("thousands", mark[0])
    mark = marks[0][0]
    if any(len(text.rpartition(mark)[2]) != 3 for text in texts if mark in text):
        return _shell_setting("decimal", mark)
    decimal, thousands = _shell_setting("decimal", mark), _shell_setting("thousands", mark)
    return f"{decimal} if '{texts[0]}' is less than a thousand, else {thousands}"


def _shell_setting(key: str, mark: str) -> str:
    """The override for a shell, quoted for it and for Hydra."""
    return f"\"data.{key}='{mark}'\""
