"""Any number of synthetic telecom customers, in the columns of the public Telco table.

The true churn probability of each row is known. It is a function of the row as written, gaps included, so
no model that reads the table can be better: its AUC and log loss are the best possible ones.

Rows are made in blocks of a fixed size, each seeded by its number: row i is the same in a table of any size.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute
from scipy.optimize import brentq
from scipy.special import expit

from churn.config.data import Drift, SyntheticConfig
from churn.data.table import RawTable

BLOCK = 10_000  # rows that share a seed
COLUMNS = (
    "customerID", "gender", "SeniorCitizen", "Partner", "Dependents", "tenure", "PhoneService",
    "MultipleLines", "InternetService", "OnlineSecurity", "OnlineBackup", "DeviceProtection", "TechSupport",
    "StreamingTV", "StreamingMovies", "Contract", "PaperlessBilling", "PaymentMethod", "MonthlyCharges",
    "TotalCharges",
)  # fmt: skip
INTERNET = ("DSL", "Fiber optic", "No")
CONTRACTS = ("Month-to-month", "One year", "Two year")
PAYMENTS = (
    "Electronic check",
    "Mailed check",
    "Bank transfer (automatic)",
    "Credit card (automatic)",
    "Cash",
)
NEW_PAYMENT = "Digital wallet"  # the new level of `Drift.level`
SERVICES = {  # share of the DSL and of the fiber customers who have it, price per month
    "OnlineSecurity": (0.49, 0.27, 5.0),
    "OnlineBackup": (0.45, 0.43, 5.0),
    "DeviceProtection": (0.44, 0.43, 5.0),
    "TechSupport": (0.49, 0.28, 5.0),
    "StreamingTV": (0.40, 0.57, 10.0),
    "StreamingMovies": (0.40, 0.57, 10.0),
}
CAN_BE_BLANK = ("MonthlyCharges", "TotalCharges", "OnlineBackup", "PaymentMethod")
CHARGE_SD = 30.0  # standard deviation of monthly charges, the unit of `Drift.mean`
TYPICAL_TENURE, TYPICAL_CHARGE = 29.0, 65.0  # values of a blank in the true log-odds


def make_table(cfg: SyntheticConfig, seed: int) -> RawTable:
    """All `cfg.rows` customers as one table.

    >>> make_table(SyntheticConfig(rows=1_000), seed=1).frame
    """
    tables = list(make_chunks(cfg, seed))
    probability = [table.true_probability for table in tables if table.true_probability is not None]
    return RawTable(
        frame=pd.concat([table.frame for table in tables], ignore_index=True),
        origin=f"{cfg.rows:,} synthetic customers, seed {seed}",
        true_probability=np.concatenate(probability),
    )


def make_chunks(cfg: SyntheticConfig, seed: int) -> Iterator[RawTable]:
    """The same customers block by block; the memory does not depend on `cfg.rows`."""
    for first in range(0, cfg.rows, BLOCK):
        rows = min(BLOCK, cfg.rows - first)
        frame, probability = _make_block(cfg, seed, first // BLOCK)
        origin = f"synthetic customers {first} to {first + rows - 1}"
        yield RawTable(frame.iloc[:rows], origin, true_probability=probability[:rows])


def _make_block(cfg: SyntheticConfig, seed: int, number: int) -> tuple[pd.DataFrame, np.ndarray]:
    """`BLOCK` customers and their true churn probabilities."""
    rng = np.random.default_rng([seed, number])
    dates = np.datetime64(cfg.start, "D") + rng.integers(0, cfg.days, BLOCK)
    drifted = dates >= np.datetime64(cfg.drift_from or cfg.start, "D")
    frame = draw_customers(rng)
    apply_drift(frame, cfg, drifted, rng)
    blank_cells(frame, cfg.missing, rng)
    odds = true_log_odds(frame) + intercept(cfg.churn_rate)
    if cfg.drift == Drift.concept:
        odds += cfg.drift_size * drifted * (frame["Contract"] == CONTRACTS[0]).to_numpy()
    probability = expit(odds)
    names = pa.compute.utf8_lpad(pa.array(np.arange(BLOCK) + number * BLOCK).cast("string"), 9, "0")
    frame["customerID"] = names.to_numpy(zero_copy_only=False)
    frame = frame[list(COLUMNS)]
    if cfg.dates:
        frame["Snapshot"] = dates.astype("datetime64[s]")
    frame["Churn"] = _yes_or_no(rng.random(BLOCK) < probability)
    return frame, probability


def draw_customers(rng: np.random.Generator) -> pd.DataFrame:
    """`BLOCK` customers, before drift and blanks."""
    n = BLOCK
    partner = rng.random(n) < 0.48
    contract = rng.choice(3, n, p=[0.55, 0.21, 0.24])
    stay = rng.beta(np.array([0.6, 1.8, 2.4])[contract], np.array([1.9, 1.3, 0.7])[contract])
    tenure = np.where(rng.random(n) < 0.002, 0, np.ceil(stay * 72).clip(1))
    internet = _draw_by_row(
        rng, np.array([[0.31, 0.56, 0.13], [0.38, 0.38, 0.24], [0.37, 0.25, 0.38]])[contract]
    )
    payment = _draw_by_row(
        rng,
        np.array(
            [
                [0.47, 0.24, 0.14, 0.148, 0.002],
                [0.24, 0.23, 0.26, 0.268, 0.002],
                [0.10, 0.23, 0.33, 0.338, 0.002],
            ]
        )[contract],
    )
    phone = (rng.random(n) < 0.9) | (internet != 0)  # only DSL comes without a phone
    lines = phone & (rng.random(n) < 0.25 + 0.5 * tenure / 72)
    columns: dict[str, np.ndarray] = {
        "gender": np.array(["Female", "Male"], object)[rng.integers(0, 2, n)],
        "SeniorCitizen": (rng.random(n) < 0.16).astype(int),
        "Partner": _yes_or_no(partner),
        "Dependents": _yes_or_no(rng.random(n) < np.where(partner, 0.51, 0.10)),
        "tenure": tenure,
        "PhoneService": _yes_or_no(phone),
        "MultipleLines": np.where(phone, _yes_or_no(lines), "No phone service"),
        "InternetService": np.array(INTERNET, object)[internet],
        "Contract": np.array(CONTRACTS, object)[contract],
        "PaperlessBilling": _yes_or_no(rng.random(n) < np.array([0.56, 0.75, 0.30])[internet]),
        "PaymentMethod": np.array(PAYMENTS, object)[payment],
    }
    charge = np.array([25.0, 50.0, 0.0])[internet] + 20.0 * phone + 5.0 * lines + rng.normal(0, 4, n)
    for service, (dsl, fiber, price) in SERVICES.items():
        loyal = 0.7 + 0.6 * tenure / 72
        has = rng.random(n) < np.array([dsl, fiber, 0.0])[internet] * loyal
        columns[service] = np.where(internet == 2, "No internet service", _yes_or_no(has))
        charge += price * has
    columns["MonthlyCharges"] = charge.clip(18).round(2)
    billed = tenure * columns["MonthlyCharges"] * rng.normal(1, 0.04, n)
    columns["TotalCharges"] = np.where(tenure == 0, np.nan, billed.round(2))
    return pd.DataFrame(columns)


def apply_drift(
    frame: pd.DataFrame, cfg: SyntheticConfig, drifted: np.ndarray, rng: np.random.Generator
) -> None:
    """Change the inputs of the drifted rows as `cfg.drift` says; concept drift changes none."""
    size, hit = cfg.drift_size, drifted & (rng.random(BLOCK) < cfg.drift_size)
    if cfg.drift == Drift.mean:
        frame.loc[drifted, "MonthlyCharges"] += size * CHARGE_SD
    elif cfg.drift == Drift.spread:
        centred = frame.loc[drifted, "MonthlyCharges"] - TYPICAL_CHARGE
        frame.loc[drifted, "MonthlyCharges"] = TYPICAL_CHARGE + (1 + size) * centred
    elif cfg.drift == Drift.share:
        frame.loc[hit, list(SERVICES)] = frame.loc[hit, list(SERVICES)].replace("No internet service", "No")
        frame.loc[hit, "InternetService"] = "Fiber optic"
    elif cfg.drift == Drift.level:
        frame.loc[hit, "PaymentMethod"] = NEW_PAYMENT
    elif cfg.drift == Drift.missing:
        frame.loc[hit, "tenure"] = np.nan


def blank_cells(frame: pd.DataFrame, share: float, rng: np.random.Generator) -> None:
    """Blank about `share` of the cells that can be blank, three times as often if the bill is on paper."""
    paper = (frame["PaperlessBilling"] == "No").to_numpy()
    for column in CAN_BE_BLANK:
        lost = rng.random(BLOCK) < share * np.where(paper, 1.7, 0.5)
        frame.loc[lost, column] = np.nan if column.endswith("Charges") else ""


def true_log_odds(frame: pd.DataFrame) -> np.ndarray:
    """[n] true log-odds of churn, without the intercept: curves and interactions of the columns."""

    def has(column: str, value: str) -> np.ndarray:
        return (frame[column] == value).to_numpy(float)

    tenure = frame["tenure"].fillna(TYPICAL_TENURE).to_numpy()
    charge = frame["MonthlyCharges"].fillna(TYPICAL_CHARGE).to_numpy()
    monthly, fiber, senior = (
        has("Contract", CONTRACTS[0]),
        has("InternetService", "Fiber optic"),
        frame["SeniorCitizen"],
    )
    automatic = has("PaymentMethod", PAYMENTS[2]) + has("PaymentMethod", PAYMENTS[3])
    return np.asarray(
        -0.7 * np.log1p(tenure / 6)
        + 0.9 * monthly * np.exp(-tenure / 5)
        - 1.0 * has("Contract", CONTRACTS[2])
        + 0.5 * monthly
        + 0.5 * fiber
        - 0.4 * has("InternetService", "No")
        + 0.5 * fiber * has("TechSupport", "No")
        - 0.4 * has("OnlineSecurity", "Yes")
        + 0.5 * senior * fiber
        + 0.45 * has("PaymentMethod", PAYMENTS[0])
        - 0.4 * automatic * (1 - monthly)
        + 0.3 * has("PaperlessBilling", "Yes")
        - 0.3 * has("Dependents", "Yes")
        + 0.5 * np.sin((charge - 20) / 12)
        + 0.9 * expit((charge - 95) / 3) * monthly
    )


@cache
def intercept(churn_rate: float) -> float:
    """The intercept that gives this churn rate without drift and blanks."""
    frame = pd.concat([draw_customers(np.random.default_rng([0, number])) for number in range(4)])
    odds = true_log_odds(frame)
    return float(brentq(lambda constant: expit(odds + constant).mean() - churn_rate, -20, 20))


def _draw_by_row(rng: np.random.Generator, shares: np.ndarray) -> np.ndarray:
    """[n] a random position of each row, with the probabilities in `shares` [n, k]."""
    return (
        (rng.random(len(shares))[:, None] > shares.cumsum(axis=1)).sum(axis=1).clip(max=shares.shape[1] - 1)
    )


def _yes_or_no(condition: np.ndarray) -> np.ndarray:
    return np.where(condition, "Yes", "No").astype(object)
