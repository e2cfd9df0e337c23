"""Which bundle serves: runs are tracked, their bundles registered, and one of them is the champion.

MLflow keeps the books: in `runs/mlflow.db` by default, on a server where MLFLOW_TRACKING_URI names one. It
holds a copy of each bundle, so that a champion outlives the run directory it came from. Each data set
(`data.name`) has a registered model, and so a champion, of its own.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from churn.bundle.bundle import Bundle
from churn.config.root import Config, flatten
from churn.data.load import dataset_name
from churn.errors import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION = "champion"  # the alias of the version that serves
PREVIOUS = "previous"  # of the one that served before, to which a rollback goes
REFERENCE = "reference"  # of the first champion, than which no later one may be worse (`churn.retrain.gate`)
CHALLENGER = "challenger"  # of the newest version that a retraining made


def register_run(run: Path, root: str) -> str:
    """Track a finished run and register its bundle, once; gives the version of the registered model.

    The first good run of a data set becomes its champion.
    """
    books, bundle = mlflow_client(root), Bundle.load(run / "bundle")
    name, metrics = bundle.facts["name"], json.loads((run / "metrics.json").read_text())
    if version := _version_of(books, bundle):
        return version
    tracked = books.create_run(_experiment_id(books, name, root), run_name=run.name)
    _log_run(books, tracked.info.run_id, run, metrics)
    if not books.search_registered_models(f"name = '{name}'"):
        books.create_registered_model(name)
    source = f"{tracked.info.artifact_uri}/bundle"
    tags = {"digest": bundle.digest}
    version = books.create_model_version(name, source, tracked.info.run_id, tags).version
    if version_with_alias(books, name, CHAMPION) is None and beats_base_rate(metrics):
        for alias in (CHAMPION, REFERENCE):
            books.set_registered_model_alias(name, alias, version)
    return str(version)


def _log_run(books: MlflowClient, run_id: str, run: Path, metrics: dict[str, Any]) -> None:
    """Write the configuration, the numbers, the report and the bundle of a run into the books."""
    from mlflow.entities import Param

    params = flatten(OmegaConf.load(run / "config.yaml"))
    books.log_batch(run_id, params=[Param(key, value) for key, value in params.items()])
    for metric, numbers in metrics["test"].items():
        if numbers["value"] is not None:
            books.log_metric(run_id, f"test.{metric}", numbers["value"])
    books.log_artifact(run_id, str(run / "report.html"))
    books.log_artifacts(run_id, str(run / "bundle"), "bundle")
    books.set_terminated(run_id)


def find_bundle(cfg: Config) -> Bundle:
    """The bundle that `cfg.bundle` names; else the champion of `cfg.data.name`, else the newest run's."""
    if cfg.bundle:
        return Bundle.load(Path(cfg.bundle))
    path = champion_path(cfg) or Path(cfg.run.root) / "latest" / "bundle"
    if not path.exists():
        raise UserError("there is no bundle yet", f"bundle={path}", "churn train, or name one: bundle=DIR")
    return Bundle.load(path)


def champion_path(cfg: Config) -> Path | None:
    """Directory of the champion's bundle, or none."""
    return bundle_with_alias(CHAMPION, cfg)


def bundle_with_alias(alias: str, cfg: Config) -> Path | None:
    """Directory of the bundle of `cfg.data.name` that has an alias, or none."""
    server = "MLFLOW_TRACKING_URI" in os.environ
    if not server and not _database_file(cfg.run.root).exists():
        return None
    books, name = mlflow_client(cfg.run.root), dataset_name(cfg.data)
    version = version_with_alias(books, name, alias)
    if version is None:
        return None
    from mlflow.artifacts import download_artifacts

    source = books.get_model_version_download_uri(name, version)
    return Path(download_artifacts(artifact_uri=source))


def import_mlflow() -> None:
    """Import what the books need: it takes a second, and changes nothing."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow  # noqa: F401

    if "MLFLOW_TRACKING_URI" not in os.environ:
        from mlflow.store.model_registry import sqlalchemy_store as _  # noqa: F401
        from mlflow.store.tracking import sqlalchemy_store  # noqa: F401


def mlflow_client(root: str) -> MlflowClient:
    """A client of the tracking server, or of the database below `root`."""
    import_mlflow()
    from mlflow import MlflowClient

    for chatty in ("mlflow", "alembic"):  # after the import, which sets them
        logging.getLogger(chatty).setLevel(logging.WARNING)
    Path(root).mkdir(parents=True, exist_ok=True)
    return MlflowClient(os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{_database_file(root)}"))


def _database_file(root: str) -> Path:
    """The file that holds the books where no server does."""
    return Path(root).resolve() / "mlflow.db"


def _experiment_id(books: MlflowClient, name: str, root: str) -> str:
    """Id of the experiment of a data set, created if need be."""
    if found := books.get_experiment_by_name(name):
        return found.experiment_id
    local = None if "MLFLOW_TRACKING_URI" in os.environ else str(_database_file(root).with_name("mlflow"))
    return books.create_experiment(name, artifact_location=local)


def _version_of(books: MlflowClient, bundle: Bundle) -> str | None:
    """The version under which a bundle is registered already, or none."""
    found = books.search_model_versions(
        f"name = '{bundle.facts['name']}' and tags.digest = '{bundle.digest}'"
    )
    return str(found[0].version) if found else None


def version_with_alias(books: MlflowClient, name: str, alias: str) -> str | None:
    """The version that has an alias, or none."""
    models = books.search_registered_models(f"name = '{name}'")
    version = models[0].aliases.get(alias) if models else None
    return None if version is None else str(version)


def beats_base_rate(metrics: dict[str, Any]) -> bool:
    """Whether a model ranks better than chance and predicts better than the base rate, beyond doubt."""
    base_rate = metrics["baselines"]["base_rate"]["log_loss"]["difference"]
    return metrics["test"]["roc_auc"]["low"] > 0.5 and base_rate["high"] < 0


def record_decision(root: str, name: str, version: str, tags: dict[str, str], files: list[Path]) -> None:
    """Enter what was decided about a challenger, and the evidence, into the books."""
    books = mlflow_client(root)
    books.set_registered_model_alias(name, CHALLENGER, version)
    for key, value in tags.items():
        books.set_model_version_tag(name, version, key, value)
    run_id = books.get_model_version(name, version).run_id
    for file in files:
        books.log_artifact(run_id, str(file))


def version_tags(root: str, name: str, alias: str) -> dict[str, str]:
    """Version and tags of the version that has an alias; empty where none has it."""
    books = mlflow_client(root)
    version = version_with_alias(books, name, alias)
    return {} if version is None else {"version": version, **books.get_model_version(name, version).tags}
