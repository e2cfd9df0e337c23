"""A bundle without a network, and logs that a server with this bundle would write."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.special import expit

from churn.bundle import export
from churn.bundle.bundle import Bundle
from churn.data.dataset import Schema
from churn.monitor.drift.profile import build_profile

SCHEMA = Schema("left", ("yes",), ("age", "spend"), ("plan",), id="who")
OWN = {
    "roc_auc": {"value": 0.80, "low": 0.77, "high": 0.83},
    "log_loss": {"value": 0.50, "low": 0.47, "high": 0.53},
    "calibration_slope": {"value": 1.0, "low": 0.9, "high": 1.1},
    "calibration_intercept": {"value": 0.0, "low": -0.1, "high": 0.1},
}
START = datetime(2026, 3, 1, tzinfo=UTC)


def customers(rows, seed, shift=0.0):
    random = np.random.default_rng(seed)
    spend = random.lognormal(3, 0.6, rows)
    spend[::50] = np.nan
    plan = np.where(random.random(rows) < 0.3, "premium", "basic").astype(object)
    return pd.DataFrame({"age": random.normal(50 + shift, 12, rows), "spend": spend, "plan": plan})


def probability(frame):
    return expit((frame["age"].to_numpy() - 62) / 8)


@pytest.fixture(scope="session")
def watched(tmp_path_factory) -> Bundle:
    path = tmp_path_factory.mktemp("watched") / "bundle"
    path.mkdir()
    inputs = [
        {"column": "age", "input": "age", "kind": "number"},
        {"column": "spend", "input": "spend", "kind": "number"},
        {"column": "plan", "input": "plan", "kind": "category"},
    ]
    facts = {"name": "synthetic", "schema": vars(SCHEMA), "inputs": inputs, "metrics": OWN}
    new = customers(2_000, 1)
    export.seal(path, facts, build_profile(customers(4_000, 0), SCHEMA, new, probability(new)))
    return Bundle.load(path)


def log_table(frame, digest, day=0):
    """A chunk of the log: predictions that are spread over a day."""
    rows = len(frame)
    times = [START + timedelta(days=day, seconds=86_000 * i / rows) for i in range(rows)]
    return pa.table(
        {
            "request_id": [str(i) for i in range(rows)],
            "row": pa.array([0] * rows, pa.int32()),
            "time": pa.array(times, pa.timestamp("us", "UTC")),
            "bundle": [digest] * rows,
            "customer_key": [f"c{day}-{i}" for i in range(rows)],
            "inputs.age": frame["age"].to_numpy(),
            "inputs.spend": pa.array(frame["spend"].to_numpy(), from_pandas=True),
            "inputs.plan": frame["plan"].tolist(),
            "outputs.churn_probability": probability(frame),
        }
    )


@pytest.fixture
def write_log(watched, tmp_path):
    """A function that writes the log of a day and gives outcomes that fit its probabilities."""

    def write(day=0, rows=1_000, shift=0.0, digest=None):
        frame = customers(rows, 100 + day, shift)
        (tmp_path / "log").mkdir(exist_ok=True)
        pq.write_table(
            log_table(frame, digest or watched.digest, day=day), tmp_path / "log" / f"{day:02}.parquet"
        )
        return (np.random.default_rng(day).random(rows) < probability(frame)).astype(int)

    return write


@pytest.fixture
def arguments(watched, tmp_path):
    """A function: the settings for a run of the monitor on a day."""

    def settings(day, *more):
        until = START + timedelta(days=day + 1)
        return (
            f"bundle={watched.path}",
            f"run.root={tmp_path}",
            "data.name=synthetic",
            f"monitor.until={until:%Y-%m-%d}",
            "monitor.days=1",
            "monitor.permutations=100",
            *more,
        )

    return settings


def read_report(tmp_path):
    return json.loads((tmp_path / "monitor" / "synthetic" / "report.json").read_text())
