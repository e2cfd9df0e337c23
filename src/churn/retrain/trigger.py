"""When to retrain: a policy over the monitor's history and the retrainings before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from churn.config.loop import TriggerConfig
from churn.errors import UserError

Kind = Literal["alarm", "performance", "schedule", "hand"]


@dataclass(frozen=True)
class Trigger:
    """Whether to retrain now, and why or why not."""

    kind: Kind | None  # None: not now
    reason: str  # a sentence for people

    @property
    def alarmed(self) -> bool:
        """Whether the champion is in doubt: then a challenger that is no worse may replace it."""
        return self.kind in ("alarm", "performance")


def decide_trigger(
    history: Sequence[Mapping[str, Any]],
    retrained: Sequence[datetime],
    now: datetime,
    cfg: TriggerConfig,
    forced: bool = False,
) -> Trigger:
    """The decision at `now` by the champion's lines of `churn.monitor.history.read_history`, oldest first.

    `retrained`: times of earlier retrainings, whatever came of them. By hand, nothing is asked. Otherwise the
    cool-down and the limit a week hold first; then count, in this order, a drop of the performance in the
    newest window (its interval excludes zero), alarms in `alarms` of the last `windows` windows and in the
    newest (as in databricks/mlops-stacks), and the schedule. Raises `UserError` for a policy without sense.
    """
    _check_policy(cfg)
    if forced:
        return Trigger("hand", "asked for by hand")
    if waiting := _why_too_early(retrained, now, cfg):
        return Trigger(None, waiting)
    newest = history[-1] if history else {}
    if cfg.performance and (newest.get("performance") or {}).get("worse"):
        return Trigger("performance", "in the newest window the champion is worse than when it was trained")
    recent = [line["status"] == "alarm" for line in history[-cfg.windows :]]
    alarms = f"an alarm in {sum(recent)} of the last {len(recent)} windows"
    if cfg.alarms and sum(recent) >= cfg.alarms and recent[-1]:
        return Trigger("alarm", f"{alarms} and in the newest")
    if cfg.every_days is not None and _is_due(history, retrained, now, cfg.every_days):
        return Trigger("schedule", f"it is due every {cfg.every_days:g} days")
    return Trigger(None, f"{alarms}; nothing calls for it")


def _check_policy(cfg: TriggerConfig) -> None:
    """Refuse a policy that cannot mean what it says."""
    if not 0 <= cfg.alarms <= cfg.windows:
        raise UserError(
            f"{cfg.alarms} alarms in {cfg.windows} windows cannot be",
            "retrain.trigger",
            "0 (alarms never count) to retrain.trigger.windows",
        )


def _why_too_early(retrained: Sequence[datetime], now: datetime, cfg: TriggerConfig) -> str | None:
    """Why it is too early for another retraining, if it is."""
    if retrained and now - max(retrained) < timedelta(days=cfg.cooldown_days):
        return f"the last retraining is less than {cfg.cooldown_days:g} days ago"
    week = [time for time in retrained if now - time < timedelta(days=7)]
    if len(week) >= cfg.per_week:
        return f"{len(week)} retrainings within a week are the limit"
    return None


def _is_due(
    history: Sequence[Mapping[str, Any]], retrained: Sequence[datetime], now: datetime, days: float
) -> bool:
    """Whether the last retraining, or where there is none the first window, is `days` ago."""
    first = [datetime.fromisoformat(history[0]["time"])] if history else []
    begun = max(retrained) if retrained else next(iter(first), None)
    return begun is None or now - begun >= timedelta(days=days)
