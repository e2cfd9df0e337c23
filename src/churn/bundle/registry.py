"""The registry: runs are tracked, their bundles are registered, and one of them is the champion.

MLflow stores runs and versions: in `runs/mlflow.db` by default, on the server of MLFLOW_TRACKING_URI if
that is set. It keeps a copy of each bundle, so that a champion outlives its run directory. Each data set
(`data.name`) has its own registered model, and so its own champion.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from churn.bundle.bundle import Bundle
from churn.bundle.database import database_file, mlflow_client, on_server, one_writer
from churn.bundle.fairness_limits import broken_limit, limits_of_run
from churn.config.root import Config, flatten
from churn.config.secrets import hide_passwords
from churn.data.learnt import FILE as LEARNT
from churn.errors import UserError
from churn.refusals import refusal_of
from churn.runs import forget_unregistered, unregistered_runs

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import RegisteredModel

# Aliases of versions.
CHAMPION = "champion"  # the version that serves
PREVIOUS = "previous"  # the version that served before, to which a rollback returns
REFERENCE = "reference"  # the first champion, than which no later one may be worse (`churn.retrain.gate`)
CHALLENGER = "challenger"  # the newest version that a retraining made


def register_run(run: Path, root: str) -> str:
    """Track a finished run and register its bundle, once; gives the version of the registered model.

    The first good run of a data set becomes its champion, if it keeps the limits of fairness that it was
    trained with. Where a process was killed half-way, the same call does the rest.
    """
    client, bundle = mlflow_client(root), Bundle.load(run / "bundle")
    name, metrics = bundle.facts["name"], json.loads((run / "metrics.json").read_text())
    with one_writer(root):
        version = registered_version(client, bundle) or _register(client, run, bundle, metrics, root)
        _end_interrupted(client, version, run, bundle)
        fair = broken_limit(bundle.facts, limits_of_run(run)) is None
        if fair and version_with_alias(client, name, CHAMPION) is None and beats_base_rate(metrics):
            for alias in (REFERENCE, CHAMPION):
                client.set_registered_model_alias(name, alias, version)
    forget_unregistered(Path(root), run)
    return version


def register_and_describe(run: Path, root: str) -> str:
    """Register a finished run; gives its name and version, and which version is the champion.

    >>> register_and_describe(run, "runs")
    'gym version 1, the champion'
    """
    version, facts = register_run(run, root), Bundle.load(run / "bundle").facts
    named = facts["name"]
    champion = version_with_alias(mlflow_client(root), named, CHAMPION)
    if champion == version:
        return f"{named} version {version}, the champion"
    if champion is None and broken_limit(facts, limits_of_run(run)):
        return f"{named} version {version}; there is no champion"
    why = f"the champion is version {champion}"
    if champion is None:
        why = "there is no champion, since it is not clearly better than the churn rate alone"
    return f"{named} version {version}; {why}; to promote it: churn promote run={run}"


def register_leftovers(root: str) -> None:
    """Register the finished runs that killed processes left, and say so. A failure stops no stage."""
    for run in unregistered_runs(Path(root)):
        try:
            version = register_run(run, root)
            message = f"was finished but not registered; it is version {version} now"
        except Exception as error:
            reason = hide_passwords(str(refusal_of(error) or error)).replace("\n", "\n  ")
            message = f"is finished, but it cannot be registered now: {reason}"
        print(f"churn: the run {run} {message}", file=sys.stderr)


def _register(client: MlflowClient, run: Path, bundle: Bundle, metrics: dict[str, Any], root: str) -> str:
    """Track a run, and register its bundle as a new version."""
    name = bundle.facts["name"]
    tracked = client.create_run(_experiment_id(client, name, root), run_name=run.name).info
    try:
        _log_run(client, tracked.run_id, run, metrics)
        if not _registered_models(client, name):
            client.create_registered_model(name)
        source, tags = f"{tracked.artifact_uri}/bundle", {"digest": bundle.digest}
        version = client.create_model_version(name, source, tracked.run_id, tags).version
    except BaseException:  # also Ctrl-C: the run must not look as if it went on
        with suppress(Exception):  # on a full disk; the next call does it (`_end_interrupted`)
            client.set_terminated(tracked.run_id, "KILLED")
        raise
    client.set_terminated(tracked.run_id)
    return str(version)


def _end_interrupted(client: MlflowClient, version: str, run: Path, bundle: Bundle) -> None:
    """End what killed processes left of a run in the tracking: it looks as if it went on."""
    done = client.get_model_version(bundle.facts["name"], version).run_id
    experiment = client.get_run(done).info.experiment_id
    for found in client.search_runs([experiment], "attributes.status = 'RUNNING'"):
        if found.info.run_name == run.name:
            client.set_terminated(found.info.run_id, "FINISHED" if found.info.run_id == done else "KILLED")


def check_name(name: str) -> None:
    """Raise `UserError` if MLflow, or a folder, could not be called so; to be called before the training."""
    if not re.fullmatch(r"\w[\w .+-]*", name):
        do = "use letters, digits, blanks and . + - _ only: data.name=my-churn"
        raise UserError("a data set cannot be called so", f"data.name={name}", do)


def _log_run(client: MlflowClient, run_id: str, run: Path, metrics: dict[str, Any]) -> None:
    """Log the configuration, the metrics, the report and the bundle of a run."""
    from mlflow.entities import Param

    params = flatten(OmegaConf.load(run / "config.yaml"))
    client.log_batch(run_id, params=[Param(key, value) for key, value in params.items()])
    for metric, estimate in metrics["test"].items():
        if estimate["value"] is not None:
            client.log_metric(run_id, f"test.{metric}", estimate["value"])
    if rules := metrics.get("profit", {}).get("rules"):
        client.log_metric(run_id, "test.profit", rules[0]["profit"]["value"])  # per customer
    for name in ("report.html", LEARNT):
        if (run / name).exists():
            client.log_artifact(run_id, str(run / name))
    client.log_artifacts(run_id, str(run / "bundle"), "bundle")


def champion_path(cfg: Config) -> Path | None:
    """The directory of the champion's bundle, or None."""
    return bundle_with_alias(CHAMPION, cfg)


def bundle_with_alias(alias: str, cfg: Config) -> Path | None:
    """The directory of the bundle of `cfg.data.name` that has an alias, or None."""
    if not on_server() and not os.path.lexists(database_file(cfg.run.root)):
        return None
    from churn.data.load import dataset_name

    name = dataset_name(cfg.data)
    check_name(name)
    client = mlflow_client(cfg.run.root)
    version = version_with_alias(client, name, alias)
    if version is None:
        return None
    from mlflow.artifacts import download_artifacts

    source = client.get_model_version_download_uri(name, version)
    return Path(download_artifacts(artifact_uri=source))


def _experiment_id(client: MlflowClient, name: str, root: str) -> str:
    """The id of MLflow's experiment for a data set, created if it does not exist."""
    if experiment := client.get_experiment_by_name(name):
        if experiment.lifecycle_stage == "deleted":
            client.restore_experiment(experiment.experiment_id)
        return experiment.experiment_id
    local = None if on_server() else str(database_file(root).with_name("mlflow"))
    return client.create_experiment(name, artifact_location=local)


def registered_version(client: MlflowClient, bundle: Bundle) -> str | None:
    """The version under which a bundle is already registered, or None."""
    versions = client.search_model_versions(
        f"name = '{bundle.facts['name']}' and tags.digest = '{bundle.digest}'"
    )
    return str(versions[0].version) if versions else None


def describe_version(bundle: Bundle, root: str) -> str:
    """Version, day and digest of a bundle, in words; without the version if it is not registered.

    >>> describe_version(bundle, "runs")
    "version 2 of 2026-11-30 (228bd60d6396)"
    """
    known = on_server() or os.path.lexists(database_file(root))
    version = registered_version(mlflow_client(root), bundle) if known else None
    name = f"version {version}" if version else "not registered"
    day = f" of {bundle.facts['created'][:10]}" if "created" in bundle.facts else ""
    return f"{name}{day} ({bundle.digest[:12]})"


def _registered_models(client: MlflowClient, name: str) -> Sequence[RegisteredModel]:
    """The registered model of that name, in a list; empty if there is none."""
    return [model for model in client.search_registered_models(f"name = '{name}'") if model.name == name]


def version_with_alias(client: MlflowClient, name: str, alias: str) -> str | None:
    """The version of the registered model `name` that has an alias, or None."""
    models = _registered_models(client, name)
    version = models[0].aliases.get(alias) if models else None
    return None if version is None else str(version)


def beats_base_rate(metrics: dict[str, Any]) -> bool:
    """Whether the intervals of ROC AUC, and of the log loss minus the base rate's, exclude chance."""
    if "baselines" not in metrics:  # of a recalibrated bundle whose first run is gone
        return False
    auc = metrics["test"]["roc_auc"]["low"]
    loss = metrics["baselines"]["base_rate"]["log_loss"]["difference"]["high"]
    return auc is not None and loss is not None and auc > 0.5 and loss < 0  # None: too few churners to tell


def record_decision(root: str, name: str, version: str, tags: dict[str, str], files: list[Path]) -> None:
    """Store the decision on a challenger: alias, tags of its version, and the files with the evidence."""
    client = mlflow_client(root)
    with one_writer(root):
        client.set_registered_model_alias(name, CHALLENGER, version)
        for key, value in tags.items():
            client.set_model_version_tag(name, version, key, value)
        run_id = client.get_model_version(name, version).run_id
        for file in files:
            client.log_artifact(run_id, str(file))


def version_tags(root: str, name: str, alias: str) -> dict[str, str]:
    """Version number and tags of the version that has an alias; empty if there is none."""
    client = mlflow_client(root)
    version = version_with_alias(client, name, alias)
    return {} if version is None else {"version": version, **client.get_model_version(name, version).tags}
