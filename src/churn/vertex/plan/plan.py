"""The plan of `churn deploy`: its steps, their cost, and the same as commands for gcloud."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from churn.bundle.bundle import Bundle
from churn.vertex.apply import is_traffic_due, traffic_split
from churn.vertex.cloud.deployment import Deployment
from churn.vertex.cloud.prices import load_prices
from churn.vertex.cloud.state import State
from churn.vertex.monitoring import job
from churn.vertex.monitoring.thresholds import unseen_drift
from churn.vertex.plan import gcloud


@dataclass(frozen=True)
class Step:
    """One thing that is created, changed, removed, checked or kept."""

    action: str  # create, check, change, remove, keep
    what: str
    commands: Sequence[str] = ()  # lines for a shell


def describe_plan(deployment: Deployment, bundle: Bundle, state: State) -> str:
    """The plan from what exists to the bundle on its endpoint: steps, cost if left running, commands."""
    steps = _list_steps(deployment, bundle, state)
    commands = [command for step in steps if step.action != "keep" for command in step.commands]
    missing = ", ".join(gcloud.unsupported(deployment, bundle, state))
    return "\n".join(
        [
            f"Plan for {deployment.endpoint}",
            *(f"  {step.action:7}{step.what}" for step in steps),
            *_describe_unseen_drift(deployment, bundle),
            *_describe_cost(deployment, bundle, state),
            "The same with gcloud:",
            *(f"  {command}" for command in commands),
            f"Through the API alone, since gcloud has no command for it: {missing}",
        ]
    )


def _list_steps(deployment: Deployment, bundle: Bundle, state: State) -> list[Step]:
    version = state.version(deployment, bundle)
    newest = max((int(known.version_id) for known in state.versions), default=0)
    number = version.version_id if version else str(newest + 1)
    return [
        *_create_steps(deployment, bundle, state, number),
        _deploy_step(deployment, bundle, state, number),
        Step("check", f"{deployment.config.answers} answers of version {number} must equal the bundle's own"),
        *_traffic_steps(deployment, bundle, state, number),
        *_remove_steps(deployment, bundle, state),
        *_monitor_steps(deployment, bundle, state),
    ]


def _create_steps(deployment: Deployment, bundle: Bundle, state: State, number: str) -> list[Step]:
    """Staged bundle and version; data set and endpoint."""
    version = "keep" if state.version(deployment, bundle) else "create"
    endpoint = "keep" if state.endpoint else "create"
    folder = f"gs://{deployment.bucket}/{deployment.staged_path(bundle)}"
    upload = gcloud.upload_model(deployment, bundle, state)
    return [
        Step(version, folder, [gcloud.copy_bundle(deployment, bundle)]),
        Step(version, f"version {number} of {deployment.name}", [upload]),
        Step(endpoint, f"data set {deployment.dataset} for requests", [gcloud.create_dataset(deployment)]),
        Step(endpoint, f"endpoint {deployment.name}", [gcloud.create_endpoint(deployment)]),
    ]


def _deploy_step(deployment: Deployment, bundle: Bundle, state: State, number: str) -> Step:
    """The version on its nodes."""
    size = deployment.size
    what = f"version {number} on {size.min_replicas} x {size.machine_type}"
    if state.is_deployed(deployment.deployed_id(bundle)):
        return Step("keep" if state.nodes(deployment.deployed_id(bundle)) == size.nodes else "change", what)
    serving_id = state.serving_id(except_id=deployment.deployed_id(bundle))
    idle = deployment.config.idle_minutes  # gcloud has no flag for it
    command = [] if idle else [gcloud.deploy_model(deployment, bundle, number, serving_id)]
    return Step("create", what, command)


def _remove_steps(deployment: Deployment, bundle: Bundle, state: State) -> list[Step]:
    """Versions that go, because they are not the one to roll back to."""
    return [
        Step(
            "remove",
            f"version {model.model_version_id} from the endpoint",
            [gcloud.undeploy_model(deployment, model.id)],
        )
        for model in state.to_remove(deployment.deployed_id(bundle))
    ]


def _traffic_steps(deployment: Deployment, bundle: Bundle, state: State, number: str) -> list[Step]:
    """The version's traffic once its answers are checked, where another version has traffic."""
    new_id = deployment.deployed_id(bundle)
    serving_id = state.serving_id(except_id=new_id)
    if not serving_id or not is_traffic_due(state, new_id, deployment.config.canary):
        return []
    share = max(deployment.config.canary, state.share(new_id))
    command = gcloud.set_traffic(deployment, traffic_split(new_id, share, serving_id), serving_id)
    return [Step("change", f"traffic of version {number} to {share} %", [command])]


def _monitor_steps(deployment: Deployment, bundle: Bundle, state: State) -> list[Step]:
    """The monitoring job. gcloud cannot change one: its commands replace it."""
    monitoring, existing = deployment.config.monitoring, state.monitor
    delete = gcloud.delete_monitor(deployment, existing) if existing else []
    if not monitoring.enabled:
        return [Step("remove", "monitoring", delete)] if existing else []
    what, with_schemas = f"monitoring every {monitoring.hours} hours", True
    if existing:
        desired = job.monitor_job(deployment, bundle, _monitored_ids(deployment, bundle, state))
        with_schemas = job.has_other_schema(existing, desired)
        if not with_schemas and not job.changed_fields(existing, desired):
            return [Step("keep", what)]
    create = gcloud.create_monitor(deployment, bundle, with_schemas)
    return [Step("change" if existing else "create", what, [*delete, *create])]


def _monitored_ids(deployment: Deployment, bundle: Bundle, state: State) -> list[str]:
    """Ids of the models that will be deployed."""
    new_id = deployment.deployed_id(bundle)
    removed = {model.id for model in state.to_remove(new_id)}
    ids = [model.id for model in state.deployed if model.id not in removed]
    return ids if state.is_deployed(new_id) else [*ids, new_id]


def _describe_unseen_drift(deployment: Deployment, bundle: Bundle) -> list[str]:
    monitoring = deployment.config.monitoring
    limits = job.monitor_thresholds(bundle, monitoring) if monitoring.enabled else {}
    names = ", ".join(unseen_drift(bundle, limits))
    return [f"  it can hardly see drift of {names}; `churn monitor` can (docs/deploy.md)"] if names else []


def _describe_cost(deployment: Deployment, bundle: Bundle, state: State) -> list[str]:
    """Cost if left running: of the version, and of the previous one, which is kept for a rollback."""
    prices, size = load_prices(), deployment.size
    versions = min(2, len(state.deployed) + (not state.is_deployed(deployment.deployed_id(bundle))))
    least, most = (nodes * versions for nodes in size.nodes)
    lines = ["If left running: " + prices.describe_cost(size.machine_type, least)]
    if minutes := deployment.config.idle_minutes:
        lines.append(f"  for that nobody may have called for {minutes} minutes (a preview of Google's)")
        lines.append("  the first requests after that get 429 and are lost, until a machine has started")
    if most > least:
        lines.append("  under load up to " + prices.describe_cost(size.machine_type, most))
    if versions == 2:
        lines.append("  half of it is for the previous version, which is kept for `churn rollback`")
    monitoring = f"${prices.monitoring_per_gigabyte:.2f} per GB of requests that are looked at"
    return [
        *lines,
        f"  and monitoring {monitoring}",
        f"  prices of {prices.date}, us-central1: {prices.source}",
    ]
