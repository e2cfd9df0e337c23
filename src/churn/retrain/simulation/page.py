"""The page of the simulated year: the profit, the windows of the monitor and each decision."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from churn.config.root import Config
from churn.evaluate.report.templates import template_environment
from churn.files import write_text
from churn.retrain.page import format_number
from churn.retrain.simulation.strategies import Decision
from churn.retrain.simulation.world import DAYS
from churn.retrain.simulation.year import CHURN_RETRAIN, MONTHLY, NEVER, ORACLE, Year, scheduled_changes

# In drawing order, each with its class in the style sheet
LINES = {ORACLE: "oracle", MONTHLY: "monthly", CHURN_RETRAIN: "ours"}
SHOWN = 3  # features that are named for each decision


def write_loop_page(path: Path, years: Sequence[Year], cfg: Config) -> None:
    """Write the page: the first year in full, all years in numbers."""
    year = years[0]
    gains = {way: np.cumsum(year.profit[way] - year.profit[NEVER]) for way in LINES}
    low, high = min(g.min() for g in gains.values()), max(g.max() for g in gains.values())
    reach = max(high - low, 1e-9)
    template = template_environment("retrain/simulation").get_template("loop.html.j2")
    html = template.render(
        years=years,
        year=year,
        cfg=cfg,
        days=DAYS,
        lines={way: (LINES[way], gain.tolist()) for way, gain in gains.items()},
        top=high + 0.1 * reach,  # room for the names of the changes
        bottom=low - 0.25 * reach,  # room for months, windows and decisions
        ticks=_axis_ticks(low, high),
        changes=scheduled_changes(cfg),
        rows=[_decision_row(decision, year) for decision in year.decisions],
        summary=summarize_years(years, cfg),
        ways=(NEVER, MONTHLY, CHURN_RETRAIN, ORACLE),
        total=lambda way: float(year.profit[way].sum()),
        number=format_number,
    )
    write_text(path, html)


def _axis_ticks(low: float, high: float) -> list[float]:
    """About four round numbers in a range."""
    step = 10.0 ** np.floor(np.log10(max(high - low, 1.0)))
    step = next(step * factor for factor in (0.2, 0.5, 1, 2, 5) if (high - low) / (step * factor) <= 5)
    return [float(tick) + 0.0 for tick in np.arange(np.ceil(low / step), high / step + 1e-9) * step]  # no -0


def _decision_row(decision: Decision, year: Year) -> dict[str, Any]:
    """A decision as a row of the table: day, reason, the features that had changed most, and the outcome."""
    window = next(window for window in year.windows if window["day"] == decision.day)
    changed = {name: drift for name, drift in window["features"].items() if drift["status"] != "ok"}
    measured, trigger = window["performance"], decision.trigger
    return {
        "day": decision.day,
        "kind": trigger.kind if trigger else "rollback",
        "reason": trigger.reason if trigger else "the version before is better on the rows since then",
        "changed": sorted(changed, key=lambda name: -abs(changed[name]["profit"]))[:SHOWN],
        "worse": measured["worse_in"] if measured else [],
        "verdict": decision.verdict,
    }


def summarize_years(years: Sequence[Year], cfg: Config) -> dict[str, tuple[float, float, float, int]]:
    """The table "Over N years": median, least and greatest value, and in how many years there is one."""
    rows: dict[str, list[float | None]] = {
        f"share of the oracle's profit, {way}": [100 * year.captured(way) for year in years]
        for way in (CHURN_RETRAIN, MONTHLY, NEVER)
    }
    rows["share of the loss of never retraining that is saved"] = [100 * year.recovered() for year in years]
    for name, day in scheduled_changes(cfg).items():
        rows[f"days until it retrains after {name}"] = [year.days_until(day, False) for year in years]
        rows[f"days until a challenger serves after {name}"] = [year.days_until(day, True) for year in years]
    for name, day in scheduled_changes(cfg).items():
        rows[f"days until it recalibrates after {name}"] = [
            year.days_until_recalibration(day) for year in years
        ]
    rows["retrainings"] = [sum(d.is_retraining for d in year.decisions) for year in years]
    rows["promotions"] = [
        sum(d.is_retraining and d.verdict.promote for d in year.decisions) for year in years
    ]
    rows["recalibrations"] = [
        sum(d.trigger is not None and not d.is_retraining for d in year.decisions) for year in years
    ]
    rows["rollbacks"] = [sum(d.trigger is None for d in year.decisions) for year in years]
    return {name: _median_and_range([v for v in values if v is not None]) for name, values in rows.items()}


def _median_and_range(values: Sequence[float]) -> tuple[float, float, float, int]:
    """Median, least and greatest value, and the number of values."""
    if not values:
        return np.nan, np.nan, np.nan, 0
    return float(np.median(values)), float(min(values)), float(max(values)), len(values)
