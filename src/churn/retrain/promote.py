"""`churn promote`: choose the version that serves."""

from __future__ import annotations

from pathlib import Path

from churn.bundle.bundle import Bundle
from churn.bundle.database import mlflow_client, one_writer
from churn.bundle.registry import CHAMPION, PREVIOUS, register_run, version_with_alias
from churn.config.root import Config
from churn.errors import UserError


def promote(cfg: Config) -> None:
    """Make the bundle of the run `cfg.run.dir` the champion of its data set (`churn promote run=DIR`)."""
    if cfg.run.dir is None:
        raise UserError("no run is named", do="churn promote run=runs/latest")
    run = Path(cfg.run.dir)
    name = Bundle.load(run / "bundle").facts["name"]
    version = register_run(run, cfg.run.root)
    reload = make_champion(cfg.run.root, name, version)
    print(f"Version {version} of '{name}' is the champion, from {run}.{reload}")


def make_champion(root: str, name: str, version: str) -> str:
    """Make a registered version the champion, remember the one before, and reload the local servers.

    Gives a sentence about the servers, with a space before it; empty where none runs.
    """
    from churn.serve.processes import reload_servers

    client = mlflow_client(root)
    with one_writer(root):
        current = version_with_alias(client, name, CHAMPION)
        if current not in (None, version):
            client.set_registered_model_alias(name, PREVIOUS, current)
        client.set_registered_model_alias(name, CHAMPION, version)
    servers = reload_servers(root)
    return f" {servers} local servers reload." if servers else ""
