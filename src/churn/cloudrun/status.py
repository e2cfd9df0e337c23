"""`churn status target=cloudrun`: revisions, traffic, addresses and cost."""

from __future__ import annotations

from collections.abc import Iterator

from churn.cloudrun.log import log_table
from churn.cloudrun.prices import load_run_prices
from churn.cloudrun.service import run_deployment, service_name
from churn.cloudrun.session import connect_run
from churn.cloudrun.state import RunState, read_run_state
from churn.config.root import Config
from churn.vertex.cloud.deployment import Deployment
from churn.vertex.cloud.errors import translate_errors


def status(cfg: Config) -> None:
    """Print what exists and what it costs.

    >>> status(compose_config("target=cloudrun", "deploy.project=PROJECT", "deploy.bucket=BUCKET"))
    """
    deployment = run_deployment(cfg)
    session = connect_run(deployment)
    with translate_errors(deployment, "churn status target=cloudrun"):
        state = read_run_state(session)
    print("\n".join(_describe_status(deployment, state)))


def _describe_status(deployment: Deployment, state: RunState) -> Iterator[str]:
    service = state.service
    if service is None:
        yield f"There is no service {deployment.name} in {deployment.parent}: none bills."
        return
    yield f"{service_name(deployment)}: {len(state.names)} revisions"
    yield f"  {service.uri}{deployment.serving.predict_route}"
    tags = {name: tag for tag, name in state.tags.items()}
    for name in state.names:
        tag = f", tag {tags[name]}" if name in tags else ""
        yield f"  {name}: {state.shares.get(name, 0)} % of the traffic{tag}"
    if service.reconciling:
        yield "  it is being changed just now"
    if size := state.size:  # of what runs, which may not be what is configured here
        yield from (f"  {line}" for line in load_run_prices().describe(*size, state.kept_instances))
    yield f"  the log: churn monitor monitor.log={log_table(deployment)}"
