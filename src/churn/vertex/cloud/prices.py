"""Prices of Vertex AI, from the dated table `configs/prices.yaml`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import yaml  # type: ignore[import-untyped]

from churn.config.root import config_directory

HOURS_A_MONTH = 730


@dataclass(frozen=True)
class Prices:
    """US dollars per node-hour by machine type, with date and source of the table.

    >>> load_prices().describe_cost("n1-standard-2", 1)
    '1 x n1-standard-2: $0.11 an hour, $2.63 a day, $80 a month'
    """

    date: str
    source: str
    hour: dict[str, float]
    monitoring_per_gigabyte: float
    gigabyte_month: dict[str, float]  # stored: bucket, bigquery, artifact_registry

    def describe_cost(self, machine_type: str, nodes: int) -> str:
        """Cost of the nodes per hour, day and month; says so where the machine type is not in the table."""
        if machine_type not in self.hour:
            return f"{nodes} x {machine_type}: not in configs/prices.yaml"
        dollars = self.hour[machine_type] * nodes
        costs = f"${dollars:.2f} an hour, ${dollars * 24:.2f} a day, ${dollars * HOURS_A_MONTH:.0f} a month"
        return f"{nodes} x {machine_type}: {costs}"

    def describe_storage(self, kind: str, size: int) -> str:
        """Cost of stored bytes per month.

        >>> load_prices().describe_storage("bucket", 5_000_000_000)
        '5.000 GB, $0.10 a month'
        """
        gigabytes = size / 1e9
        return f"{gigabytes:.3f} GB, ${gigabytes * self.gigabyte_month[kind]:.2f} a month"

    def describe_deployed(self, model: Any) -> str:
        """Cost of the fewest nodes that a deployed model runs on."""
        resources = model.dedicated_resources
        return self.describe_cost(resources.machine_spec.machine_type, resources.min_replica_count)


def load_prices() -> Prices:
    """The table in `configs/prices.yaml`."""
    return Prices(**{name: value for name, value in price_table().items() if name != "cloud_run"})


def price_table() -> dict[str, Any]:
    """What `configs/prices.yaml` says."""
    with (config_directory() / "prices.yaml").open(encoding="utf-8") as file:  # named in messages about it
        return cast("dict[str, Any]", yaml.safe_load(file))
