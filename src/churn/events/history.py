"""From when to when the tables reach."""

from __future__ import annotations

from churn.errors import UserError
from churn.events.calendar import to_day, today
from churn.events.workspace import Workspace


def data_until(work: Workspace) -> int:
    """The first day that the data do not hold whole: as configured, else of the newest event until today."""
    if work.cfg.until is not None:
        return to_day(work.cfg.until, "events.until")
    return max(_days(work, "max"))


def first_day(work: Workspace) -> int:
    """The day of the oldest event."""
    return min(_days(work, "min"))


def _days(work: Workspace, which: str) -> list[int]:
    """The newest or oldest day of each table of events, until today; of contracts where there are none.

    Raises `UserError` if no table has a row that can be used.
    """
    columns = dict.fromkeys(work.cfg.tables, "day") or dict.fromkeys(work.cfg.contracts, "begin")
    past = today(work.cfg.timezone)  # bookings, and wrong dates, say nothing about how far the data reach
    days = [
        work.one(f"SELECT {which}({column}) FROM all_{name} WHERE {column} <= {past}")
        for name, column in columns.items()
    ]
    if not (found := [day for day in days if day is not None]):
        raise UserError(
            f"no row of {', '.join(columns)} has a customer and a time between 1970 and 2200",
            "events",
            "check the columns that the definition names, and the conditions of `only`",
        )
    return found
