"""`churn status`: versions, traffic, monitoring and money."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from churn.config import Config
from churn.vertex import prices
from churn.vertex.client import connect, in_plain_words
from churn.vertex.state import State, look
from churn.vertex.target import Target


def status(cfg: Config) -> None:
    """Print what exists and what it costs."""
    target = Target.of(cfg)
    clients = connect(cfg.deploy, target)
    with in_plain_words(target, "churn status"):
        state = look(clients, target)
    print(text(target, state, prices.load(), datetime.now(UTC)))


def text(target: Target, state: State, table: prices.Prices, now: datetime) -> str:
    """The state for people."""
    if state.endpoint is None:
        return f"There is no endpoint {target.name} in {target.parent}: nothing bills by the hour."
    lines = [f"{target.endpoint}: {len(state.versions)} versions registered, {len(state.deployed)} deployed"]
    for model in state.deployed:
        resources = model.dedicated_resources
        machine, nodes = resources.machine_spec.machine_type, resources.min_replica_count
        lines.append(f"  version {model.model_version_id}: {state.share(model.id)} % of the traffic")
        lines.append(
            f"    {table.running(machine, nodes)}; {spent(model, table, now)} since {model.create_time:%F}"
        )
    monitor = state.monitor.state.name if state.monitor else "off"
    lines += [
        f"  monitoring: {monitor}",
        f"  prices of {table.date}: an estimate for the fewest nodes, not a bill",
    ]
    return "\n".join(lines)


def spent(model: Any, table: prices.Prices, now: datetime) -> str:
    """What a deployed model has cost at least."""
    resources = model.dedicated_resources
    price = table.hour.get(resources.machine_spec.machine_type)
    hours = max((now - model.create_time).total_seconds(), 0) / 3600
    return "cost unknown" if price is None else f"at least ${price * resources.min_replica_count * hours:.2f}"
