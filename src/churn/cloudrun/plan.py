"""The plan of `churn deploy target=cloudrun`: its steps, their cost, and the same as commands for gcloud."""

from __future__ import annotations

from collections.abc import Iterator

from churn.bundle.bundle import Bundle
from churn.cloudrun import gcloud
from churn.cloudrun.apply import wanted_traffic
from churn.cloudrun.log import log_table
from churn.cloudrun.prices import load_run_prices
from churn.cloudrun.service import revision_stem, service_name
from churn.cloudrun.state import RunState
from churn.vertex.cloud.deployment import Deployment
from churn.vertex.plan.gcloud import copy_bundle, create_dataset
from churn.vertex.plan.plan import Step

API_ALONE = "comparing answers, the log sink's right to write into the data set"


def describe_plan(deployment: Deployment, bundle: Bundle, state: RunState) -> str:
    """The plan from what exists to the bundle on its service: steps, cost, commands."""
    steps = list(_list_steps(deployment, bundle, state))
    commands = [command for step in steps if step.action != "keep" for command in step.commands]
    return "\n".join(
        [
            f"Plan for {service_name(deployment)}",
            *(f"  {step.action:7}{step.what}" for step in steps),
            *_describe_access(deployment),
            *_describe_cost(deployment),
            *([gcloud.describe_commands(commands)] if commands else []),
            f"Through the API alone, since gcloud has no command for it: {API_ALONE}",
        ]
    )


def _list_steps(deployment: Deployment, bundle: Bundle, state: RunState) -> Iterator[Step]:
    stem = revision_stem(deployment, bundle)
    name = state.running(stem)
    yield from _create_steps(deployment, bundle, state, name)
    name = name or state.next_name(stem)
    what = f"{deployment.config.answers} answers of {name} at its own address must equal the bundle's own"
    yield Step("check", what)
    shares, tags = wanted_traffic(deployment, state, name)
    if state.service is None or (shares, tags) != (state.shares, state.tags):
        what = ", ".join(f"{share} % for {revision}" for revision, share in shares.items())
        yield Step("change", f"traffic: {what}", [gcloud.set_traffic(deployment, shares, tags)])
    else:
        yield Step("keep", "traffic")
    public = deployment.config.cloud_run.public
    if public != state.public:
        who = "anybody may call it" if public else "only who has roles/run.invoker may call it"
        yield Step("change", who, [gcloud.change_invokers(deployment, public)])


def _create_steps(
    deployment: Deployment, bundle: Bundle, state: RunState, name: str | None
) -> Iterator[Step]:
    """Staged bundle, log, service with its revision, and the instances that it keeps."""
    folder = f"gs://{deployment.bucket}/{deployment.staged_path(bundle)}"
    yield Step("keep" if name else "create", folder, [copy_bundle(deployment, bundle)])
    log = [create_dataset(deployment), gcloud.create_sink(deployment)]
    new = state.service is None
    yield Step("create" if new else "keep", f"data set {deployment.dataset} and a log sink for answers", log)
    revision = name or state.next_name(revision_stem(deployment, bundle))
    command = gcloud.deploy_revision(deployment, bundle, revision, is_first=new)
    kind = f"service {deployment.name} with revision" if new else "revision"
    yield Step("keep" if name else "create", f"{kind} {revision}{_size(deployment)}", [command])
    least = deployment.size.min_replicas
    if name and state.kept_instances != least:
        yield Step("change", f"{least} instances that are kept", [gcloud.keep_instances(deployment)])


def _size(deployment: Deployment) -> str:
    run, (least, most) = deployment.config.cloud_run, deployment.size.nodes
    return f": {least} to {most} instances of {run.cpu} CPU and {run.memory_mib} MiB"


def _describe_access(deployment: Deployment) -> Iterator[str]:
    """Who may call, and whom the log names."""
    run = deployment.config.cloud_run
    if not run.public:
        yield "  callers need roles/run.invoker on the service, and send an ID token"
    yield f"  its log: churn monitor monitor.log={log_table(deployment)}"
    if not run.id_key:
        yield "  each container hashes ids by a key of its own, so labels can't be matched with the log;"
        yield "  a key for all of them: deploy.cloud_run.id_key=SECRET"


def _describe_cost(deployment: Deployment) -> Iterator[str]:
    """Cost of a month without a call and of a million predictions; time of the first answer."""
    prices, run, least = load_run_prices(), deployment.config.cloud_run, deployment.size.min_replicas
    yield "Cost:"
    yield from (f"  {line}" for line in prices.describe(run.cpu, run.memory_mib, least))
    yield f"  and ${prices.logging_gib:.2f} per GiB of the log, beyond 50 GiB a month"
    if least:
        yield "First answer: at once"
    else:
        yield "First answer after a pause: once a container has started; our part of it takes about a second"
