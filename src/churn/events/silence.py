"""How many of the silent come back, by days of silence: what a definition of inactivity rests on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from churn.events.names import CUSTOMER
from churn.events.workspace import Workspace

CUSTOMERS = 20_000  # looked at, at most
STABLE = 0.1  # share of the silent who come back, below which a silence counts as an end


@dataclass(frozen=True)
class Silence:
    """Returns after a silence, by its length in whole days."""

    table: str
    days: np.ndarray  # [n] 0, 1, ...
    come_back: np.ndarray  # [n] share of those silent for so long who come back within the history
    at_risk: np.ndarray  # [n] silences that were seen to last so long

    @property
    def stable_from(self) -> int | None:
        """Days of silence after which fewer than `STABLE` come back; None where that is not seen."""
        enough = np.flatnonzero((self.come_back < STABLE) & (self.at_risk >= 30))
        return int(self.days[enough[0]]) if len(enough) else None


def returns_after_silence(work: Workspace, table: str, until: int) -> Silence | None:
    """From the gaps between the days with events of up to `CUSTOMERS` customers; None without any gap.

    The last gap of each customer is not over when the data end: it is censored (Kaplan and Meier 1958).
    """
    last = min(work.customers, CUSTOMERS)
    gaps = work.rows(
        f"SELECT gap, ended, count(*) FROM (SELECT coalesce(lead(day) OVER w, {until}) - day AS gap, "
        f"lead(day) OVER w IS NOT NULL AS ended FROM (SELECT DISTINCT {CUSTOMER}, day FROM all_{table} "
        f"WHERE {CUSTOMER} < {last} AND day < {until}) WINDOW w AS (PARTITION BY {CUSTOMER} ORDER BY day)) "
        "GROUP BY gap, ended"
    )
    if not any(ended for _, ended, _ in gaps):
        return None
    longest = max(gap for gap, _, _ in gaps)
    counts = np.zeros((2, longest + 1))
    for gap, ended, rows in gaps:
        counts[int(ended), gap] += rows
    return _estimate(table, *counts)


def _estimate(table: str, censored: np.ndarray, returned: np.ndarray) -> Silence:
    """The curve from how many silences of each length [n] were censored, and ended by a return."""
    at_risk = (censored + returned)[::-1].cumsum()[::-1]
    lasting = np.cumprod(1 - returned / np.maximum(at_risk, 1))  # share of silences longer than so many days
    before = np.concatenate([[1.0], lasting[:-1]])  # that last at least so many
    come_back = 1 - lasting[-1] / np.maximum(before, 1e-300)
    return Silence(table, np.arange(len(at_risk)), come_back, at_risk)
