"""When to retrain: a policy over the monitor's reports and the times of earlier retrainings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from churn.config.loop import TriggerConfig
from churn.errors import UserError

Kind = Literal["alarm", "performance", "schedule", "hand", "recalibration"]


@dataclass(frozen=True)
class Trigger:
    """Whether to retrain now, and why or why not."""

    kind: Kind | None  # None: do not retrain
    reason: str  # for people

    @property
    def alarmed(self) -> bool:
        """Whether the champion is in doubt: then a challenger that is no worse may replace it."""
        return self.kind in ("alarm", "performance")


def decide_trigger(
    reports: Sequence[Mapping[str, Any]],
    retrained: Sequence[datetime],
    now: datetime,
    cfg: TriggerConfig,
    forced: bool = False,
) -> Trigger:
    """Whether to retrain at `now`.

    `reports`: the monitor's on the champion, oldest first (`churn.retrain.history.champion_windows`).
    `retrained`: times of earlier retrainings, whether or not they led to a promotion.

    A forced retraining needs no reason. Any other must respect the cool-down and the limit a week. Then these
    reasons count, in this order: in the newest window the performance dropped (the interval of the drop
    excludes zero); `alarms` of the last `windows` windows have an alarm by drift, the newest among them (as
    in databricks/mlops-stacks); the schedule. A drop is no alarm: many windows have the same outcomes. Raises
    `UserError` for a policy that no history can fulfil.

    >>> decide_trigger(reports, [], datetime.now(UTC), TriggerConfig(alarms=2, windows=5)).reason
    """
    _check_policy(cfg)
    if forced:
        return Trigger("hand", "asked for by hand")
    if waiting := _why_too_early(retrained, now, cfg):
        return Trigger(None, waiting)
    newest = reports[-1] if reports else {}
    if cfg.performance and (newest.get("performance") or {}).get("worse"):
        return Trigger("performance", "in the newest window the champion is worse than when it was trained")
    alarms = [_drift(report) == "alarm" for report in reports[-cfg.windows :]]
    count = f"an alarm in {sum(alarms)} of the last {len(alarms)} windows"
    if cfg.alarms and sum(alarms) >= cfg.alarms and alarms[-1]:
        return Trigger("alarm", f"{count} and in the newest")
    if cfg.every_days is not None and _is_due(reports, retrained, now, cfg.every_days):
        return Trigger("schedule", f"it is due every {cfg.every_days:g} days")
    needed = f": {cfg.alarms} of {cfg.windows} would (retrain.trigger.alarms)" if cfg.alarms else ""
    return Trigger(None, f"{count}; nothing calls for it{needed}")


def _drift(report: Mapping[str, Any]) -> str:
    """The status of the inputs and scores; earlier versions wrote only the status of all."""
    return str(report.get("drift", report["status"]))


def _check_policy(cfg: TriggerConfig) -> None:
    if not 0 <= cfg.alarms <= cfg.windows:
        raise UserError(
            f"{cfg.alarms} alarms in {cfg.windows} windows are impossible",
            "retrain.trigger",
            "0 (alarms never count) to retrain.trigger.windows",
        )


def _why_too_early(retrained: Sequence[datetime], now: datetime, cfg: TriggerConfig) -> str | None:
    if retrained and now - max(retrained) < timedelta(days=cfg.cooldown_days):
        return f"the last retraining is less than {cfg.cooldown_days:g} days ago"
    this_week = [time for time in retrained if now - time < timedelta(days=7)]
    if len(this_week) >= cfg.per_week:
        return f"{len(this_week)} retrainings within a week are the limit"
    return None


def _is_due(
    reports: Sequence[Mapping[str, Any]], retrained: Sequence[datetime], now: datetime, days: float
) -> bool:
    """Whether the last retraining is `days` ago, or the first window where there was no retraining."""
    if retrained:
        return now - max(retrained) >= timedelta(days=days)
    return not reports or now - datetime.fromisoformat(reports[0]["time"]) >= timedelta(days=days)
