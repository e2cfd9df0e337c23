"""Texts to times: ISO 8601, days or months first, and numbers since 1970."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from churn.data.infer.cells import OTHER_DATE, UTC, to_times

ZONE = r"(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)$"  # +02 is how PostgreSQL writes it
DAY_AND_MONTH = rf"^({OTHER_DATE})(?:[T ].*)?$"  # or the other way
CLOCK = r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?"
UNIX = r"[0-9]{9,16}"  # seconds, milli- or microseconds since 1970
# 202411241230 and 20241124123059, which as numbers since 1970 would be of 1976, and of 2611
DIGITS = (
    r"((?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01]))((?:[01][0-9]|2[0-3])(?:[0-5][0-9]){1,2})"
)


def parse_times(text: pd.Series, day_first: dict[str, bool] | None = None) -> tuple[pd.Series, np.ndarray]:
    """Times of texts (UTC of those with a zone; NaT where they are none), and [n] which have a zone.

    ISO 8601; days or months first, such as 24.11.2026 12:30; only digits, such as 202611241230; seconds,
    milli- or microseconds since 1970. `day_first`: whether days come before months, by the column's name, for
    texts that do not show it.
    """
    text = text.str.replace(f"^{DIGITS}$", r"\1T\2", regex=True).str.replace(UTC, "Z", regex=True)
    unix = text.str.fullmatch(UNIX).to_numpy(bool)
    zoned = (text.str.contains(rf"[T ][0-9:. ]*{ZONE}") | unix).to_numpy(bool)
    plain = text.mask(unix, "")
    other = plain.str.match(OTHER_DATE).to_numpy(bool)
    time = pd.to_datetime(plain.mask(other, ""), format="ISO8601", utc=True, errors="coerce").dt.tz_localize(
        None
    )
    time = time.astype("datetime64[us]")
    if other.any():
        time[other] = _day_and_clock(plain[other], {} if day_first is None else day_first)
    if unix.any():
        number = text[unix].astype("int64")
        digits = 10 ** (3 * ((number >= 10**11).astype(int) + (number >= 10**14).astype(int)))
        time[unix] = pd.to_datetime(number / digits, unit="s").astype("datetime64[us]")
    return time, zoned


def shown_orders(text: pd.Series) -> set[bool]:
    """Whether days come before months (True) or after, by those dates that can be read in one way only."""
    dates = text.str.extract(DAY_AND_MONTH)[0].dropna().drop_duplicates()
    plain = dates.str.replace("[./]", "-", regex=True)
    days_first, months_first = _are_dates(plain, "%d-%m"), _are_dates(plain, "%m-%d")
    ways = {True: days_first & ~months_first, False: months_first & ~days_first}
    return {way for way, dates in ways.items() if dates.any()}


def _are_dates(plain: pd.Series, form: str) -> pd.Series:
    """[n] whether there is such a date, the year with two digits or four."""
    four, two = (pd.to_datetime(plain, format=f"{form}-{year}", errors="coerce") for year in ("%Y", "%y"))
    return four.notna() | two.notna()


def _day_and_clock(text: pd.Series, day_first: dict[str, bool]) -> pd.Series:
    """Times of texts with a day in another order than ISO's, and a time of day or none."""
    parts = text.str.extract(rf"^({re.sub(r'[(]([?]:)?', '(?:', OTHER_DATE)})(?:[T ]+(.*))?$")
    dates = parts[0].fillna("")
    dates.name = text.name
    day, no_day = to_times(_in_known_order(dates, day_first))
    clock = parts[1].fillna("0:00")
    wrong = ~clock.str.fullmatch(CLOCK).to_numpy(bool) | no_day
    seconds = pd.to_timedelta(
        clock.where(~wrong, "0:00").str.replace(r"^([^:]*:[^:]*)$", r"\1:00", regex=True)
    )
    time = pd.Series(day, text.index).astype("datetime64[us]") + seconds
    return time.mask(wrong)


def _in_known_order(dates: pd.Series, day_first: dict[str, bool]) -> pd.Series:
    """Dates with the day or the month first; as times where only other dates of the column show which."""
    name = str(dates.name)
    if name not in day_first or shown_orders(dates):
        return dates
    plain = dates.str.replace("[./]", "-", regex=True)
    year = "%Y" if plain.str.fullmatch(".*-[0-9]{4}").any() else "%y"
    form = "%d-%m" if day_first[name] else "%m-%d"
    return pd.to_datetime(plain, format=f"{form}-{year}", errors="coerce")
