"""Tables of subscriptions, plans, payments and usage, as a synthetic company would have them."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from churn.config.events import SyntheticEventsConfig
from churn.errors import UserError
from churn.events.synthetic.world import PLANS, SECONDS, World, fees, simulate
from churn.files import atomic_write

ZONE = "Europe/Berlin"
TRUTH = "truth.parquet"  # only tables that were made have it beside them


def write_tables(cfg: SyntheticEventsConfig, folder: Path, seed: int) -> dict[str, int]:
    """Write the tables, `TRUTH` with the probabilities first; gives the rows of each.

    Raises `UserError` for a start that is not the first of a month, and where other tables would be replaced.
    """
    made = make_tables(cfg, seed)
    if not (folder / TRUTH).exists() and (there := [name for name in made if (folder / name).exists()]):
        what = f"these tables would be replaced, and are not from here: {', '.join(there)}"
        raise UserError(what, str(folder), "name another folder: events.folder=FOLDER")
    for name, frame in made.items():
        with atomic_write(folder / name) as aside:
            if name.endswith(".csv"):
                frame.to_csv(aside, index=False)
            else:
                frame.to_parquet(aside, index=False)
    return {name: len(frame) for name, frame in made.items()}


def make_tables(cfg: SyntheticEventsConfig, seed: int) -> dict[str, pd.DataFrame]:
    """The tables by the names of their files; raises `UserError` unless the start is the first of a month."""
    world = simulate(cfg, _month_days(cfg), seed)
    names = np.array([f"C{i:07d}" for i in range(len(world.begin))], object)
    return {
        TRUTH: _truth(world, names),
        "subscriptions.csv": _subscriptions(world, names),
        "plans.csv": _plans(world, names),
        "payments.csv": _payments(world, names),
        "usage.parquet": _usage(world, names),
    }


def _month_days(cfg: SyntheticEventsConfig) -> list[int]:
    """The first day of each month, and of the one after the last, since 1970."""
    try:
        start = date.fromisoformat(cfg.start)
    except ValueError:
        raise UserError(
            f"'{cfg.start}' is no date", "events.synthetic.start", "write it like 2023-01-01"
        ) from None
    if start.day != 1:
        raise UserError("the first day is not the first of a month", f"events.synthetic.start={cfg.start}")
    months = pd.date_range(start, periods=cfg.months + 1, freq="MS")
    return [int(day) for day in months.to_numpy().astype("datetime64[D]").astype(int)]


def _subscriptions(world: World, names: np.ndarray) -> pd.DataFrame:
    """From when to when each customer is one."""
    end = np.where(world.end < 0, np.nan, world.end)
    return pd.DataFrame({"customer": names, "begin": _dates(world.begin), "end": _dates(end)})


def _plans(world: World, names: np.ndarray) -> pd.DataFrame:
    """Each plan of a customer with the day from which it holds."""
    plans = pd.concat(world.plans)
    who, plan = plans["who"].to_numpy(), plans["plan"].to_numpy()
    return pd.DataFrame({
        "customer": names[who], "since": _dates(plans["day"].to_numpy()),
        "plan": np.array([name for name, _ in PLANS], object)[plan], "fee": fees(world, who, plan),
    })  # fmt: skip


def _payments(world: World, names: np.ndarray) -> pd.DataFrame:
    """Payments by time."""
    paid = pd.concat(world.payments)
    table = pd.DataFrame({
        "customer": names[paid["who"]], "paid_at": _moments(paid["day"], paid["second"]),
        "booked_at": _dates(paid["booked"].to_numpy()),
    })  # fmt: skip
    details = paid[["amount", "method", "status"]].reset_index(drop=True)
    return table.join(details).sort_values("paid_at", kind="stable")


def _usage(world: World, names: np.ndarray) -> pd.DataFrame:
    """Uses by time, which is UTC."""
    uses = pd.concat(world.uses, ignore_index=True)
    local = pd.Series(_moments(uses["day"], uses["second"]))
    zoned = local.dt.tz_localize(ZoneInfo(ZONE), ambiguous=True, nonexistent="shift_forward")
    at = zoned.dt.tz_convert("UTC").dt.as_unit("us")
    table = pd.DataFrame({"customer": names[uses["who"]], "at": at})
    return table.join(uses[["minutes", "device"]]).sort_values("at", kind="stable")


def _truth(world: World, names: np.ndarray) -> pd.DataFrame:
    """Each customer's probability at each first of a month."""
    truth = pd.concat(world.truth)
    return pd.DataFrame({
        "customer": names[truth["who"]], "cutoff": _dates(truth["day"].to_numpy()),
        "probability": truth["probability"].to_numpy(),
    })  # fmt: skip


def _moments(day: pd.Series, second: pd.Series) -> np.ndarray:
    """Local times."""
    return (day.to_numpy().astype(np.int64) * SECONDS + second.to_numpy()).astype("datetime64[s]")


def _dates(day: np.ndarray) -> np.ndarray:
    """ISO dates of days, missing ones blank."""
    known = ~np.isnan(np.asarray(day, float))
    dates = np.full(len(day), "", object)
    dates[known] = np.asarray(day)[known].astype("datetime64[D]").astype(str)
    return dates
