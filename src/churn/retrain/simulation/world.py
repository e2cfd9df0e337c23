"""A year in which prices rise and a competitor comes, and the months before it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit

from churn.config.data import Drift, SyntheticConfig
from churn.config.loop import LoopConfig
from churn.data.dataset import Schema
from churn.data.sources import synthetic
from churn.retrain.training_set import UNKNOWN, LabelledRows

BEGIN = np.datetime64("2026-01-01", "s")
DAYS = 360  # twelve months of 30 days
NUMBERS = ("tenure", "MonthlyCharges", "TotalCharges")
CATEGORIES = tuple(name for name in synthetic.COLUMNS[1:] if name not in NUMBERS)
SCHEMA = Schema("Churn", ("Yes",), NUMBERS, CATEGORIES, id="customerID", time="Snapshot")
CHURN_RATE, BLANKS = 0.265, 0.01


@dataclass(frozen=True)
class World:
    """All customers in the order of their snapshots, and what is known to nobody but the oracle."""

    rows: LabelledRows
    day: np.ndarray  # [n] of the snapshot; 0 is the first day of the year
    probability: np.ndarray  # [n] true chance of leaving

    def between(self, first: float, last: float) -> np.ndarray:
        """Positions of the rows with first <= day < last."""
        return np.arange(*np.searchsorted(self.day, [first, last]))


def first_day(month: int) -> int:
    """The day on which a month, from 1, begins."""
    return 30 * (month - 1)


def make_world(cfg: LoopConfig, seed: int) -> World:
    """The same world for the same seed: from `history_days` before the year to its end."""
    total = (cfg.history_days + DAYS) * cfg.rows_per_day
    blocks = [_make_block(cfg, seed, number) for number in range(-(-total // synthetic.BLOCK))]
    frame = pd.concat([frame for frame, _ in blocks], ignore_index=True).iloc[:total]
    probability = np.concatenate([p for _, p in blocks])[:total]
    day = _row_days(cfg, 0, total)
    churned = np.random.default_rng([seed, 1]).random(total) < probability
    customers = np.array([f"{seed}-{i}" for i in range(total)], object)
    times = BEGIN + day * np.timedelta64(86_400, "s")
    rows = LabelledRows(frame, churned.astype(np.int8), customers, times, np.full(total, UNKNOWN, np.int8))
    return World(rows, day, probability)


def _row_days(cfg: LoopConfig, first: int, last: int) -> np.ndarray:
    """Day of the rows first ... last - 1."""
    return np.arange(first, last) // cfg.rows_per_day - cfg.history_days


def _make_block(cfg: LoopConfig, seed: int, number: int) -> tuple[pd.DataFrame, np.ndarray]:
    """`synthetic.BLOCK` customers and their true chances, with the price and the competitor of their day."""
    rng = np.random.default_rng([seed, 0, number])
    day = _row_days(cfg, number * synthetic.BLOCK, (number + 1) * synthetic.BLOCK)
    dearer, rivalled = day >= first_day(cfg.price_month), day >= first_day(cfg.competitor_month)
    frame = synthetic.draw_customers(rng)
    price = SyntheticConfig(drift=Drift.mean, drift_size=cfg.price_rise)
    synthetic.apply_drift(frame, price, dearer, rng)
    synthetic.blank_cells(frame, BLANKS, rng)
    odds = synthetic.true_log_odds(frame) + synthetic.intercept(CHURN_RATE)
    odds += cfg.price_odds * dearer
    odds += cfg.competitor_odds * rivalled * (frame["Contract"] != synthetic.CONTRACTS[0]).to_numpy()
    features = frame[list(NUMBERS)].astype(float).join(frame[list(CATEGORIES)].astype(str))
    return features, expit(odds)
