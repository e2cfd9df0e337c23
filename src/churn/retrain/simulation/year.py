"""One simulated year: the profit of each strategy on each day, and what `churn retrain` saw and decided."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from churn.bundle.decision import expected_profit
from churn.config.root import Config
from churn.retrain.simulation.strategies import (
    Decision,
    Simulation,
    with_churn_retrain,
    with_monthly_retraining,
)
from churn.retrain.simulation.world import DAYS, first_day

CHURN_RETRAIN, NEVER, MONTHLY, ORACLE = "churn retrain", "never", "every month", "oracle"  # strategies


@dataclass(frozen=True)
class Year:
    """The result of a simulated year."""

    seed: int
    window_days: int
    windows: list[dict[str, Any]] = field(default_factory=list)  # the monitor's reports, oldest first
    decisions: list[Decision] = field(default_factory=list)  # of `churn retrain`
    profit: dict[str, np.ndarray] = field(default_factory=dict)  # [DAYS] by strategy

    def captured(self, strategy: str = CHURN_RETRAIN) -> float:
        """Profit of a strategy as a share of the oracle's."""
        return float(self.profit[strategy].sum() / self.profit[ORACLE].sum())

    def recovered(self) -> float:
        """The share of the profit lost by never retraining that `churn retrain` saves."""
        retrain, never, oracle = (self.profit[name].sum() for name in (CHURN_RETRAIN, NEVER, ORACLE))
        return float((retrain - never) / (oracle - never))

    def days_until(self, change: int, promoted: bool) -> int | None:
        """Days from the day `change` to the next retraining, or with `promoted` to the next promotion."""
        days = [
            decision.day
            for decision in self.decisions
            if decision.day > change and decision.trigger and (decision.verdict.promote or not promoted)
        ]
        return min(days) - change if days else None


def simulate(cfg: Config, seed: int) -> Year:
    """Simulate the year of a seed; all strategies begin with the same model.

    >>> simulate(quick_config(compose_config()), seed=0).captured()
    """
    simulation = Simulation.start(cfg, seed)
    models, windows, decisions = with_churn_retrain(simulation)
    serving = {
        NEVER: [simulation.first] * DAYS,
        MONTHLY: with_monthly_retraining(simulation),
        CHURN_RETRAIN: models,
    }
    world, costs = simulation.world, cfg.decision
    gain = expected_profit(world.probability, np.array(costs.customer_value), costs)
    days = [world.between(day, day + 1) for day in range(DAYS)]
    profit = {
        strategy: np.array(
            [gain[rows][model.calls(rows)].sum() for model, rows in zip(models, days, strict=True)]
        )
        for strategy, models in serving.items()
    }
    profit[ORACLE] = np.array([np.maximum(gain[rows], 0).sum() for rows in days])
    return Year(seed, cfg.loop.window_days, windows, decisions, profit)


def scheduled_changes(cfg: Config) -> dict[str, int]:
    """The changes of the year, each with its day."""
    return {
        "prices rise": first_day(cfg.loop.price_month),
        "a competitor": first_day(cfg.loop.competitor_month),
    }
