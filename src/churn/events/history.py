"""From when to when the tables reach."""

from __future__ import annotations

from collections.abc import Iterator

from churn.config.events import ChurnKind
from churn.errors import UserError
from churn.events.calendar import to_day, today
from churn.events.workspace import Workspace

STALE = 7  # days without an event from which a table may have ended early


def data_until(work: Workspace) -> int:
    """The first day that the data do not hold whole: as configured, else of the newest event until today.

    Where silence decides, the newest event of the table that breaks it.
    """
    if work.cfg.until is not None:
        return to_day(work.cfg.until, "events.until")
    churn = work.cfg.churn
    decides = {str(churn.table): "day"} if churn.kind is ChurnKind.inactive else _columns(work)
    return max(_days(work, "max", decides))


def first_day(work: Workspace) -> int:
    """The day of the oldest event."""
    return min(_days(work, "min", _columns(work)))


def ended_tables(work: Workspace, cutoff: int) -> Iterator[tuple[str, int | None]]:
    """Tables of events that seem to end before a cut-off, with the day of their newest event before it.

    That is more than `STALE` days ago, and longer than nearly all (99 %) pauses before it: some tables have
    an event a month. None: there is no event before it.
    """
    for name in work.cfg.tables:
        newest, pause = work.rows(
            "SELECT max(day), coalesce(quantile_disc(pause, 0.99), 0) FROM "
            "(SELECT day, day - lag(day) OVER (ORDER BY day) AS pause FROM "
            f"(SELECT DISTINCT day FROM all_{name} WHERE day < {cutoff}))"
        )[0]
        if newest is None or cutoff - newest > max(STALE, pause):
            yield name, newest


def _columns(work: Workspace) -> dict[str, str]:
    """The tables of events, of contracts where there are none, and their columns of days."""
    return dict.fromkeys(work.cfg.tables, "day") or dict.fromkeys(work.cfg.contracts, "begin")


def _days(work: Workspace, which: str, columns: dict[str, str]) -> list[int]:
    """The newest or oldest day of each table, until today.

    Raises `UserError` if no table has a row that can be used.
    """
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
