"""`churn promote`: which version serves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from churn.bundle.bundle import Bundle
from churn.config.root import Config
from churn.errors import UserError

if TYPE_CHECKING:
    pass
from churn.bundle.registry import CHAMPION, PREVIOUS, mlflow_client, register_run, version_with_alias


def promote(cfg: Config) -> None:
    """Make the bundle of the run `cfg.run.dir` the champion of its data set (`churn promote run=DIR`)."""
    if cfg.run.dir is None:
        raise UserError("no run is named", do="churn promote run=runs/latest")
    run = Path(cfg.run.dir)
    bundle = Bundle.load(run / "bundle")
    version = register_run(run, cfg.run.root)
    told = make_champion(cfg.run.root, bundle.facts["name"], version)
    print(f"Version {version} of '{bundle.facts['name']}' is the champion, from {run}.{told}")


def make_champion(root: str, name: str, version: str) -> str:
    """Move the alias, remember who had it, let the servers on this machine reload; says how many they are."""
    from churn.serve.processes import reload_servers

    books = mlflow_client(root)
    before = version_with_alias(books, name, CHAMPION)
    if before not in (None, version):
        books.set_registered_model_alias(name, PREVIOUS, before)
    books.set_registered_model_alias(name, CHAMPION, version)
    servers = reload_servers(root)
    return f" {servers} local servers reload." if servers else ""
