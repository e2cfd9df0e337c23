"""What `churn deploy` would do, what that costs, and the same as commands for gcloud."""

from __future__ import annotations

from dataclasses import dataclass

from churn.bundle.bundle import Bundle
from churn.config.serving import DeployConfig
from churn.vertex.apply import traffic_split
from churn.vertex.cloud import prices
from churn.vertex.cloud.deployment import Deployment, deployed_id
from churn.vertex.cloud.state import State
from churn.vertex.monitoring import job
from churn.vertex.monitoring.thresholds import unseen_drift
from churn.vertex.plan import gcloud


@dataclass(frozen=True)
class Step:
    """One thing that is created, changed or left alone."""

    action: str  # create, check, change, remove, keep
    what: str
    commands: tuple[str, ...] = ()  # lines for a shell


def make_plan(cfg: DeployConfig, target: Deployment, bundle: Bundle, state: State) -> list[Step]:
    """The steps from what exists to the bundle on the endpoint."""
    version, ours, serving = state.version(bundle), deployed_id(bundle), state.serving(deployed_id(bundle))
    number = version.version_id if version else str(len(state.versions) + 1)
    registered, there = ("keep" if found else "create" for found in (version, state.endpoint))
    where = f"version {number} on {target.size.min_replicas} x {target.size.machine_type}"
    placed = "keep" if state.is_deployed(bundle) else "create"
    if placed == "keep" and state.nodes(bundle) != (target.size.min_replicas, target.size.max_replicas):
        placed = "change"
    commands = (gcloud.deploy_model(cfg, target, bundle, number, serving),) if placed == "create" else ()
    return [
        Step(
            registered, f"gs://{target.bucket}/{target.staged(bundle)}", (gcloud.copy_bundle(target, bundle),)
        ),
        Step(registered, f"version {number} of {target.name}", (gcloud.upload_model(target, bundle, state),)),
        Step(there, f"data set {target.dataset} for requests", (gcloud.create_data_set(target),)),
        Step(there, f"endpoint {target.name}", (gcloud.create_endpoint(cfg, target),)),
        Step(placed, where, commands),
        Step("check", f"{cfg.answers} answers of version {number} are to be the bundle's own"),
        *_retire_steps(target, state, ours),
        *_traffic_steps(cfg, target, state, ours, number),
        *_monitor_steps(cfg, target, bundle, state),
    ]


def _traffic_steps(cfg: DeployConfig, target: Deployment, state: State, ours: str, number: str) -> list[Step]:
    """The traffic that the version gets once its answers are checked, where another has traffic."""
    share, serving = cfg.canary, state.serving(besides=ours)
    if not serving or state.share(ours) >= share:
        return []
    command = gcloud.set_traffic(target, traffic_split(ours, share, serving))
    return [Step("change", f"traffic of version {number} to {share} %", (command,))]


def _retire_steps(target: Deployment, state: State, ours: str) -> list[Step]:
    """Versions that go, since they are not the one to roll back to."""
    return [
        Step(
            "remove",
            f"version {model.model_version_id} from the endpoint",
            (gcloud.undeploy_model(target, model.id),),
        )
        for model in state.superfluous(ours)
    ]


def _monitor_steps(cfg: DeployConfig, target: Deployment, bundle: Bundle, state: State) -> list[Step]:
    """The monitoring job; with gcloud another one in its place, where it changes."""
    what, old = f"monitoring every {cfg.monitoring.hours} hours", state.monitor
    gone = gcloud.delete_monitor(target, old) if old else ()
    if not cfg.monitoring.enabled:
        return [Step("remove", "monitoring", gone)] if old else []
    is_new = not old
    if old:
        out = [model.id for model in state.superfluous(deployed_id(bundle))]
        stay = [model.id for model in state.deployed if model.id not in out]
        stay += [] if state.is_deployed(bundle) else [deployed_id(bundle)]
        wanted = job.monitor_job(cfg, target, bundle, stay)
        is_new = job.has_other_schema(old, wanted)
        if not is_new and not job.changed_fields(old, wanted):
            return [Step("keep", what)]
    made = gcloud.create_monitor(cfg, target, bundle, with_schemas=is_new)
    return [Step("change" if old else "create", what, (*gone, *made))]


def describe_plan(
    steps: list[Step], cfg: DeployConfig, target: Deployment, state: State, bundle: Bundle
) -> str:
    """The plan for people: steps, cost if left running, commands."""
    lines = [f"Plan for {target.endpoint}", *(f"  {step.action:7}{step.what}" for step in steps)]
    limits = job.monitor_thresholds(bundle, cfg.monitoring) if cfg.monitoring.enabled else {}
    if names := unseen_drift(bundle, limits):
        lines += [f"  it can hardly see drift of {', '.join(names)}; `churn monitor` can (docs/deploy.md)"]
    lines += [*_describe_cost(target, state, bundle), "The same with gcloud:"]
    lines += [f"  {command}" for step in steps if step.action != "keep" for command in step.commands]
    lacking = ", ".join(gcloud.unsupported(cfg, target, state, bundle))
    lines += [f"Through the API alone, since gcloud has no command for it: {lacking}"]
    return "\n".join(lines)


def _describe_cost(target: Deployment, state: State, bundle: Bundle) -> list[str]:
    """What it costs when it is left running: the version, and the one before, which stays to roll back to."""
    table, versions = prices.load_prices(), min(2, len(state.deployed) + (not state.is_deployed(bundle)))
    least, most = target.size.min_replicas * versions, target.size.max_replicas * versions
    lines = ["If left running: " + table.running(target.size.machine_type, least)]
    if most > least:
        lines += ["  under load up to " + table.running(target.size.machine_type, most)]
    if versions == 2:
        lines += ["  half of it is for the version before, which waits for `churn rollback`"]
    lines += [f"  and monitoring ${table.monitoring_per_gigabyte:.2f} per GB of requests that are looked at"]
    return [*lines, f"  prices of {table.date}, us-central1: {table.source}"]
