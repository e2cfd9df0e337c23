"""Prices of Cloud Run, from the dated table `configs/prices.yaml`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from churn.vertex.cloud.prices import HOURS_A_MONTH, price_table

MILLION = 1_000_000
STEP_SECONDS = 0.1  # time is billed in steps of this length, and a request takes less (docs/light.md)
ROWS = THOUSAND = 1_000  # rows of a request with many
START_SECONDS = 1.0  # our part of a start (docs/light.md); how long Google's takes only the service can show
MOST_CPUS = 8  # of an instance; while it starts, the boost that we ask for doubles them up to that


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

    def million_rows(self, cpus: float, mib: float, rows: int) -> float:
        """A million predictions in requests of `rows` rows, one request at a time, while a container runs.

        >>> f"{load_run_prices().million_rows(1, 512, 1):.2f}"
        '2.92'
        """
        second = self.cpu_second * cpus + self.gib_second * mib / 1024
        return (MILLION * STEP_SECONDS * second + self.million_requests) / rows

    def thousand_starts(self, cpus: float, mib: float) -> float:
        """A thousand starts of a container, which are billed as well, with the CPUs of the startup boost.

        >>> f"{load_run_prices().thousand_starts(1, 512):.3f}"
        '0.049'
        """
        boosted = max(cpus, min(2 * cpus, MOST_CPUS))
        return THOUSAND * START_SECONDS * (self.cpu_second * boosted + self.gib_second * mib / 1024)

    def idle_month(self, cpus: float, mib: float, instances: int) -> float:
        """Instances that are kept for a month in which nobody calls."""
        second = self.idle_cpu_second * cpus + self.idle_gib_second * mib / 1024
        return instances * second * 3600 * HOURS_A_MONTH

    def describe(self, cpus: float, mib: float, instances: int) -> Iterator[str]:
        """Cost of a month without a call, of a million predictions, and of starts of such instances."""
        idle = f"${self.idle_month(cpus, mib, instances):.2f}, for {instances} instances that are kept"
        yield f"a month in which nobody calls: {idle if instances else 'nothing'}"
        single, many = (self.million_rows(cpus, mib, rows) for rows in (1, ROWS))
        yield (
            f"a million predictions: ${single:.2f} while a container runs,"
            f" ${many:.3f} in requests of {ROWS:,} rows"
        )
        starts = self.thousand_starts(cpus, mib)
        yield f"1,000 starts of a container: ${starts:.2f} more, at {START_SECONDS:g} second each"
        yield f"  prices of {self.date}, us-central1: {self.source}"


def load_run_prices() -> RunPrices:
    """The table in `configs/prices.yaml`."""
    return RunPrices(**price_table()["cloud_run"])
