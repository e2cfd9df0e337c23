"""Small event tables, and a definition of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from churn.config.events import (
    ChurnConfig,
    ChurnKind,
    ContractTable,
    CutoffConfig,
    EventsConfig,
    EventTable,
    PropertyTable,
)
from churn.events.calendar import EPOCH
from churn.events.duck import snapshot_parts
from churn.events.workspace import open_workspace

CUTOFFS = ("2024-06-01", "2024-07-01", "2024-08-01")


def day(text: str) -> int:
    """The number of a date."""
    return (pd.Timestamp(text).date() - EPOCH).days


def definition(folder: Path, kind: ChurnKind = ChurnKind.inactive, **changed) -> EventsConfig:
    """A shop with orders, contracts and plans; the files are written by `write_shop`."""
    churn = ChurnConfig(
        kind=kind, table="orders" if kind is ChurnKind.inactive else "contracts", lookback=60, grace=14
    )
    cfg = EventsConfig(
        name="shop",
        folder=str(folder),
        tables={
            "orders": EventTable(
                path="orders.parquet", customer="who", time="at", arrival="known", values=["amount", "items"],
                categories=["channel"], distinct=["product"], drop_copies=False,
            )
        },
        contracts={
            "contracts": ContractTable(path="contracts.parquet", customer="who", begin="from", end="to")
        },
        properties={
            "plans": PropertyTable(
                path="plans.parquet", customer="who", since="since", numeric=["fee"], categorical=["plan"],
                dates=["birth"],
            )
        },
        churn=churn,
        cutoffs=CutoffConfig(first=CUTOFFS[0], last=CUTOFFS[-1]),
        windows=[7, 30],
        horizon=30,
        max_levels=3,
        threads=1,
    )  # fmt: skip
    return replace(cfg, **changed)


def shop(seed: int = 0, customers: int = 60, events: int = 1500) -> dict[str, pd.DataFrame]:
    """Random tables of the shop, with gaps, late arrivals, equal values and rare levels."""
    rng = np.random.default_rng(seed)
    who = np.array([f"c{i:03d}" for i in range(customers)], object)
    at = pd.Timestamp("2024-03-01") + pd.to_timedelta(rng.integers(0, 200 * 86_400, events), unit="s")
    orders = pd.DataFrame({
        "who": rng.choice(who, events, p=(w := rng.exponential(1, customers)) / w.sum()), "at": at,
        "known": at + pd.to_timedelta(rng.choice([0, 0, 0, 3, 20], events), unit="D"),
        "amount": np.where(rng.random(events) < 0.1, np.nan, rng.choice([9.99, 19.99, -5.0], events)),
        "items": rng.integers(1, 5, events).astype(float),
        "channel": rng.choice(["web", "app", "shop", "phone", None], events, p=[0.5, 0.2, 0.15, 0.1, 0.05]),
        "product": rng.choice([f"p{i}" for i in range(30)], events),
    })  # fmt: skip
    begin = pd.Timestamp("2023-12-01") + pd.to_timedelta(rng.integers(0, 240, 2 * customers), unit="D")
    end = begin + pd.to_timedelta(rng.integers(10, 200, 2 * customers), unit="D")
    contracts = pd.DataFrame(
        {"who": np.tile(who, 2), "from": begin, "to": end.where(rng.random(2 * customers) < 0.8)}
    )
    since = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 240, 3 * customers), unit="D")
    plans = pd.DataFrame({
        "who": np.repeat(who, 3), "since": since, "fee": rng.choice([1.0, 2.0, np.nan], 3 * customers),
        "plan": rng.choice(["a", "b", None], 3 * customers),
        "birth": pd.Timestamp("1980-01-01") + pd.to_timedelta(rng.integers(0, 9000, 3 * customers), unit="D"),
    })  # fmt: skip
    return {"orders": orders, "contracts": contracts, "plans": plans}


def write_shop(folder: Path, tables: dict[str, pd.DataFrame]) -> None:
    """The tables as files."""
    for name, frame in tables.items():
        frame.to_parquet(folder / f"{name}.parquet", index=False)


def rows_at(cfg: EventsConfig, cutoffs=CUTOFFS, labelled: bool = True) -> pd.DataFrame:
    """The snapshot as a frame."""
    with open_workspace(cfg) as work:
        table = pa.concat_tables(snapshot_parts(work, [day(text) for text in cutoffs], labelled))
    frame = table.to_pandas()
    return frame.assign(cutoff=pd.to_datetime(frame["cutoff"])).sort_values(
        ["customer", "cutoff"], ignore_index=True
    )


@pytest.fixture(scope="session")
def shop_rows(tmp_path_factory) -> Callable[[ChurnKind], pd.DataFrame]:
    """A function: the snapshot of the shop by a kind of churn, made once."""
    folder = tmp_path_factory.mktemp("shop")
    write_shop(folder, shop())
    made = cache(lambda kind: rows_at(definition(folder, kind)))
    return lambda kind=ChurnKind.inactive: made(kind).copy()


@pytest.fixture(scope="session")
def shop_definition(tmp_path_factory) -> EventsConfig:
    """The definition with the levels that are found in the shop."""
    folder = tmp_path_factory.mktemp("shop")
    write_shop(folder, shop())
    with open_workspace(definition(folder)) as work:
        return work.cfg


@pytest.fixture
def shop_folder(tmp_path: Path) -> Path:
    """A folder with the shop's files."""
    write_shop(tmp_path, shop())
    return tmp_path
