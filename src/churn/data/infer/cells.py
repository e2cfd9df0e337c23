"""Cells of a column of any type, read as text, numbers or times."""

from __future__ import annotations

import re
from collections.abc import Collection

import numpy as np
import pandas as pd
from pandas.api import types

from churn.data.contract import MISSING_BELOW
from churn.errors import UserError

TOO_LARGE = -MISSING_BELOW  # such numbers, on either side of zero, cannot be told from missing ones
# Usual spellings of "missing", in lower case; in a category each may also be a level.
MISSING_WORDS = frozenset({"?", "-", "--", "na", "n/a", "#n/a", "nan", "none", "null", "unknown", "missing"})
POINT_ZERO = r"^(-?[0-9]+)\.0$"
ISO_DATE = r"[0-9]{4}[-/][0-9]{1,2}(?:[-/][0-9]{1,2})?"
OTHER_DATE = r"[0-9]{1,2}[./-][0-9]{1,2}[./-](?:[0-9]{4}|[0-9]{2})"
TIME = r"[T ][0-9:.]+ ?(?:[AaPp][Mm]|Z|UTC|[+-][0-9:]+)?"


def to_text(column: pd.Series, missing: Collection[str] = ()) -> pd.Series:
    """[n] str: the cells as text without surrounding blanks, "" for missing cells and for `missing` texts.

    A whole number loses its ".0": programs add it to integers if other cells of the column are missing, and
    a level or an id must be the same with and without.
    """
    text = column.astype("str").fillna("").str.strip()
    if text.str.endswith(".0").any():
        text = text.str.replace(POINT_ZERO, r"\1", regex=True)
    return text.mask(text.isin([strip_point_zero(word) for word in missing]), "") if missing else text


def strip_point_zero(text: str) -> str:
    """A whole number without its ".0"; any other text as it is."""
    return re.sub(POINT_ZERO, r"\1", text)


def is_typed_number(column: pd.Series) -> bool:
    """Whether a column has a numeric type; booleans are not numbers."""
    return types.is_numeric_dtype(column.dtype) and not types.is_bool_dtype(column.dtype)


def to_numbers(
    column: pd.Series, missing: Collection[str], decimal: str, thousands: str | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[n] float64, NaN where missing or unusable; [n] which cells are not numbers; [n] which are too large.

    Too large are infinite numbers, and those from 1e30 and up to -1e30.
    """
    if is_typed_number(column):
        numbers = column.to_numpy(np.float64, na_value=np.nan)
        numbers = np.where(np.isin(numbers, missing_codes(missing)), np.nan, numbers)
        not_a_number = np.zeros(len(column), dtype=bool)
    else:
        text = to_text(column, missing)
        numbers = parse_numbers(text, decimal, thousands)
        not_a_number = np.isnan(numbers) & (text != "").to_numpy()
    too_large = np.abs(numbers) >= TOO_LARGE
    return np.where(too_large, np.nan, numbers), not_a_number, too_large


def missing_codes(missing: Collection[str]) -> np.ndarray:
    """The numbers, such as -99, among the texts that mean "missing"."""
    numbers = parse_numbers(pd.Series(list(missing), dtype="str"), ".", None)
    return numbers[~np.isnan(numbers)]


def parse_numbers(text: pd.Series, decimal: str, thousands: str | None) -> np.ndarray:
    """[n] float64: texts as numbers, NaN for texts that are not numbers."""
    point = re.escape(decimal)
    digits = "[0-9]+"
    if thousands:
        digits = rf"(?:[0-9]+|[0-9]{{1,3}}(?:{re.escape(thousands)}[0-9]{{3}})+)"
    is_number = text.str.fullmatch(
        rf"[+-]?(?:{digits}{point}?[0-9]*|{point}[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?(?i:inf(?:inity)?)"
    )
    plain = text.where(is_number, "nan")
    if thousands:
        plain = plain.str.replace(thousands, "", regex=False)
    if decimal != ".":
        plain = plain.str.replace(decimal, ".", regex=False)
    return plain.astype(np.float64).to_numpy()


def are_dates(text: pd.Series) -> bool:
    """Whether all texts are dates, such as 2025-12-31 or 31.12.2025, with or without a time of day."""
    return len(text) > 0 and bool(text.str.fullmatch(f"(?:{ISO_DATE}|{OTHER_DATE})(?:{TIME})?").all())


def to_times(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """[n] datetime64[s] in UTC, and [n] which cells are not dates, including blank ones.

    Raises `UserError` if the day cannot be distinguished from the month.
    """
    if types.is_datetime64_any_dtype(column.dtype):
        times = pd.to_datetime(column, utc=True)
    else:
        times = _parse_dates(to_text(column))
    times = times.dt.tz_localize(None)
    return times.to_numpy().astype("datetime64[s]"), times.isna().to_numpy()


def _parse_dates(text: pd.Series) -> pd.Series:
    """ISO texts as times in UTC; texts with the day or the month first as dates."""
    if not text.str.match(OTHER_DATE).any():
        return pd.to_datetime(text, format="ISO8601", utc=True, errors="coerce")
    plain = text.str.replace(r" .*", "", regex=True).str.replace(r"[./]", "-", regex=True)
    year = "%Y" if plain.str.fullmatch(r".*-[0-9]{4}").any() else "%y"
    day_first, month_first = (
        pd.to_datetime(plain, format=f"{form}-{year}", utc=True, errors="coerce")
        for form in ("%d-%m", "%m-%d")
    )
    if day_first.notna().sum() == month_first.notna().sum() and not day_first.equals(month_first):
        raise UserError(
            f"dates such as '{text.iloc[0]}' may begin with the day or the month",
            f"column '{text.name}'",
            "write them as YEAR-MONTH-DAY in the export",
        )
    return max(day_first, month_first, key=lambda dates: dates.notna().sum())
