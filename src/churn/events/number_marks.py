"""Numbers in event tables that may be written otherwise: 1.234 as a thousand, 1.234,50."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pandas as pd

from churn.config.data import DataConfig
from churn.config.events import TableConfig
from churn.data.infer.cells import as_written
from churn.data.infer.number_format import POINTED, SHORT, check_number_format, check_points, mark_setting
from churn.errors import UserError


def note_shapes(texts: pd.Series, words: set[str], shapes: dict[str, str]) -> None:
    """Keep the first text of each shape, of those by which it is asked whether points separate thousands.

    `words` among the texts mean "missing".
    """
    if "other" in shapes:  # which says that they do not
        return
    texts = as_written(texts[~texts.isin(list(words))])
    texts = texts[texts != ""]
    pointed, short = (texts.str.fullmatch(shape).to_numpy(bool) for shape in (POINTED, SHORT))
    for shape, rows in {"pointed": pointed, "short": short, "other": ~pointed & ~short}.items():
        if rows.any():
            shapes.setdefault(shape, texts[rows].iloc[0])


def doubtful_points(
    shapes: dict[str, dict[str, str]], spec: TableConfig, place: str, keys: str
) -> Iterator[UserError]:
    """An error for each column of which nobody can tell; `keys`: those of the table."""
    rules = DataConfig(decimal=spec.decimal, thousands=spec.thousands)
    for name, texts in shapes.items():
        if error := check_points(
            name, pd.DataFrame(index=pd.Index(list(texts.values()), dtype="str")), rules, keys
        ):
            yield UserError(error.what, place, error.do)


def surely_read(column: pd.Series, decimal: str) -> int:
    """How many numbers have the decimal mark for certain: not 1.234, which may be more than a thousand."""
    rows = column.value_counts()
    texts = rows.index.str.strip().str.lstrip("+-")
    doubtful = texts.str.fullmatch(POINTED.replace(r"\.", re.escape(decimal)))
    return int(rows[texts.str.contains(decimal, regex=False) & ~doubtful].sum())


def settings_for(bad: dict[str, list[str]], read_marks: dict[str, int], spec: TableConfig, keys: str) -> str:
    """The keys to set for a table with such texts among its numbers; empty if they are no numbers.

    Another decimal mark only if more cells need it than were surely read with the one that is set:
    `read_marks`, the latter less the former by column.
    """
    for name, texts in bad.items():
        values = pd.DataFrame(
            {"rows": 1, "customers": 1, "number": float("nan")}, pd.Index(texts, dtype="str")
        )
        if error := check_number_format(name, values, keys):
            do = _fitting(error.do, read_marks.get(name, -1) < 0, spec.decimal, keys)
            if do:
                return do
    return ""


def _fitting(do: str, by_most: bool, decimal: str, keys: str) -> str:
    """The part of some advice that suits a column with that decimal mark; `by_most`: most cells need it."""
    is_taken = f".thousands='{decimal}'" in do
    if by_most:
        return do + f" {mark_setting(keys, 'decimal', '.')}" * (is_taken and ".decimal=" not in do)
    thousands = do.rpartition(" else ")[2]  # of a mark that may be either, what leaves the decimal mark alone
    return "" if is_taken or ".decimal=" in thousands else thousands
