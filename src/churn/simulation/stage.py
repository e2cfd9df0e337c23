"""`churn loop`: the simulated years, one after the other, and their page."""

from __future__ import annotations

from pathlib import Path

from churn.config import Config
from churn.simulation import page
from churn.simulation.model import quick
from churn.simulation.year import Year, live


def loop(cfg: Config) -> None:
    """Live through `loop.seeds` years, write `loop.html` below `run.root`, and say what it was worth."""
    path = Path(cfg.output or Path(cfg.run.root) / "loop.html")
    years: list[Year] = []
    for number in range(cfg.loop.seeds):
        years.append(live(quick(cfg), cfg.seed + number))
        print(in_words(years[-1]), flush=True)
        page.write(path, years, cfg)
    print(f"Page: {path}")


def in_words(year: Year) -> str:
    """A year in a line."""
    shares = ", ".join(f"{way} {year.captured(way):.1%}" for way in year.profit if way != "oracle")
    promoted = sum(one.verdict.promote for one in year.decided if one.trigger)
    retrained = sum(one.trigger is not None for one in year.decided)
    return (
        f"seed {year.seed}: of the oracle's profit {shares}; {retrained} retrainings, {promoted} promotions"
    )
