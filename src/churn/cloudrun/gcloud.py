"""The same steps as commands for a shell: gcloud, and bq for the data set of the log."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from churn.bundle.bundle import Bundle
from churn.cloudrun.invokers import ANYBODY, INVOKER
from churn.cloudrun.log import destination, sink_filter
from churn.cloudrun.service import (
    LOG_TO_STDOUT,
    PORT,
    PROBE,
    START_SECONDS,
    TIMEOUT_SECONDS,
    plain_variables,
)
from churn.cloudrun.state import RunState
from churn.data.id_hash import VARIABLE
from churn.vertex.cloud.deployment import Deployment
from churn.vertex.plan.gcloud import delete_dataset, delete_files, key_values


def _run_command(deployment: Deployment, *words: str) -> str:
    """A `gcloud run` command."""
    options = (f"--project={deployment.project}", f"--region={deployment.region}")
    return shlex.join(["gcloud", "run", *words, *options])


def create_sink(deployment: Deployment) -> str:
    """Create the log sink."""
    words = ["gcloud", "logging", "sinks", "create", deployment.name, destination(deployment)]
    flags = [f"--log-filter={sink_filter(deployment)}", "--use-partitioned-tables"]
    return shlex.join([*words, *flags, f"--project={deployment.project}"])


def _delete_sink(deployment: Deployment) -> str:
    """Delete the log sink."""
    words = ["gcloud", "logging", "sinks", "delete", deployment.name]
    return shlex.join([*words, f"--project={deployment.project}", "--quiet"])


def deploy_revision(deployment: Deployment, bundle: Bundle, name: str, is_first: bool) -> str:
    """Make a revision without traffic; the first one gets all of it, of a service that is not public.

    Later ones leave it to `change_invokers` who may call.
    """
    suffix = name.removeprefix(f"{deployment.name}-")
    traffic = "--no-allow-unauthenticated" if is_first else "--no-traffic"
    return _run_command(
        deployment, "deploy", deployment.name, f"--image={deployment.image}", f"--revision-suffix={suffix}",
        f"--tag={PROBE}", traffic,
        f"--labels={key_values(deployment.labels)}", *_container_flags(deployment, bundle),
        *_size_flags(deployment), *_identity_flags(deployment),
    )  # fmt: skip


def _container_flags(deployment: Deployment, bundle: Bundle) -> list[str]:
    probe = {
        "httpGet.path": deployment.serving.health_route,
        "httpGet.port": PORT,
        "periodSeconds": 1,
        "timeoutSeconds": 1,
        "failureThreshold": START_SECONDS,
    }
    secret = deployment.config.cloud_run.id_key
    return [
        f"--port={PORT}",
        f"--args={','.join(LOG_TO_STDOUT)}",
        f"--set-env-vars={key_values(plain_variables(deployment, bundle))}",
        *([f"--set-secrets={VARIABLE}={secret}:latest"] if secret else []),
        f"--startup-probe={key_values(probe)}",
    ]


def _size_flags(deployment: Deployment) -> list[str]:
    run, (least, most) = deployment.config.cloud_run, deployment.size.nodes
    return [
        f"--cpu={run.cpu}",
        f"--memory={run.memory_mib}Mi",
        f"--concurrency={run.concurrency}",
        f"--timeout={TIMEOUT_SECONDS}",
        "--cpu-throttling",
        "--cpu-boost",
        f"--min={least}",
        f"--max-instances={most}",
    ]


def _identity_flags(deployment: Deployment) -> list[str]:
    account, key = deployment.config.service_account, deployment.config.kms_key
    return ([f"--service-account={account}"] if account else []) + ([f"--key={key}"] if key else [])


def set_traffic(deployment: Deployment, shares: Mapping[str, int], tags: Mapping[str, str]) -> str:
    """Set the traffic of each revision, and all tags."""
    flag = f"--set-tags={key_values(tags)}" if tags else "--clear-tags"
    split = f"--to-revisions={key_values(shares)}"
    return _run_command(deployment, "services", "update-traffic", deployment.name, split, flag)


def keep_instances(deployment: Deployment) -> str:
    """Set the number of instances that the service keeps."""
    return _run_command(
        deployment, "services", "update", deployment.name, f"--min={deployment.size.min_replicas}"
    )


def change_invokers(deployment: Deployment, public: bool) -> str:
    """Let anybody call the service, or nobody without the role."""
    verb = "add-iam-policy-binding" if public else "remove-iam-policy-binding"
    who = (f"--member={ANYBODY}", f"--role={INVOKER}")
    return _run_command(deployment, "services", verb, deployment.name, *who)


def destroy_all(
    deployment: Deployment, state: RunState, has_sink: bool, has_log: bool, files: Iterable[Any]
) -> list[str]:
    """Remove everything; files: the staged objects."""
    lines = [_run_command(deployment, "services", "delete", deployment.name, "--quiet")] * bool(state.service)
    lines += [_delete_sink(deployment)] * has_sink
    lines += [delete_dataset(deployment, deployment.dataset)] * has_log
    return lines + delete_files(deployment, files)


def describe_commands(commands: Sequence[str]) -> str:
    """The commands below their heading; empty for none."""
    return "\n".join(["The same with gcloud:", *(f"  {line}" for line in commands)] if commands else [])
