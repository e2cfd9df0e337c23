"""`churn status`: versions, traffic, monitoring and costs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from churn.config.root import Config
from churn.errors import count
from churn.vertex.cloud import jobs
from churn.vertex.cloud.deployment import Deployment
from churn.vertex.cloud.errors import translate_errors
from churn.vertex.cloud.prices import Prices, load_prices
from churn.vertex.cloud.session import connect
from churn.vertex.cloud.state import State, read_state


def status(cfg: Config) -> None:
    """Print what exists and what it costs.

    >>> status(compose_config("deploy.project=PROJECT", "deploy.bucket=BUCKET"))
    """
    deployment = Deployment.from_config(cfg)
    session = connect(deployment)
    with translate_errors(deployment, "churn status"):
        state, all_jobs = read_state(session), jobs.find_jobs(session)
        schedules = jobs.find_schedules(session)
    print(_describe_status(deployment, state, load_prices(), datetime.now(UTC)))
    for job in filter(jobs.is_running, all_jobs):
        print(f"Running, and billed while it runs: {job.name}")
    for schedule in schedules:
        details = f"{schedule.state.name}, {schedule.cron}"
        print(f"Starts runs, each of which is billed ({details}): {schedule.name}")


def _describe_status(deployment: Deployment, state: State, prices: Prices, now: datetime) -> str:
    if state.endpoint is None:
        return f"There is no endpoint {deployment.name} in {deployment.parent}: none bills by the hour."
    counts = f"{count(len(state.versions), 'version')} registered, {len(state.deployed)} deployed"
    lines = [f"{deployment.endpoint}: {counts}"]
    for model in state.deployed:
        lines += [
            f"  version {model.model_version_id}: {state.share(model.id)} % of the traffic",
            f"    {prices.describe_deployed(model)}; {_describe_spent(model, prices, now)}",
        ]
    return "\n".join(
        [
            *lines,
            f"  together {_describe_total(state, prices, now)}",
            f"  monitoring: {state.monitor.state.name if state.monitor else 'off'}",
            f"  prices of {prices.date}: an estimate for the fewest nodes, not a bill",
        ]
    )


def _describe_total(state: State, prices: Prices, now: datetime) -> str:
    """Cost of all deployed models per hour, and since each was deployed."""
    rates = [_hourly_price(model, prices) for model in state.deployed]
    known = [rate for rate in rates if rate is not None]
    if len(known) < len(rates):
        return "not known: a machine type is not in configs/prices.yaml"
    hours = [_hours_running(model, now) for model in state.deployed]
    spent = sum(rate * time for rate, time in zip(known, hours, strict=True))
    return f"${sum(known):.2f} an hour, at least ${spent:.2f} so far"


def _describe_spent(model: Any, prices: Prices, now: datetime) -> str:
    rate = _hourly_price(model, prices)
    spent = "cost unknown" if rate is None else f"at least ${rate * _hours_running(model, now):.2f}"
    return f"{spent} since {model.create_time:%F}"


def _hourly_price(model: Any, prices: Prices) -> float | None:
    """Dollars per hour of a deployed model's fewest nodes, or None."""
    resources = model.dedicated_resources
    price = prices.hour.get(resources.machine_spec.machine_type)
    return None if price is None else price * resources.min_replica_count


def _hours_running(model: Any, now: datetime) -> float:
    """Hours since a model was deployed."""
    return max((now - model.create_time).total_seconds(), 0.0) / 3600
