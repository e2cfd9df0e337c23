"""Columns of weekdays: a window that is not a number of whole weeks has other weekdays than training."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from churn.monitor.period import Period

NAMES = (
    {"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"},
    {"mon", "tue", "wed", "thu", "fri", "sat", "sun"},
    {"mon", "tues", "wed", "thurs", "fri", "sat", "sun"},
    {"mo", "tu", "we", "th", "fr", "sa", "su"},
)
NUMBERED = {"0", "1", "2", "3", "4", "5", "6", "7"}
WEEKDAY = re.compile(
    r"week_?day|day_?of_?(the_?)?week|(^|_)(wday|dow)($|_)"
)  # in the name of a numbered column


def leave_out_weekdays(profile: Mapping[str, Any], period: Period) -> tuple[Mapping[str, Any], list[str]]:
    """The profile without columns of weekdays where the period is not whole weeks, and a note on each."""
    length = period.until - period.since
    columns = [] if not length % timedelta(days=7) else weekday_columns(profile)
    kept = {
        kind: {name: part for name, part in profile[kind].items() if name not in columns}
        for kind in ("numeric", "categorical")
    }
    days = f"{length / timedelta(days=1):g} days are not whole weeks"
    notes = [f"{name} holds weekdays and is not compared: {days} (monitor.days=7)" for name in columns]
    return {**profile, **kept}, notes


def weekday_columns(profile: Mapping[str, Any]) -> list[str]:
    """The columns that hold the day of the week, by their levels, or by their numbers and their name."""
    found = [name for name, part in profile["numeric"].items() if _is_named(name) and _within_week(part)]
    for name, levels in profile["categorical"].items():
        words = {level.strip().casefold().rstrip(".") for level in levels} - {""}
        numbered = _is_named(name) and words <= NUMBERED
        if len(words) > 1 and (numbered or any(words <= names for names in NAMES)):
            found.append(name)
    return found


def _is_named(column: str) -> bool:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|[^A-Za-z]+", "_", column)  # DayOfWeek, "day of week"
    return bool(WEEKDAY.search(spaced.lower()))


def _within_week(part: Mapping[str, Any]) -> bool:
    return part["lowest"] is not None and part["lowest"] >= 0 and part["highest"] <= 7
