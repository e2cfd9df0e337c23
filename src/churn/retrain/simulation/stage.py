"""`churn loop`: simulate the years one after the other, and write their page."""

from __future__ import annotations

from pathlib import Path

from churn.config.root import Config
from churn.retrain.simulation import page
from churn.retrain.simulation.model import quick_config
from churn.retrain.simulation.year import ORACLE, Year, simulate


def loop(cfg: Config) -> None:
    """Simulate `loop.seeds` years, write `loop.html` below `run.root`, and print a line for each year."""
    path = Path(cfg.output or Path(cfg.run.root) / "loop.html")
    years: list[Year] = []
    for number in range(cfg.loop.seeds):
        print(f"Simulating the year of seed {cfg.seed + number} (a minute or two) ...", flush=True)
        years.append(simulate(quick_config(cfg), cfg.seed + number))
        print(describe_year(years[-1]), flush=True)
        page.write_loop_page(path, years, cfg)
    print(f"Page: {path}")


def describe_year(year: Year) -> str:
    """One line about a year: the share of the oracle's profit by strategy, retrainings and promotions."""
    shares = ", ".join(f"{name} {year.captured(name):.1%}" for name in year.profit if name != ORACLE)
    retrainings = [decision for decision in year.decisions if decision.is_retraining]
    recalibrations = sum(decision.trigger is not None for decision in year.decisions) - len(retrainings)
    promotions = sum(decision.verdict.promote for decision in retrainings)
    return (
        f"seed {year.seed}: of the oracle's profit {shares}; "
        f"{len(retrainings)} retrainings, {promotions} promotions, "
        f"{recalibrations} recalibrations"
    )
