"""What the cells of a column say, as text, number or time, whatever type the source gave them."""

from __future__ import annotations

import re
from collections.abc import Collection

import numpy as np
import pandas as pd
from pandas.api import types

from churn.errors import UserError

TOO_LARGE = 1e30  # in the bundle a number of -1e30 or less means "missing"
# Usual spellings of "missing", in lower case; in a category each may be a level of its own.
MISSING_WORDS = frozenset({"?", "-", "--", "na", "n/a", "#n/a", "nan", "none", "null", "unknown", "missing"})
POINT_ZERO = r"^(-?[0-9]+)\.0$"
ISO_DATE = r"[0-9]{4}[-/][0-9]{1,2}(?:[-/][0-9]{1,2})?"
OTHER_DATE = r"[0-9]{1,2}[./-][0-9]{1,2}[./-](?:[0-9]{4}|[0-9]{2})"
TIME = r"[T ][0-9:.]+ ?(?:[AaPp][Mm]|Z|UTC|[+-][0-9:]+)?"


def to_text(column: pd.Series, missing: Collection[str] = ()) -> pd.Series:
    """[n] str: the cells as text without surrounding blanks, "" for missing cells and texts that mean it.

    A whole number loses its ".0", which it has where missing cells made a program write floats: a level or an
    id is the same with and without.
    """
    text = column.astype("str").fillna("").str.strip()
    if text.str.endswith(".0").any():
        text = text.str.replace(POINT_ZERO, r"\1", regex=True)
    return text.mask(text.isin([strip_point_zero(word) for word in missing]), "") if missing else text


def strip_point_zero(text: str) -> str:
    """A whole number without its ".0"; any other text as it is."""
    return re.sub(POINT_ZERO, r"\1", text)


def is_typed_number(column: pd.Series) -> bool:
    """Whether the source says that a column holds numbers."""
    return types.is_numeric_dtype(column.dtype) and not types.is_bool_dtype(column.dtype)


def to_numbers(
    column: pd.Series, missing: Collection[str], decimal: str, thousands: str | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[n] float64, NaN where missing or unusable; [n] which cells are no number; [n] which are too large.

    Too large is what is infinite or reaches 1e30 on either side.
    """
    if is_typed_number(column):
        value = column.to_numpy(np.float64, na_value=np.nan)
        value = np.where(np.isin(value, missing_codes(missing)), np.nan, value)
        no_number = np.zeros(len(column), dtype=bool)
    else:
        text = to_text(column, missing)
        value = parse_numbers(text, decimal, thousands)
        no_number = np.isnan(value) & (text != "").to_numpy()
    too_large = np.abs(value) >= TOO_LARGE
    return np.where(too_large, np.nan, value), no_number, too_large


def missing_codes(missing: Collection[str]) -> np.ndarray:
    """The numbers, such as -99, among the texts that mean "missing"."""
    value = parse_numbers(pd.Series(list(missing), dtype="str"), ".", None)
    return value[~np.isnan(value)]


def parse_numbers(text: pd.Series, decimal: str, thousands: str | None) -> np.ndarray:
    """[n] float64: the numbers that texts write, NaN for other texts."""
    point = re.escape(decimal)
    digits = "[0-9]+"
    if thousands:
        digits = rf"(?:[0-9]+|[0-9]{{1,3}}(?:{re.escape(thousands)}[0-9]{{3}})+)"
    written = text.str.fullmatch(
        rf"[+-]?(?:{digits}{point}?[0-9]*|{point}[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?(?i:inf(?:inity)?)"
    )
    plain = text.where(written, "nan")
    if thousands:
        plain = plain.str.replace(thousands, "", regex=False)
    if decimal != ".":
        plain = plain.str.replace(decimal, ".", regex=False)
    return plain.astype(np.float64).to_numpy()


def are_dates(text: pd.Series) -> bool:
    """Whether all texts are dates, such as 2025-12-31 or 31.12.2025, with or without a time of day."""
    return len(text) > 0 and bool(text.str.fullmatch(f"(?:{ISO_DATE}|{OTHER_DATE})(?:{TIME})?").all())


def to_times(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """[n] datetime64[s] in UTC, and [n] which cells are no date, blank ones included.

    Raises `UserError` if days and months cannot be told apart.
    """
    if types.is_datetime64_any_dtype(column.dtype):
        found = pd.to_datetime(column, utc=True)
    else:
        found = _parse_dates(to_text(column))
    found = found.dt.tz_localize(None)
    return found.to_numpy().astype("datetime64[s]"), found.isna().to_numpy()


def _parse_dates(text: pd.Series) -> pd.Series:
    """Dates in UTC of ISO texts; else of texts with the day or the month first, whose time is left out."""
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
