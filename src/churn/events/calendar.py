"""Cut-off dates, as days since 1970-01-01: all of this wing counts days and seconds of the local clock.

A day begins at midnight in the zone of the definition. Counting on the local clock makes every comparison one
of whole numbers, the same in every engine, and a window of 30 days 30 calendar days, daylight saving or not.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from churn.config.events import CutoffConfig, Step
from churn.errors import UserError

EPOCH = date(1970, 1, 1)
DAY = 86_400  # seconds
FIRST_DAY, LAST_DAY = 0, 84_006  # 1970-01-01 and 2200-01-01: dates outside stand for "unknown" or "never"


def to_date(day: int) -> date:
    """The date of a day number."""
    return EPOCH + timedelta(days=day)


def to_day(text: str, where: str) -> int:
    """The day number of an ISO date; raises `UserError` for another text."""
    try:
        return (date.fromisoformat(text) - EPOCH).days
    except ValueError:
        raise UserError(f"'{text}' is no date", where, "write it like 2026-11-24") from None


def today(zone: str) -> int:
    """The day number of today in a time zone."""
    return (datetime.now(ZoneInfo(zone)).date() - EPOCH).days


def first_moments(days: np.ndarray, zone: str) -> np.ndarray:
    """[n] datetime64[s], UTC: when the days [n] (their midnights) of a zone begin."""
    import pandas as pd

    first = np.ones(len(days), bool)  # where the clock shows midnight twice
    local = pd.DatetimeIndex(days).tz_localize(zone, ambiguous=first, nonexistent="shift_forward")
    return local.tz_convert("UTC").tz_localize(None).to_numpy().astype("datetime64[s]")


def days_of(moments: np.ndarray, zone: str) -> np.ndarray:
    """[n] datetime64, midnights: the days of moments [n] in UTC on the clock of a zone."""
    import pandas as pd

    local = pd.DatetimeIndex(moments, tz="UTC").tz_convert(zone)
    return local.tz_localize(None).normalize().to_numpy()


def check_zone(name: str) -> None:
    """Refuse a time zone that nobody knows."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise UserError(
            f"there is no time zone '{name}'", "events.timezone", "write UTC, or like Europe/Berlin"
        ) from None


def cutoff_days(cfg: CutoffConfig, earliest: int, latest: int) -> list[int]:
    """The days of the cut-offs, ascending; `earliest` and `latest` where the configuration leaves them open.

    Raises `UserError` if there is none between the first and the last.
    """
    first = earliest if cfg.first is None else to_day(cfg.first, "events.cutoffs.first")
    last = latest if cfg.last is None else to_day(cfg.last, "events.cutoffs.last")
    if first > last:
        what = f"the first cut-off, {to_date(first)}, would be after the last, {to_date(last)}"
        raise UserError(what, "events.cutoffs", "name other dates, shorter windows or a shorter horizon")
    days = [day for day in range(first, last + 1) if _is_cutoff(to_date(day), cfg.step)]
    if not days:
        raise UserError(
            f"there is no first of a {cfg.step.value} between {to_date(first)} and {to_date(last)} to ask at",
            "events.cutoffs",
            "name events.cutoffs.first and .last, or take shorter windows, a shorter horizon or more history",
        )
    return days


def decided_days(days: list[int], last: int) -> list[int]:
    """The cut-offs whose outcome is known, up to the day `last`; raises `UserError` if none is."""
    decided = [day for day in days if day <= last]
    if not decided:
        raise UserError(
            f"the outcome of no cut-off is known yet: it would be of those up to {to_date(last)}",
            "events.cutoffs, events.horizon, events.until",
            "ask earlier, or take a shorter horizon",
        )
    return decided


def _is_cutoff(day: date, step: Step) -> bool:
    """Whether a day is the first of its month, or of its week."""
    return step is Step.day or (day.day == 1 if step is Step.month else day.weekday() == 0)
