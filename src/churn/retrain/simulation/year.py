"""One year, day by day: what is seen, what is decided, and what it earns beside other ways to live."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from churn.bundle import decision
from churn.config.root import Config
from churn.monitor.drift.alarm import DriftPolicy
from churn.monitor.window import Window, assess_window
from churn.retrain.gate import (
    CHALLENGER,
    CHAMPION,
    REFERENCE,
    FreshRows,
    Verdict,
    is_regression,
    judge_challenger,
    rollback_config,
)
from churn.retrain.simulation.model import SimulatedModel, fit_model
from churn.retrain.simulation.world import BEGIN, DAYS, SCHEMA, World, first_day, make_world
from churn.retrain.training_set import split_fresh
from churn.retrain.trigger import Trigger, decide_trigger

CHURN_RETRAIN, NEVER, MONTHLY, ORACLE = "churn retrain", "never", "every month", "oracle"
MONTH = 30


@dataclass(frozen=True)
class Decision:
    """A retraining, or a promotion that was taken back."""

    day: int
    trigger: Trigger | None  # None: a rollback
    verdict: Verdict


@dataclass
class Year:
    """What happened."""

    seed: int
    window_days: int
    windows: list[dict[str, Any]] = field(default_factory=list)  # of the monitor, as in its history
    decided: list[Decision] = field(default_factory=list)
    profit: dict[str, np.ndarray] = field(default_factory=dict)  # [DAYS] by way to live

    def captured(self, way: str = CHURN_RETRAIN) -> float:
        """Profit as a share of the oracle's."""
        return float(self.profit[way].sum() / self.profit[ORACLE].sum())

    def recovered(self) -> float:
        """The share of what never retraining loses to the oracle that is saved."""
        ours, never, oracle = (self.profit[way].sum() for way in (CHURN_RETRAIN, NEVER, ORACLE))
        return float((ours - never) / (oracle - never))

    def days_until(self, change: int, promoted: bool) -> int | None:
        """Days from a change to the first retraining after it, or to the first promotion."""
        days = [
            d.day
            for d in self.decided
            if d.day > change and d.trigger and (d.verdict.promote or not promoted)
        ]
        return min(days) - change if days else None


def simulate(cfg: Config, seed: int) -> Year:
    """The year of one seed; the first champion is the same for all ways to live."""
    world, year = make_world(cfg.loop, seed), Year(seed, cfg.loop.window_days)
    first = fit_model(world.rows.take(known_rows(world, 0, cfg)), world, cfg, seed)
    earned = decision.expected_profit(world.probability, np.array(cfg.decision.customer_value), cfg.decision)
    serving = {
        NEVER: [first] * DAYS,
        MONTHLY: _with_monthly_retraining(world, first, cfg, seed),
        CHURN_RETRAIN: _with_churn_retrain(world, first, cfg, year),
    }
    for way, models in serving.items():
        year.profit[way] = np.array(
            [earned[rows][models[day].calls(rows)].sum() for day, rows in _rows_by_day(world)]
        )
    year.profit[ORACLE] = np.array([np.maximum(earned[rows], 0).sum() for _, rows in _rows_by_day(world)])
    return year


def _rows_by_day(world: World) -> list[tuple[int, np.ndarray]]:
    """The days of the year with their rows."""
    return [(day, world.between(day, day + 1)) for day in range(DAYS)]


def known_rows(world: World, day: int, cfg: Config) -> np.ndarray:
    """Positions of the rows whose labels are there on the morning of a day, as far back as one looks."""
    return world.between(day - cfg.loop.label_days - cfg.loop.memory_days, day - cfg.loop.label_days)


def _with_monthly_retraining(
    world: World, first: SimulatedModel, cfg: Config, seed: int
) -> list[SimulatedModel]:
    """Who serves on each day where a new model replaces the old one every month, unasked."""
    later = range(MONTH, DAYS, MONTH)
    models = [
        first,
        *(fit_model(world.rows.take(known_rows(world, day, cfg)), world, cfg, seed + day) for day in later),
    ]
    return [models[day // MONTH] for day in range(DAYS)]


def _with_churn_retrain(world: World, first: SimulatedModel, cfg: Config, year: Year) -> list[SimulatedModel]:
    """Who serves on each day where monitor, trigger and gate decide; writes what happened into `year`."""
    champion, since, before = first, 0, None
    models: list[SimulatedModel] = []
    history: list[dict[str, Any]] = []
    retrained: list[datetime] = []
    for day in range(DAYS):
        models.append(champion)
        if (day + 1) % cfg.loop.window_days:
            continue
        now = day_time(day + 1)
        history.append(_monitor_window(world, champion, since, day + 1, cfg))
        year.windows.append(history[-1])
        if before and is_regression(
            verdict := _rollback_verdict(world, champion, before, since, day + 1, cfg)
        ):
            year.decided.append(Decision(day + 1, None, verdict))
            champion, before, since, history = before, None, day + 1, []
            continue
        trigger = decide_trigger(history, retrained, now, cfg.retrain.trigger)
        if trigger.kind is None:
            continue
        if (made := train_challenger(world, champion, first, trigger, day + 1, cfg, year.seed)) is None:
            continue
        retrained.append(now)
        challenger, verdict = made
        year.decided.append(Decision(day + 1, trigger, verdict))
        if verdict.promote:
            champion, before, since, history = challenger, champion, day + 1, []
    return models


def day_time(day: int) -> datetime:
    """The morning of a day."""
    return datetime.fromisoformat(f"{BEGIN}+00:00") + timedelta(days=day)


def _monitor_window(
    world: World, champion: SimulatedModel, since: int, day: int, cfg: Config
) -> dict[str, Any]:
    """The monitor's report on the window that ends on the morning of a day."""
    window = Window.of(champion.profile, cfg.seed)
    new = world.between(day - cfg.loop.window_days, day)
    window.summary.add(
        {name: world.rows.frame[name].to_numpy()[new] for name in SCHEMA.features}, champion.probability[new]
    )
    settled = world.between(
        max(since, day - cfg.loop.label_days - cfg.loop.settled_days), day - cfg.loop.label_days
    )
    window.outcomes.add(champion.probability[settled], world.rows.churned[settled])
    report = assess_window(
        window, champion.metrics, DriftPolicy(min_rows=cfg.monitor.min_rows, permutations=0)
    )
    return {"time": day_time(day).isoformat(), "day": day, **report}


def train_challenger(
    world: World,
    champion: SimulatedModel,
    first: SimulatedModel,
    trigger: Trigger,
    day: int,
    cfg: Config,
    seed: int,
) -> tuple[SimulatedModel, Verdict] | None:
    """A new model and the gate's verdict, or none while it could not be judged: see `churn.retrain.stage`."""
    labelled = known_rows(world, day, cfg)
    now = BEGIN + np.timedelta64(86_400 * day, "s")
    train, fresh = split_fresh(world.rows.take(labelled), champion.seen, now, cfg.retrain, seed)
    if len(fresh) < cfg.retrain.gate.min_rows:
        return None
    challenger = fit_model(train, world, cfg, seed + day)
    compared = labelled[np.isin(world.rows.customers[labelled], fresh.customers)]
    models = {CHAMPION: champion, CHALLENGER: challenger} | (
        {REFERENCE: first} if first is not champion else {}
    )
    return challenger, _gate_verdict(world, compared, models, trigger.alarmed, cfg)


def _rollback_verdict(
    world: World, champion: SimulatedModel, before: SimulatedModel, since: int, day: int, cfg: Config
) -> Verdict:
    """Whether the model before would have been better on what came since the promotion."""
    rows = world.between(max(since, day - cfg.retrain.probation_days), day - cfg.loop.label_days)
    return _gate_verdict(world, rows, {CHAMPION: champion, CHALLENGER: before}, False, rollback_config(cfg))


def _gate_verdict(
    world: World, rows: np.ndarray, models: dict[str, SimulatedModel], alarmed: bool, cfg: Config
) -> Verdict:
    """The gate's verdict on some rows of the world."""
    churned = world.rows.churned[rows]
    fresh = FreshRows(
        churned,
        {name: model.probability[rows] for name, model in models.items()},
        {name: model.calls(rows) for name, model in models.items()},
        decision.call_gain(churned, np.array(cfg.decision.customer_value), cfg.decision),
    )
    return judge_challenger(fresh, alarmed, cfg.retrain.gate, cfg.seed)


def scheduled_changes(cfg: Config) -> dict[str, int]:
    """What changes in the year, by the day on which it does."""
    return {
        "prices rise": first_day(cfg.loop.price_month),
        "a competitor": first_day(cfg.loop.competitor_month),
    }
