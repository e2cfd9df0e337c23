"""What `churn deploy` would do, what that costs, and the same as commands for gcloud."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from churn.bundle import Bundle
from churn.config import DeployConfig
from churn.vertex import monitoring, prices
from churn.vertex.apply import probe, split
from churn.vertex.state import State
from churn.vertex.target import Target, deployed_id, version_labels


@dataclass(frozen=True)
class Step:
    """One thing that is created, changed or left alone."""

    action: str  # create, check, change, remove, keep
    what: str
    command: tuple[str, ...] = ()


def make(cfg: DeployConfig, target: Target, bundle: Bundle, state: State) -> list[Step]:
    """The steps from what exists to the bundle on the endpoint."""
    version, ours, serving = state.version(bundle), deployed_id(bundle), state.serving(deployed_id(bundle))
    number = version.version_id if version else str(len(state.versions) + 1)
    registered, there = ("keep" if found else "create" for found in (version, state.endpoint))
    where = f"version {number} on {target.size.min_replicas} x {target.size.machine_type}"
    placed = "keep" if state.is_deployed(bundle) else "create"
    if placed == "keep" and state.nodes(bundle) != (target.size.min_replicas, target.size.max_replicas):
        placed = "change"
    command = place(cfg, target, bundle, number, serving) if placed == "create" else ()
    return [
        Step(registered, f"gs://{target.bucket}/{target.staged(bundle)}", copy(target, bundle)),
        Step(registered, f"version {number} of {target.name}", upload(target, bundle, state)),
        Step(there, f"data set {target.dataset} for requests", data_set(target)),
        Step(there, f"endpoint {target.name}", create(cfg, target)),
        Step(placed, where, command),
        Step("check", f"{cfg.answers} answers of version {number} are to be the bundle's own"),
        *retire(target, state, ours),
        *shift(cfg, target, state, ours, number),
        *watch(cfg, target, bundle, state),
    ]


def shift(cfg: DeployConfig, target: Target, state: State, ours: str, number: str) -> list[Step]:
    """The traffic that the version gets once its answers are checked, where another has traffic."""
    share, serving = cfg.canary, state.serving(besides=ours)
    if not serving or state.share(ours) >= share:
        return []
    shares = {ours: share, serving: 100 - share} if share < 100 else {ours: 100}
    command = ai(target, "endpoints", "update", target.name, f"--traffic-split={pairs(shares)}")
    return [Step("change", f"traffic of version {number} to {share} %", command)]


def retire(target: Target, state: State, ours: str) -> list[Step]:
    """Versions that go, since they are not the one to roll back to."""
    return [
        Step(
            "remove",
            f"version {model.model_version_id} from the endpoint",
            ai(target, "endpoints", "undeploy-model", target.name, f"--deployed-model-id={model.id}"),
        )
        for model in state.superfluous(ours)
    ]


def watch(cfg: DeployConfig, target: Target, bundle: Bundle, state: State) -> list[Step]:
    """The monitoring job; what gcloud can say of it: no alert without an e-mail address, no schema."""
    chosen, what = cfg.monitoring, f"monitoring every {cfg.monitoring.hours} hours"
    if not chosen.enabled:
        return [Step("remove", "monitoring")] if state.monitor else []
    if state.monitor:
        gone = [model.id for model in state.superfluous(deployed_id(bundle))]
        stay = [model.id for model in state.deployed if model.id not in gone]
        stay += [] if state.is_deployed(bundle) else [deployed_id(bundle)]
        wanted = monitoring.job(cfg, target, bundle, stay)
        return [Step("change" if monitoring.differing(state.monitor, wanted) else "keep", what)]
    limits = {name: str(value) for name, value in monitoring.thresholds(bundle, chosen.threshold).items()}
    channels = [f"--notification-channels={','.join(chosen.channels)}"] if chosen.channels else []
    command = ai(
        target, "model-monitoring-jobs", "create", f"--display-name={target.name}",
        f"--endpoint={target.name}", f"--emails={','.join(chosen.emails)}",
        f"--labels={pairs(target.labels)}",
        f"--prediction-sampling-rate={chosen.sampling}", f"--monitoring-frequency={chosen.hours}",
        f"--feature-thresholds={pairs(limits)}", "--anomaly-cloud-logging", *channels,
    )  # fmt: skip
    return [Step("create", what, command)]


def text(steps: list[Step], cfg: DeployConfig, target: Target, state: State, bundle: Bundle) -> str:
    """The plan for people: steps, cost if left running, commands."""
    lines = [f"Plan for {target.endpoint}", *(f"  {step.action:7}{step.what}" for step in steps)]
    lines += [*cost(target, state, bundle), "The same with gcloud:"]
    lines += ["  " + shlex.join(step.command) for step in steps if step.command and step.action != "keep"]
    return "\n".join(lines)


def cost(target: Target, state: State, bundle: Bundle) -> list[str]:
    """What it costs when it is left running: the version, and the one before, which stays to roll back to."""
    table, versions = prices.load(), min(2, len(state.deployed) + (not state.is_deployed(bundle)))
    least, most = target.size.min_replicas * versions, target.size.max_replicas * versions
    lines = ["If left running: " + table.running(target.size.machine_type, least)]
    if most > least:
        lines += ["  under load up to " + table.running(target.size.machine_type, most)]
    if versions == 2:
        lines += ["  half of it is for the version before, which waits for `churn rollback`"]
    lines += [f"  and monitoring ${table.monitoring_per_gigabyte:.2f} per GB of requests that are looked at"]
    return [*lines, f"  prices of {table.date}, us-central1: {table.source}"]


def ai(target: Target, *words: str) -> tuple[str, ...]:
    """A `gcloud ai` command."""
    return ("gcloud", "ai", *words, f"--project={target.project}", f"--region={target.region}")


def pairs(labels: Mapping[str, object]) -> str:
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
    share = pairs(split("0", probe(cfg), serving))
    account = [f"--service-account={cfg.service_account}"] if cfg.service_account else []
    return ai(
        target, "endpoints", "deploy-model", target.name, f"--model={target.name}@{number}",
        f"--display-name={target.name}-{number}", f"--deployed-model-id={deployed_id(bundle)}",
        f"--machine-type={target.size.machine_type}", f"--min-replica-count={target.size.min_replicas}",
        f"--max-replica-count={target.size.max_replicas}", f"--traffic-split={share}", *account,
        *(["--enable-access-logging"] if cfg.access_logging else []),
    )  # fmt: skip
