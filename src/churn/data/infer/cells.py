"""Cells of a column of any type, read as text, numbers or times."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

from churn.data.contract import MISSING_BELOW
from churn.data.spelling import NULL_MARKS, TextRules, level_steps, spell_alike, spelling_steps
from churn.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

TOO_LARGE = -MISSING_BELOW  # such numbers, on either side of zero, cannot be told from missing ones
TOO_SMALL = 1 / TOO_LARGE  # smaller ones are 0: some runtimes compute with numbers below 1e-38, others do not
# Usual spellings of "missing", in lower case; in a category each may also be a level.
MISSING_WORDS = frozenset({"?", "-", "--", "na", "n/a", "#n/a", "nan", "none", "null", "unknown", "missing"})
POINT_ZERO = r"^(-?[0-9]+)\.0+$"
EXACT = 2.0**53  # whole numbers up to here are exact as floating-point numbers
SCIENTIFIC = r"[0-9](?:[.,][0-9]+)?[eE]\+[0-9]+"  # 8.94411E+18
SHORT_SCIENTIFIC = r"[1-9](?:\.[0-9])?[eE]\+0?[0-9]"  # 1e+05, whose further digits are all 0
ISO_DATE = r"[0-9]{4}[-/][0-9]{1,2}(?:[-/][0-9]{1,2})?"
OTHER_DATE = r"[0-9]{1,2}[./-][0-9]{1,2}[./-](?:[0-9]{4}|[0-9]{2})"
TIME = r"[T ][0-9:.]+ ?(?:[AaPp][Mm]|Z|UTC|[+-][0-9:]+)?"
UTC = " ?UTC$"  # Z in ISO 8601
MIDNIGHT = r"[T ][0:.]+(?: ?(?:Z|UTC|[+-][0-9:]+))?$"  # on the clock of its own zone
NO_TIME = r"(?: 00:00:00)?\.0+$| 00:00:00$"  # of a time as text, whatever its unit: midnight is the day


class AmbiguousDatesError(UserError):
    """Days and months cannot be told apart in these dates; others of their column may show it."""


def to_text(column: pd.Series, rules: TextRules | None = None) -> pd.Series:
    """[n] str: the one spelling of each cell, "" for missing cells (see `churn.data.spelling`)."""
    return spell_cells(column, spelling_steps(rules))


def to_levels(column: pd.Series, rules: TextRules | None = None) -> pd.Series:
    """The same for a category."""
    return spell_cells(column, level_steps(rules))


def spell_cells(column: pd.Series, steps: Sequence[tuple[str, str]]) -> pd.Series:
    """[n] str: the cells after these steps, "" for missing ones; each distinct cell is spelled once."""
    import pandas as pd

    codes, levels = pd.factorize(column)
    spelled = spell_alike(as_written(pd.Series(levels)), steps).to_numpy(object)
    return pd.Series(np.append(spelled, "")[codes], column.index, dtype="str", name=column.name)


def as_written(column: pd.Series) -> pd.Series:
    """[n] str: the cells as they are in the table, without surrounding blanks, "" for missing ones.

    Whole numbers of a column of decimals lose their ".0": programs add it if other cells are missing. A time
    at midnight is its day, whatever the other times are.
    """
    from pandas.api import types

    text = column.astype("str").fillna("").str.strip()
    if types.is_datetime64_dtype(column.dtype):
        return text.str.replace(NO_TIME, "", regex=True)
    return text.str.replace(POINT_ZERO, r"\1", regex=True) if types.is_float_dtype(column.dtype) else text


def to_ids(column: pd.Series) -> pd.Series:
    """[n] str: the cells of a column of ids, digit for digit, "" for missing ones.

    1001.0 is 1001, and 1e+05, as R writes it, is 100000; leading zeros stay.
    """
    text = as_written(column)
    text = text.mask(text.isin(NULL_MARKS), "")
    text = text.str.replace(POINT_ZERO, r"\1", regex=True)
    short = text.str.fullmatch(SHORT_SCIENTIFIC)
    return text.mask(short, text[short].map(lambda number: f"{float(number):.0f}")) if short.any() else text


def to_id(text: str) -> str:
    """The same as `to_ids` for one text, quickly.

    >>> to_id(" 1001.0"), to_id("0042"), to_id("1e+05")
    ('1001', '0042', '100000')
    """
    text = text.strip()
    if text.endswith("0") and "." in text:
        text = re.sub(POINT_ZERO, r"\1", text)
    if "+" in text and re.fullmatch(SHORT_SCIENTIFIC, text):
        return f"{float(text):.0f}"
    return "" if text[:1] in ("\\", "#") and text in NULL_MARKS else text


def has_lost_digits(column: pd.Series) -> np.ndarray:
    """[n] whether an id went through a floating-point number that could not hold its digits."""
    from pandas.api import types

    if types.is_float_dtype(column.dtype):
        return (column.abs() > EXACT).to_numpy(bool, na_value=False)
    return to_ids(column).str.fullmatch(SCIENTIFIC).to_numpy(bool)


def is_typed_number(column: pd.Series) -> bool:
    """Whether a column has a numeric type; booleans are not numbers."""
    from pandas.api import types

    return types.is_numeric_dtype(column.dtype) and not types.is_bool_dtype(column.dtype)


def to_numbers(
    column: pd.Series, rules: TextRules, words: Collection[str] = ()
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[n] float64, NaN where missing or unusable; [n] which cells are not numbers; [n] which are too large.

    `words` mean "missing" beside `rules.missing`. Too large are infinite numbers, and those from 1e30 and up
    to -1e30.
    """
    if is_typed_number(column):
        numbers = column.to_numpy(np.float64, na_value=np.nan)
        blank = np.isnan(numbers)
    else:
        text = as_written(column)
        spelled = to_text(text, rules)
        blank = ((spelled == "") | spelled.isin(list(words))).to_numpy()
        text = text.where(~text.str.lower().isin(["true", "false"]), spelled)
        numbers = np.where(blank, np.nan, parse_numbers(text, rules.decimal, rules.thousands))
    not_a_number = np.isnan(numbers) & ~blank
    too_large = np.abs(numbers) >= TOO_LARGE
    numbers = np.where(np.abs(numbers) < TOO_SMALL, 0.0, numbers)
    return np.where(too_large | is_missing_code(numbers, rules), np.nan, numbers), not_a_number, too_large


def missing_codes(rules: TextRules) -> np.ndarray:
    """float32: the numbers, such as -99, among the texts that mean "missing"."""
    if not rules.missing:
        return np.empty(0, np.float32)
    import pandas as pd

    words = pd.Series(list(rules.missing), dtype="str")
    numbers = parse_numbers(words, rules.decimal, rules.thousands)
    numbers = np.where(np.isnan(numbers), parse_numbers(words, ".", None), numbers)
    return numbers[~np.isnan(numbers)].astype(np.float32)


def is_missing_code(numbers: np.ndarray, rules: TextRules) -> np.ndarray:
    """[n] whether a number means "missing"; compared as float32, in which the graph gets it."""
    codes = missing_codes(rules)
    if not len(codes):
        return np.zeros(numbers.shape, bool)
    with np.errstate(over="ignore"):
        return np.isin(numbers.astype(np.float32), codes)


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

    Raises `UserError` if the day cannot be distinguished from the month or the year.
    """
    import pandas as pd
    from pandas.api import types

    if types.is_datetime64_any_dtype(column.dtype):
        times = pd.to_datetime(column, utc=True)
    else:
        times = _parse_dates(to_text(column))
    times = times.dt.tz_localize(None)
    return times.to_numpy().astype("datetime64[s]"), times.isna().to_numpy()


def are_days(column: pd.Series, times: np.ndarray) -> np.ndarray:
    """[n] which of the cells, read as `times` by `to_times`, name a day without a time of it.

    Those without a colon, and all of a column in which every cell is midnight, in UTC or in its own zone:
    exports write dates so.
    """
    text, midnight = to_text(column), times == times.astype("datetime64[D]")
    days = midnight & ~text.str.contains(":").to_numpy(bool)
    all_days = midnight.all() or (days | text.str.contains(MIDNIGHT).to_numpy(bool)).all()
    return np.ones(len(days), bool) if all_days else days


def _parse_dates(text: pd.Series) -> pd.Series:
    """ISO texts as times in UTC; texts with the day or the month first as dates."""
    import pandas as pd

    other = text.str.match(OTHER_DATE)
    iso = text.where(~other).str.replace(UTC, "Z", regex=True)
    times = pd.to_datetime(iso, format="ISO8601", utc=True, errors="coerce")
    return times.fillna(_parse_other_dates(text[other])) if other.any() else times


def _parse_other_dates(text: pd.Series) -> pd.Series:
    """Texts with the day or the month first as dates."""
    import pandas as pd

    plain = text.str.replace(r" .*", "", regex=True).str.replace(r"[./]", "-", regex=True)
    year = "%Y" if plain.str.fullmatch(r".*-[0-9]{4}").any() else "%y"
    day_first, month_first = (
        pd.to_datetime(plain, format=f"{form}-{year}", utc=True, errors="coerce")
        for form in ("%d-%m", "%m-%d")
    )
    if day_first.notna().sum() == month_first.notna().sum() and not day_first.equals(month_first):
        raise AmbiguousDatesError(
            f"dates such as '{text.iloc[0]}' may begin with the day or the month",
            f"column '{text.name}'",
            "write them as YEAR-MONTH-DAY in the export",
        )
    best = max(day_first, month_first, key=lambda dates: dates.notna().sum())
    if text.str.match("[0-9]{1,2}-").all() and year == "%y" and _may_begin_with_year(plain, best):
        raise UserError(
            f"dates such as '{text.iloc[0]}' may begin with the day or the year",
            f"column '{text.name}'",
            "write them as YEAR-MONTH-DAY, the year with four digits, in the export",
        )
    return best


def _may_begin_with_year(plain: pd.Series, otherwise: pd.Series) -> bool:
    """Whether texts such as 24-01-31 are dates with the year first, too, and the last number is like a day.

    It has more values than the first, or is always that of the first of the month.
    """
    import pandas as pd

    dates = pd.to_datetime(plain, format="%y-%m-%d", utc=True, errors="coerce")
    years, days = set(dates.dt.year.dropna()), set(dates.dt.day.dropna())
    return (len(years) < len(days) or days == {1}) and dates.notna().sum() >= otherwise.notna().sum()
