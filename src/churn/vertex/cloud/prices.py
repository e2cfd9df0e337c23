"""What a deployment costs, from the dated table `configs/prices.yaml`."""

from __future__ import annotations

from dataclasses import dataclass

import yaml  # type: ignore[import-untyped]

from churn.config.root import config_directory

HOURS_A_MONTH = 730


@dataclass(frozen=True)
class Prices:
    """US dollars per node-hour by machine type, with date and source of the table."""

    date: str
    source: str
    hour: dict[str, float]
    monitoring_per_gigabyte: float

    def running(self, machine_type: str, nodes: int) -> str:
        """Cost of so many nodes per hour, day and month, or that it is not known."""
        if machine_type not in self.hour:
            return f"{nodes} x {machine_type}: not in configs/prices.yaml"
        dollars = self.hour[machine_type] * nodes
        per = f"${dollars:.2f} an hour, ${dollars * 24:.2f} a day, ${dollars * HOURS_A_MONTH:.0f} a month"
        return f"{nodes} x {machine_type}: {per}"


def load_prices() -> Prices:
    """The table."""
    return Prices(**yaml.safe_load((config_directory() / "prices.yaml").read_text()))
