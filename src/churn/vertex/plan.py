"""What `churn deploy` would do, what that costs, and the same as commands for gcloud."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from churn.bundle import Bundle
from churn.config import DeployConfig
from churn.vertex import prices
from churn.vertex.state import State
from churn.vertex.target import Target, deployed_id, version_labels


@dataclass(frozen=True)
class Step:
    """One thing that is created, changed or left alone."""

    action: str  # create, change, keep
    what: str
    command: tuple[str, ...] = ()


def make(cfg: DeployConfig, target: Target, bundle: Bundle, state: State) -> list[Step]:
    """The steps from what exists to the bundle on the endpoint."""
    version, endpoint = state.version(bundle), state.endpoint
    number = version.version_id if version else str(len(state.versions) + 1)
    steps = [
        Step(
            "keep" if version else "create",
            f"gs://{target.bucket}/{target.staged(bundle)}",
            copy(target, bundle),
        ),
        Step(
            "keep" if version else "create",
            f"version {number} of {target.name}",
            upload(target, bundle, state),
        ),
        Step("keep" if endpoint else "create", f"data set {target.dataset} for requests", data_set(target)),
        Step("keep" if endpoint else "create", f"endpoint {target.name}", create(cfg, target)),
    ]
    deployed, serving = state.is_deployed(bundle), state.serving(deployed_id(bundle))
    where = f"version {number} on {target.size.min_replicas} x {target.size.machine_type}"
    steps.append(Step("keep" if deployed else "create", where, place(cfg, target, bundle, number, serving)))
    if not deployed or state.share(deployed_id(bundle)) < cfg.canary:
        wanted = cfg.canary if serving else 100
        steps.append(
            Step("change", f"traffic of version {number} to {wanted} %, once its answers are checked")
        )
    spare = [m for m in state.deployed if m.id not in (deployed_id(bundle), serving)]
    if cfg.canary == 100:
        steps += [Step("change", f"version {m.model_version_id} is undeployed") for m in spare]
    if cfg.monitoring.enabled:
        action = "change" if state.monitor and not deployed else "keep" if state.monitor else "create"
        steps.append(Step(action, f"monitoring every {cfg.monitoring.hours} hours"))
    return steps


def text(steps: list[Step], target: Target, state: State, bundle: Bundle) -> str:
    """The plan for people: steps, cost if left running, commands."""
    table = prices.load()
    after = min(
        2, len(state.deployed) + (not state.is_deployed(bundle))
    )  # the version before stays, to roll back to
    nodes, most = target.size.min_replicas * after, target.size.max_replicas * after
    lines = [f"Plan for {target.endpoint}", *(f"  {step.action:7}{step.what}" for step in steps)]
    lines += ["If left running: " + table.running(target.size.machine_type, nodes)]
    if most > nodes:
        lines += ["  under load up to " + table.running(target.size.machine_type, most)]
    if after == 2:
        lines += ["  half of it is for the version before, which waits for `churn rollback`"]
    lines += [f"  and monitoring ${table.monitoring_per_gigabyte:.2f} per GB of requests that are looked at"]
    lines += [f"  prices of {table.date}, us-central1: {table.source}", "The same with gcloud:"]
    lines += ["  " + shlex.join(step.command) for step in steps if step.command and step.action == "create"]
    return "\n".join(lines)


def ai(target: Target, *words: str) -> tuple[str, ...]:
    """A `gcloud ai` command."""
    return ("gcloud", "ai", *words, f"--project={target.project}", f"--region={target.region}")


def pairs(labels: dict[str, str]) -> str:
    """Labels as gcloud takes them."""
    return ",".join(f"{key}={value}" for key, value in labels.items())


def copy(target: Target, bundle: Bundle) -> tuple[str, ...]:
    """The bundle into the bucket."""
    place = f"gs://{target.bucket}/{target.staged(bundle)}/1"
    return (
        "gcloud",
        "storage",
        "cp",
        "--recursive",
        f"{bundle.path}/*",
        place,
        f"--project={target.project}",
    )


def upload(target: Target, bundle: Bundle, state: State) -> tuple[str, ...]:
    """A new version of the model."""
    which = f"--parent-model={target.model}" if state.versions else f"--model-id={target.name}"
    serving, options = target.serving, []
    for flag, value in (
        ("command", ",".join(serving.command)),
        ("args", "^;^" + ";".join(serving.args) if serving.args else ""),
        ("predict-route", serving.predict_route),
        ("health-route", serving.health_route),
    ):
        options += [f"--container-{flag}={value}"] if value else []
    return ai(
        target, "models", "upload", which, f"--display-name={target.name}",
        f"--artifact-uri={target.artifacts(bundle)}", f"--container-image-uri={target.image}", *options,
        f"--labels={pairs(version_labels(target, bundle))}",
    )  # fmt: skip


def data_set(target: Target) -> tuple[str, ...]:
    """The data set that requests are logged to."""
    label = pairs(target.labels).replace("=", ":")
    place = f"{target.project}:{target.dataset}"
    return ("bq", f"--location={target.region}", "mk", "--dataset", f"--label={label}", place)


def create(cfg: DeployConfig, target: Target) -> tuple[str, ...]:
    """The endpoint, with its requests logged."""
    key = [f"--encryption-kms-key-name={cfg.kms_key}"] if cfg.kms_key else []
    return ai(
        target, "endpoints", "create", f"--endpoint-id={target.name}", f"--display-name={target.name}",
        f"--labels={pairs(target.labels)}", f"--request-response-logging-rate={cfg.monitoring.sampling}",
        f"--request-response-logging-table=bq://{target.project}.{target.dataset}.requests", *key,
    )  # fmt: skip


def place(
    cfg: DeployConfig, target: Target, bundle: Bundle, number: str, serving: str | None
) -> tuple[str, ...]:
    """The version onto the endpoint, with its first share of the traffic."""
    split = f"0={cfg.probe},{serving}={100 - cfg.probe}" if serving and cfg.probe < 100 else "0=100"
    account = [f"--service-account={cfg.service_account}"] if cfg.service_account else []
    return ai(
        target, "endpoints", "deploy-model", target.name, f"--model={target.name}@{number}",
        f"--display-name={target.name}-{number}", f"--deployed-model-id={deployed_id(bundle)}",
        f"--machine-type={target.size.machine_type}", f"--min-replica-count={target.size.min_replicas}",
        f"--max-replica-count={target.size.max_replicas}", f"--traffic-split={split}", *account,
        *(["--enable-access-logging"] if cfg.access_logging else []),
    )  # fmt: skip
