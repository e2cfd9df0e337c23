"""Prices of Cloud Run, from the dated table `configs/prices.yaml`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import yaml  # type: ignore[import-untyped]

from churn.config.root import config_directory
from churn.config.serving import CloudRunConfig
from churn.vertex.cloud.prices import HOURS_A_MONTH

MILLION = 1_000_000
STEP_SECONDS = 0.1  # time is billed in steps of this length, and a request takes less (docs/light.md)
ROWS = 1_000  # of a request with many rows


@dataclass(frozen=True)
class RunPrices:
    """US dollars in a region of tier 1, beyond the free amounts."""

    cpu_second: float  # while requests are answered
    gib_second: float
    idle_cpu_second: float  # of instances that are kept
    idle_gib_second: float
    million_requests: float
    logging_gib: float  # beyond the free 50 GiB a month
    date: str
    source: str

    def million_rows(self, run: CloudRunConfig, rows: int) -> float:
        """A million predictions in requests of `rows` rows, one request at a time.

        >>> round(load_run_prices().million_rows(CloudRunConfig(), 1), 2)
        2.93
        """
        second = self.cpu_second * run.cpu + self.gib_second * run.memory_mib / 1024
        return (MILLION * STEP_SECONDS * second + self.million_requests) / rows

    def idle_month(self, run: CloudRunConfig, instances: int) -> float:
        """Instances that are kept for a month in which nobody calls."""
        second = self.idle_cpu_second * run.cpu + self.idle_gib_second * run.memory_mib / 1024
        return instances * second * 3600 * HOURS_A_MONTH

    def describe(self, run: CloudRunConfig, instances: int) -> Iterator[str]:
        """Cost of a month without a call, and of a million predictions."""
        idle = f"${self.idle_month(run, instances):.2f}, for {instances} instances that are kept"
        yield f"a month in which nobody calls: {idle if instances else 'nothing'}"
        single, many = self.million_rows(run, 1), self.million_rows(run, ROWS)
        yield f"a million predictions: ${single:.2f} at most, ${many:.3f} in requests of {ROWS:,} rows"
        yield f"  prices of {self.date}, us-central1: {self.source}"


def load_run_prices() -> RunPrices:
    """The table in `configs/prices.yaml`."""
    return RunPrices(**yaml.safe_load((config_directory() / "prices.yaml").read_text())["cloud_run"])
