"""Texts to times: ISO 8601, days or months first, and numbers since 1970."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from churn.data.infer.cells import OTHER_DATE, UTC, to_times

ZONE = r"(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)$"  # +02 is how PostgreSQL writes it
OTHER_DATE_BEGIN = r"^([0-9]{1,2})[./-]([0-9]{1,2})[./-][0-9]{2}"
CLOCK = r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?"
UNIX = r"[0-9]{9,16}"  # seconds, milli- or microseconds since 1970
# 202411241230 and 20241124123059, which as numbers since 1970 would be of 1976, and of 2611
DIGITS = (
    r"((?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01]))((?:[01][0-9]|2[0-3])(?:[0-5][0-9]){1,2})"
)


def parse_times(text: pd.Series, day_first: dict[str, bool] | None = None) -> tuple[pd.Series, np.ndarray]:
    """Times of texts (UTC of those with a zone; NaT where they are none), and [n] which have a zone.

    ISO 8601; days or months first, such as 24.11.2026 12:30; only digits, such as 202611241230; seconds,
    milli- or microseconds since 1970. `day_first`: whether days come before months, by the column's name, as
    other texts of it have shown; what these show is added.
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


def day_comes_first(text: pd.Series) -> bool | None:
    """Whether days come before months in texts such as 24.11.2026; None where they do not show it."""
    numbers = text.str.extract(OTHER_DATE_BEGIN).astype(float)
    day, month = ((numbers[i] > 12).any() for i in (0, 1))
    return None if day == month else bool(day)


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
    name, order = str(dates.name), day_comes_first(dates)
    if order is not None:
        day_first.setdefault(name, order)
    if order is not None or name not in day_first:
        return dates
    plain = dates.str.replace("[./]", "-", regex=True)
    year = "%Y" if plain.str.fullmatch(".*-[0-9]{4}").any() else "%y"
    form = "%d-%m" if day_first[name] else "%m-%d"
    return pd.to_datetime(plain, format=f"{form}-{year}", errors="coerce")
