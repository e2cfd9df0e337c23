"""`churn loop`: the simulated years, one after the other, and their page."""

from __future__ import annotations

from pathlib import Path

from churn.config.root import Config
from churn.retrain.simulation import page
from churn.retrain.simulation.model import quick_config
from churn.retrain.simulation.year import Year, simulate


def loop(cfg: Config) -> None:
    """Live through `loop.seeds` years, write `loop.html` below `run.root`, and say what it was worth."""
    path = Path(cfg.output or Path(cfg.run.root) / "loop.html")
    years: list[Year] = []
    for number in range(cfg.loop.seeds):
        years.append(simulate(quick_config(cfg), cfg.seed + number))
        print(describe_year(years[-1]), flush=True)
        page.write_loop_page(path, years, cfg)
    print(f"Page: {path}")


def describe_year(year: Year) -> str:
    """A year in a line."""
    shares = ", ".join(f"{way} {year.captured(way):.1%}" for way in year.profit if way != "oracle")
    promoted = sum(one.verdict.promote for one in year.decided if one.trigger)
    retrained = sum(one.trigger is not None for one in year.decided)
    return (
        f"seed {year.seed}: of the oracle's profit {shares}; {retrained} retrainings, {promoted} promotions"
    )
