"""The simulated customers: a year in which prices rise and a competitor comes, and the months before it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
from scipy.special import expit

from churn.config.data import Drift, SyntheticConfig
from churn.config.loop import LoopConfig
from churn.data.dataset import Schema
from churn.data.sources import synthetic
from churn.monitor.labels import UNKNOWN
from churn.retrain.labelled_rows import LabelledRows

BEGIN = np.datetime64("2026-01-01", "s")
DAY = np.timedelta64(86_400, "s")
MONTH, DAYS = 30, 360  # twelve months of 30 days
NUMBERS = ("tenure", "MonthlyCharges", "TotalCharges")
CATEGORIES = tuple(name for name in synthetic.COLUMNS[1:] if name not in NUMBERS)
SCHEMA = Schema("Churn", ("Yes",), NUMBERS, CATEGORIES, id="customerID", time="Snapshot")
CHURN_RATE, BLANKS = 0.265, 0.01


@dataclass(frozen=True)
class World:
    """All customers in the order of their snapshots, with the probabilities that only the oracle knows."""

    rows: LabelledRows
    day: np.ndarray  # [n] of the snapshot; 0 is the first day of the year
    probability: np.ndarray  # [n] true probability of leaving

    def between(self, first: float, last: float) -> np.ndarray:
        """Positions of the rows with first <= day < last."""
        return np.arange(*np.searchsorted(self.day, [first, last]))


def first_day(month: int) -> int:
    """The first day of a month; months count from 1, days from 0."""
    return MONTH * (month - 1)


def day_time(day: int) -> datetime:
    """The morning of a day."""
    return datetime.fromisoformat(f"{BEGIN}+00:00") + timedelta(days=day)


def known_rows(world: World, day: int, cfg: LoopConfig) -> np.ndarray:
    """Positions of the rows to learn from on a day: labelled by then, and at most `memory_days` older."""
    last = day - cfg.label_days
    return world.between(last - cfg.memory_days, last)


def make_world(cfg: LoopConfig, seed: int) -> World:
    """The customers from `history_days` before the year to its end; the same seed gives the same world."""
    total = (cfg.history_days + DAYS) * cfg.rows_per_day
    blocks = [_make_block(cfg, seed, number) for number in range(-(-total // synthetic.BLOCK))]
    frame = pd.concat([frame for frame, _ in blocks], ignore_index=True).iloc[:total]
    probability = np.concatenate([p for _, p in blocks])[:total]
    day = _row_days(cfg, 0, total)
    churned = np.random.default_rng([seed, 1]).random(total) < probability
    customers = np.array([f"{seed}-{i}" for i in range(total)], object)
    treated = np.full(total, UNKNOWN, np.int8)
    rows = LabelledRows(frame, churned.astype(np.int8), customers, BEGIN + day * DAY, treated)
    return World(rows, day, probability)


def _row_days(cfg: LoopConfig, first: int, last: int) -> np.ndarray:
    """Days of the rows first ... last - 1."""
    return np.arange(first, last) // cfg.rows_per_day - cfg.history_days


def _make_block(cfg: LoopConfig, seed: int, number: int) -> tuple[pd.DataFrame, np.ndarray]:
    """`synthetic.BLOCK` customers with the prices of their day, and their true probabilities of leaving."""
    rng = np.random.default_rng([seed, 0, number])
    day = _row_days(cfg, number * synthetic.BLOCK, (number + 1) * synthetic.BLOCK)
    is_dearer, has_rival = day >= first_day(cfg.price_month), day >= first_day(cfg.competitor_month)
    frame = synthetic.draw_customers(rng)
    price = SyntheticConfig(drift=Drift.mean, drift_size=cfg.price_rise)
    synthetic.apply_drift(frame, price, is_dearer, rng)
    synthetic.blank_cells(frame, BLANKS, rng)
    log_odds = synthetic.true_log_odds(frame) + synthetic.intercept(CHURN_RATE)
    log_odds += cfg.price_odds * is_dearer
    has_contract = (frame["Contract"] != synthetic.CONTRACTS[0]).to_numpy()
    log_odds += cfg.competitor_odds * has_rival * has_contract
    features = frame[list(NUMBERS)].astype(float).join(frame[list(CATEGORIES)].astype(str))
    return features, expit(log_odds)
