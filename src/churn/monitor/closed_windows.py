"""Which predictions count: performance, effect of calling, CBPE's check and retraining all ask here.

The outcome window of a prediction made at t is (t, t + horizon]. It is closed once it is known who was still
there at its end. Before that only those who left are known, so that open windows would show too much churn.

Customers who are asked again and again count once in each period of one horizon, by their first request in
it: later requests have nearly the same outcome, and a customer's last one is late because he left soon after.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from churn.monitor.labels import DAY, UNKNOWN, Labels, to_seconds

# The newest predictions with closed windows are looked at first, over a quarter of a period; while there are
# fewer than ENOUGH outcomes, the span is doubled.
ENOUGH = 1_000


@dataclass
class Settled:
    """Predictions [n] with closed windows and known outcomes. Codes number the customers of the labels."""

    customer: np.ndarray  # [n] code
    time: np.ndarray  # [n] seconds since 1970
    churned: np.ndarray  # [n] 1 or 0
    treated: np.ndarray  # [n] 1, 0 or UNKNOWN
    value: np.ndarray  # [n] what the caller needs to know, such as the probability

    def take(self, rows: np.ndarray) -> Settled:
        """The predictions at the positions `rows`."""
        return Settled(*(values[rows] for values in vars(self).values()))

    def __len__(self) -> int:
        return len(self.time)

    def __add__(self, other: Settled) -> Settled:
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Settled(*map(np.concatenate, pairs))


NONE = Settled(*(np.zeros(0, kind) for kind in (np.int64, np.int64, np.int8, np.int8, float)))


@dataclass
class ClosedWindows:
    """Collects the predictions of a log, chunk by chunk.

    >>> closed = ClosedWindows(labels, horizon=30)
    >>> closed.add(keys, times, probability)
    >>> closed.newest()
    """

    labels: Labels
    horizon: int  # days
    open: int = 0  # predictions whose window is not closed yet
    unlabelled: int = 0  # predictions with a closed window, but without a label that says what happened
    settled: Settled = field(default_factory=lambda: NONE)
    compacted: int = 0  # size of `settled` after the last compaction

    def add(self, key: np.ndarray, time: np.ndarray, value: np.ndarray) -> np.ndarray:
        """Add predictions [n]; gives the positions of those that are settled."""
        churned, treated = self.labels.settle(key, time, self.horizon)
        rows, closed = np.flatnonzero(churned != UNKNOWN), self.labels.is_closed(time, self.horizon)
        self.open += int((~closed).sum())
        self.unlabelled += int(closed.sum()) - len(rows)
        code = np.searchsorted(self.labels.keys, key[rows])
        self.settled += Settled(code, to_seconds(time[rows]), churned[rows], treated[rows], value[rows])
        return rows

    def compact(self) -> np.ndarray | None:
        """Keep the first prediction of each customer in each quarter of a period.

        Gives the positions that are kept, or None if it is too early: memory grows with customers and
        periods, not with requests.
        """
        if len(self.settled) <= 2 * max(self.compacted, ENOUGH):
            return None
        kept = self._first_rows(self.settled, self.period // 4)
        self.settled, self.compacted = self.settled.take(kept), len(kept)
        return kept

    def newest(self) -> Settled:
        """The newest settled predictions, each customer once a period.

        The span is as short as `ENOUGH` of them allow, so that a change of behaviour is seen soon.
        """
        span, age = self.period // 4, self._age(self.settled)
        while True:
            inside = self.settled.take(np.flatnonzero(age < span))
            chosen = inside.take(self._first_rows(inside, min(span, self.period)))
            if len(chosen) >= ENOUGH or len(inside) == len(self.settled):
                return chosen
            span *= 2

    def campaign(self) -> Settled:
        """The called and the control customers: those of the newest periods, as long as these have others.

        Customers who are asked in every period count in the newest one only: in each older one those would
        come in who have left since, and nobody else. Customers who are asked once count in all periods.
        """
        rows = self.settled.take(self.once_a_period())
        rows = rows.take(np.flatnonzero(rows.treated != UNKNOWN))
        period, chosen = self._age(rows) // self.period, np.zeros(len(rows), bool)
        for number in np.unique(period):
            inside = period == number
            known = np.isin(rows.customer[inside], rows.customer[chosen])
            if known.mean() > 0.5:
                break
            chosen |= inside
        return rows.take(np.flatnonzero(chosen))

    def once_a_period(self) -> np.ndarray:
        """Positions of the settled predictions with each customer once in each period."""
        return self._first_rows(self.settled, self.period)

    def to_json(self) -> dict[str, str | int | None]:
        """How far the labels reach, and which predictions they say nothing about, for reports."""
        closed = self.labels.closed
        until = None if closed == UNKNOWN else datetime.fromtimestamp(closed, UTC).isoformat()
        counts = {"open": self.open, "unlabelled": self.unlabelled}
        return {"horizon": self.horizon, "closed_until": until, **counts}

    @property
    def period(self) -> int:
        """Seconds in which a customer counts once."""
        return max(self.horizon, 1) * DAY

    def _age(self, rows: Settled) -> np.ndarray:
        """[n] seconds between each prediction and the newest one that can have a closed window."""
        return self.labels.closed - self.horizon * DAY - rows.time

    def _first_rows(self, rows: Settled, length: int) -> np.ndarray:
        """Positions of the first prediction of each customer in each period of `length` seconds."""
        period = self._age(rows) // length
        order = np.lexsort((rows.time, period, rows.customer))
        customer, period = rows.customer[order], period[order]
        is_first = np.ones(len(order), bool)
        is_first[1:] = (customer[1:] != customer[:-1]) | (period[1:] != period[:-1])
        return np.sort(order[is_first])
