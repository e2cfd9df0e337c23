"""The page of the simulated year: what was seen when, each decision, and what it was worth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from churn.config import Config
from churn.files import write_aside
from churn.pages import environment
from churn.retrain.page import number
from churn.simulation.world import DAYS
from churn.simulation.year import MONTHLY, NEVER, ORACLE, OURS, Decided, Year, changes

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 900, 330, 60, 34, 30  # of the drawing
LINES = {ORACLE: "oracle", MONTHLY: "monthly", OURS: "ours"}  # drawn in this order; class in the style sheet
SHOWN = 3  # features named for each decision


def write(path: Path, years: Sequence[Year], cfg: Config) -> None:
    """Write the page: the first year in full, all of them in numbers."""
    year = years[0]
    gains = {way: np.cumsum(year.profit[way] - year.profit[NEVER]) for way in LINES}
    low, high = min(g.min() for g in gains.values()), max(g.max() for g in gains.values())

    def x(day: float) -> float:
        return LEFT + (WIDTH - LEFT - 8) * day / DAYS

    def y(gain: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - gain) / max(high - low, 1e-9)

    html = environment("simulation").get_template("loop.html.j2").render(
        years=years,
        year=year,
        cfg=cfg,
        x=x,
        y=y,
        width=WIDTH,
        height=HEIGHT,
        lines={way: (LINES[way], " ".join(f"{x(d + 1):.1f},{y(g):.1f}" for d, g in enumerate(gain)), gain)
               for way, gain in gains.items()},
        ticks=ticks(low, high),
        changes=changes(cfg),
        rows=[row(one, year) for one in year.decided],
        summary=summary(years, cfg),
        ways=(NEVER, MONTHLY, OURS, ORACLE),
        total=lambda way: float(year.profit[way].sum()),
        number=number,
    )  # fmt: skip
    with write_aside(path) as aside:
        aside.write_text(html, encoding="utf-8")


def ticks(low: float, high: float) -> list[float]:
    """About four round numbers within a range."""
    step = 10.0 ** np.floor(np.log10(max(high - low, 1.0)))
    step = next(step * factor for factor in (0.2, 0.5, 1, 2, 5) if (high - low) / (step * factor) <= 5)
    return [float(tick) + 0.0 for tick in np.arange(np.ceil(low / step), high / step + 1e-9) * step]  # no -0


def row(one: Decided, year: Year) -> dict[str, Any]:
    """A decision as a line of the table: when, why, what was seen, and the outcome."""
    window = next(window for window in year.windows if window["day"] == one.day)
    changed = sorted(
        ((name, drift) for name, drift in window["features"].items() if drift["status"] != "ok"),
        key=lambda found: -abs(found[1]["profit"]),
    )
    measured = window["performance"]
    return {
        "day": one.day,
        "kind": one.trigger.kind if one.trigger else "rollback",
        "reason": one.trigger.reason if one.trigger else "the version before is better on what came since",
        "seen": [name for name, _ in changed[:SHOWN]],
        "worse": measured["worse_in"] if measured else [],
        "verdict": one.verdict,
    }


def summary(years: Sequence[Year], cfg: Config) -> dict[str, tuple[float, float, float, int]]:
    """Median, least and greatest over the years of what the simulation is asked for."""
    asked: dict[str, list[float | None]] = {
        f"share of the oracle's profit, {way}": [100 * year.captured(way) for year in years]
        for way in (OURS, MONTHLY, NEVER)
    }
    asked["share of the loss of never retraining that is saved"] = [100 * year.recovered() for year in years]
    for name, day in changes(cfg).items():
        asked[f"days until it retrains after {name}"] = [year.days_until(day, False) for year in years]
        asked[f"days until a challenger serves after {name}"] = [year.days_until(day, True) for year in years]
    asked["retrainings"] = [sum(d.trigger is not None for d in year.decided) for year in years]
    asked["promotions"] = [
        sum(d.trigger is not None and d.verdict.promote for d in year.decided) for year in years
    ]
    asked["rollbacks"] = [sum(d.trigger is None for d in year.decided) for year in years]
    return {name: spread([v for v in values if v is not None]) for name, values in asked.items()}


def spread(values: Sequence[float]) -> tuple[float, float, float, int]:
    """Median, least, greatest, and in how many years there was a value."""
    if not values:
        return np.nan, np.nan, np.nan, 0
    return float(np.median(values)), float(min(values)), float(max(values)), len(values)
