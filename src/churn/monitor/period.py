"""The period of a window: `monitor.since` to `monitor.until`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from churn.config.limits import YEARS
from churn.config.loop import MonitorConfig
from churn.errors import UserError


@dataclass(frozen=True)
class Period:
    """since <= time < until, in UTC."""

    since: datetime
    until: datetime

    @classmethod
    def of(cls, cfg: MonitorConfig) -> Period:
        """The configured period; raises `UserError` if it ends before it begins."""
        until = parse_time(cfg.until, "monitor.until")
        since = parse_time(cfg.since, "monitor.since") if cfg.since else until - timedelta(days=cfg.days)
        if since >= until:
            fault = f"the window ends before it begins: {since} to {until}"
            raise UserError(fault, "monitor.since, monitor.until")
        return cls(since, until)


def parse_time(text: str | None, key: str) -> datetime:
    """The moment of an ISO date or time in UTC, which is also the zone if it names none; now for None.

    >>> parse_time("2026-11-24", "monitor.until")
    """
    if text is None:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(text)
        if moment.year not in YEARS:
            raise ValueError(moment)
    except ValueError:
        raise UserError(f"'{text}' is no time", key, "write 2026-11-24 or 2026-11-24T12:00") from None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
