"""`churn status`: versions, traffic, monitoring and money."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from churn.config.root import Config
from churn.vertex.cloud import jobs, prices
from churn.vertex.cloud.client import connect, translate_errors
from churn.vertex.cloud.deployment import Deployment
from churn.vertex.cloud.state import State, read_state


def status(cfg: Config) -> None:
    """Print what exists and what it costs."""
    target = Deployment.of(cfg)
    clients = connect(cfg.deploy, target)
    with translate_errors(target, "churn status"):
        state, all_jobs = read_state(clients, target), jobs.find_jobs(clients, target)
        schedules = jobs.find_schedules(clients, target)
    print(_describe_status(target, state, prices.load_prices(), datetime.now(UTC)))
    for job in filter(jobs.is_running, all_jobs):
        print(f"Running, and billed while it runs: {job.name}")
    for schedule in schedules:
        print(
            f"Starts runs, each of which is billed ({schedule.state.name}, {schedule.cron}): {schedule.name}"
        )


def _describe_status(target: Deployment, state: State, table: prices.Prices, now: datetime) -> str:
    """The state for people."""
    if state.endpoint is None:
        return f"There is no endpoint {target.name} in {target.parent}: none bills by the hour."
    lines = [f"{target.endpoint}: {len(state.versions)} versions registered, {len(state.deployed)} deployed"]
    for model in state.deployed:
        resources = model.dedicated_resources
        machine, nodes = resources.machine_spec.machine_type, resources.min_replica_count
        lines.append(f"  version {model.model_version_id}: {state.share(model.id)} % of the traffic")
        lines.append(
            f"    {table.running(machine, nodes)}; {_describe_spent(model, table, now)} since {model.create_time:%F}"
        )
    lines.append(f"  together {_describe_total(state, table, now)}")
    monitor = state.monitor.state.name if state.monitor else "off"
    lines += [
        f"  monitoring: {monitor}",
        f"  prices of {table.date}: an estimate for the fewest nodes, not a bill",
    ]
    return "\n".join(lines)


def _describe_total(state: State, table: prices.Prices, now: datetime) -> str:
    """Cost of all deployed models an hour, and since each was deployed."""
    rates = [(_hourly_price(model, table), _hours_running(model, now)) for model in state.deployed]
    if any(rate is None for rate, _ in rates):
        return "not known: a machine type is not in configs/prices.yaml"
    known = [(rate or 0.0, time) for rate, time in rates]
    spent_so_far = sum(rate * time for rate, time in known)
    return f"${sum(rate for rate, _ in known):.2f} an hour, at least ${spent_so_far:.2f} so far"


def _hourly_price(model: Any, table: prices.Prices) -> float | None:
    """Dollars an hour of a deployed model's fewest nodes, or None."""
    resources = model.dedicated_resources
    price = table.hour.get(resources.machine_spec.machine_type)
    return None if price is None else price * resources.min_replica_count


def _hours_running(model: Any, now: datetime) -> float:
    """Hours since a model was deployed."""
    return max((now - model.create_time).total_seconds(), 0.0) / 3600


def _describe_spent(model: Any, table: prices.Prices, now: datetime) -> str:
    """What a deployed model has cost at least."""
    rate = _hourly_price(model, table)
    return "cost unknown" if rate is None else f"at least ${rate * _hours_running(model, now):.2f}"
