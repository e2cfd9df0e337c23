"""Decides whether a change is ok, a warning or an alarm.

A change must be significant and large. Significance is corrected for the number of columns, the size for
sampling (`churn.monitor.drift.column`). `benchmarks/drift.py` measures how often the decisions are wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

from churn.config.root import Config
from churn.monitor.drift.column import ColumnChange

STATUSES = ("ok", "warning", "alarm")  # in order of severity
TOO_FEW_ROWS = "too few rows"


@dataclass(frozen=True)
class DriftPolicy:
    """Thresholds of warnings and alarms; shares of false alarms are for a whole run.

    >>> DriftPolicy(min_rows=500, alarm_psi=0.2)
    """

    min_rows: int = 200  # with fewer rows there is no verdict
    significance: float = 0.005  # share of runs with a false alarm in any feature or the score ...
    significance_together: float = 0.002  # ... and in the comparison of all features together
    warning_psi: float = 0.02
    alarm_psi: float = 0.10
    warning_shift: float = 0.1  # standard deviations
    alarm_shift: float = 0.3
    alarm_auc: float = 0.6  # of the comparison of all features together
    permutations: int = 2_000  # at most, in that comparison; 0: leave it out
    seed: int = 0

    @classmethod
    def of(cls, cfg: Config) -> DriftPolicy:
        """The policy with the thresholds of `cfg.monitor`."""
        return cls(
            min_rows=cfg.monitor.min_rows,
            warning_psi=cfg.monitor.warning_psi,
            alarm_psi=cfg.monitor.alarm_psi,
            permutations=cfg.monitor.permutations,
            seed=cfg.seed,
        )

    def column_status(self, change: ColumnChange, columns: int) -> str:
        """The status of one column out of so many that are compared, the score among them."""
        if change.p >= self.significance / columns:
            return "ok"
        shift = change.shift or 0.0
        if change.psi >= self.alarm_psi or shift >= self.alarm_shift:
            return "alarm"
        return "warning" if change.psi >= self.warning_psi or shift >= self.warning_shift else "ok"

    def joint_status(self, auc: float, p: float) -> str:
        """The status of all features together, by the AUC of a classifier and its p-value."""
        if p >= self.significance_together:
            return "ok"
        return "alarm" if auc >= self.alarm_auc else "warning"
