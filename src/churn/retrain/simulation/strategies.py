"""Strategies of the simulated year: which model serves on each day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from churn.bundle import decision
from churn.bundle.registry import CHALLENGER, CHAMPION, REFERENCE
from churn.config.root import Config
from churn.data.progress import announced
from churn.errors import UserError
from churn.monitor.drift.alarm import DriftPolicy
from churn.monitor.window import Window, assess_window
from churn.retrain.gate import (
    FreshRows,
    Verdict,
    are_too_few,
    is_regression,
    judge_challenger,
    rollback_config,
)
from churn.retrain.recalibration import OpenWindows, Shift, fit_shift
from churn.retrain.simulation.model import SimulatedModel, fit_model
from churn.retrain.simulation.world import (
    BEGIN,
    DAY,
    DAYS,
    MONTH,
    SCHEMA,
    World,
    day_time,
    known_rows,
    make_world,
)
from churn.retrain.training_set import split_fresh
from churn.retrain.trigger import Trigger, decide_trigger


@dataclass(frozen=True)
class Simulation:
    """What all strategies share."""

    world: World
    cfg: Config
    seed: int
    first: SimulatedModel  # serves on the first day, and is the gate's reference

    @classmethod
    def start(cls, cfg: Config, seed: int) -> Simulation:
        """The world of a seed and its first model; raises `UserError` if that has nothing to learn from."""
        history, label = cfg.loop.history_days, cfg.loop.label_days
        if history <= label:
            where = f"loop.history_days={history} loop.label_days={label}"
            do = "choose loop.history_days above loop.label_days"
            raise UserError("the first model has no labels to learn from", where, do)
        world = make_world(cfg.loop, seed)
        return cls(world, cfg, seed, _fit_known_rows(world, 0, cfg, seed))


def _fit_known_rows(world: World, day: int, cfg: Config, seed: int) -> SimulatedModel:
    return fit_model(world.rows.take(known_rows(world, day, cfg.loop)), world, cfg, seed + day)


@dataclass(frozen=True)
class Decision:
    """A retraining with the gate's verdict, a recalibration, or a rollback."""

    day: int
    trigger: Trigger | None  # None: a rollback
    verdict: Verdict

    @property
    def is_retraining(self) -> bool:
        """Whether a challenger was trained."""
        return self.trigger is not None and self.trigger.kind != "recalibration"


@dataclass(frozen=True)
class _Champion:
    """The model that serves, and what the monitor saw of it."""

    model: SimulatedModel
    since: int = 0  # the day on which it began to serve
    previous: SimulatedModel | None = None  # the model that it replaced, for a rollback
    reports: list[dict[str, Any]] = field(default_factory=list)  # oldest first


def with_monthly_retraining(simulation: Simulation) -> list[SimulatedModel]:
    """[DAYS] models where a new one replaces the old one every month, without a gate."""
    world, cfg, seed = simulation.world, simulation.cfg, simulation.seed
    models = [simulation.first]
    days = announced(range(MONTH, DAYS, MONTH), lambda _: MONTH, "simulated with a model a month", "day")
    models += [_fit_known_rows(world, day, cfg, seed) for day in days]
    return [models[day // MONTH] for day in range(DAYS)]


def with_churn_retrain(
    simulation: Simulation,
) -> tuple[list[SimulatedModel], list[dict[str, Any]], list[Decision]]:
    """[DAYS] models where monitor, trigger and gate decide; the monitor's reports; and the decisions."""
    champion = _Champion(simulation.first)
    models: list[SimulatedModel] = []
    reports: list[dict[str, Any]] = []
    decisions: list[Decision] = []
    for day in announced(range(1, DAYS + 1), lambda _: 1, "simulated with churn retrain", "day"):
        models.append(champion.model)
        if day % simulation.cfg.loop.window_days:
            continue
        reports.append(_monitor_window(simulation, champion, day))
        champion.reports.append(reports[-1])
        retrained = [day_time(past.day) for past in decisions if past.is_retraining]
        decided, champion = _decide(simulation, champion, retrained, day)
        decisions += [decided] if decided else []
    return models, reports, decisions


def _monitor_window(simulation: Simulation, champion: _Champion, day: int) -> dict[str, Any]:
    """The monitor's report on the window that ends on the morning of a day."""
    world, cfg = simulation.world, simulation.cfg
    window = Window.of(champion.model.profile, cfg.seed)
    new = world.between(day - cfg.loop.window_days, day)
    columns = {name: world.rows.frame[name].to_numpy()[new] for name in SCHEMA.features}
    window.summary.add(columns, champion.model.probability[new])
    last = day - cfg.loop.label_days
    settled = world.between(max(champion.since, last - cfg.loop.settled_days), last)
    window.outcomes.add(champion.model.probability[settled], world.rows.churned[settled])
    policy = DriftPolicy(min_rows=cfg.monitor.min_rows, permutations=0)
    report = assess_window(window, champion.model.metrics, policy)
    return {"time": day_time(day).isoformat(), "day": day, **report}


def _decide(
    simulation: Simulation, champion: _Champion, retrained: Sequence[datetime], day: int
) -> tuple[Decision | None, _Champion]:
    """What `churn retrain` does on the morning of a day, if anything, and who serves then."""
    if champion.previous:
        verdict = _rollback_verdict(simulation, champion, champion.previous, day)
        if is_regression(verdict):
            return Decision(day, None, verdict), _Champion(champion.previous, day)
    if (shift := _open_windows_shift(simulation, champion.model, day)).needed(simulation.cfg.retrain):
        model, trigger = champion.model.recalibrated(shift.log_odds), Trigger("recalibration", str(shift))
        verdict = Verdict(True, str(shift), shift.rows, {}, [])
        return Decision(day, trigger, verdict), replace(
            champion, model=model, since=day, previous=champion.model
        )
    trigger = decide_trigger(champion.reports, retrained, day_time(day), simulation.cfg.retrain.trigger)
    challenger = train_challenger(simulation, champion.model, trigger, day) if trigger.kind else None
    if challenger is None:
        return None, champion
    model, verdict = challenger
    promoted = _Champion(model, day, champion.model) if verdict.promote else champion
    return Decision(day, trigger, verdict), promoted


def _open_windows_shift(simulation: Simulation, model: SimulatedModel, day: int) -> Shift:
    """The shift of a model's log-odds that the leavers of the newest predictions call for."""
    world = simulation.world
    rows = world.between(day - simulation.cfg.retrain.recalibration_days, day)
    age = (day - world.day[rows]).astype(float)
    left = (world.rows.churned[rows] == 1) & (world.age[rows] <= age)
    closed = known_rows(world, day, simulation.cfg.loop)
    leavers = world.age[closed[world.rows.churned[closed] == 1]]
    return fit_shift(OpenWindows(model.probability[rows], left, age, leavers))


def train_challenger(
    simulation: Simulation, champion: SimulatedModel, trigger: Trigger, day: int
) -> tuple[SimulatedModel, Verdict] | None:
    """A new model and the gate's verdict; None while there are too few fresh rows, as in `churn retrain`."""
    world, cfg = simulation.world, simulation.cfg
    labelled = known_rows(world, day, cfg.loop)
    now = BEGIN + day * DAY
    train, fresh = split_fresh(world.rows.take(labelled), champion.seen, now, cfg.retrain, simulation.seed)
    if are_too_few(len(fresh), int(fresh.churned.sum()), cfg.retrain.gate):
        return None
    challenger = fit_model(train, world, cfg, simulation.seed + day)
    compared = labelled[pd.Index(world.rows.customers[labelled]).isin(fresh.customers)]
    models = {CHAMPION: champion, CHALLENGER: challenger}
    if simulation.first is not champion:
        models[REFERENCE] = simulation.first
    return challenger, _gate_verdict(simulation, compared, models, trigger.alarmed)


def _rollback_verdict(
    simulation: Simulation, champion: _Champion, previous: SimulatedModel, day: int
) -> Verdict:
    """The gate's verdict on the previous model as the challenger, on the rows since the promotion."""
    cfg = simulation.cfg
    first = max(champion.since, day - cfg.retrain.probation_days)
    rows = simulation.world.between(first, day - cfg.loop.label_days)
    strict = replace(simulation, cfg=rollback_config(cfg))
    return _gate_verdict(strict, rows, {CHAMPION: champion.model, CHALLENGER: previous}, alarmed=False)


def _gate_verdict(
    simulation: Simulation, rows: np.ndarray, models: dict[str, SimulatedModel], alarmed: bool
) -> Verdict:
    """The gate's verdict on the world's rows at these positions."""
    cfg, churned = simulation.cfg, simulation.world.rows.churned[rows]
    fresh = FreshRows(
        churned,
        {name: model.probability[rows] for name, model in models.items()},
        {name: model.calls(rows) for name, model in models.items()},
        decision.call_gain(churned, np.array(cfg.decision.customer_value), cfg.decision),
    )
    return judge_challenger(fresh, alarmed, cfg.retrain.gate, cfg.seed)
