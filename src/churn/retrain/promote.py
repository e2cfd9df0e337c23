"""`churn promote`: choose the version that serves."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from churn.bundle.approval import check_approval, record_approval
from churn.bundle.bundle import Bundle
from churn.bundle.database import mlflow_client, one_writer
from churn.bundle.fairness_limits import broken_limit, limits_of_promotion
from churn.bundle.registry import CHAMPION, PREVIOUS, register_run, version_tags, version_with_alias
from churn.config.root import Config
from churn.errors import UserError
from churn.retrain.history import PROMOTION, new_entry, record

BY_HAND = "promoted by hand"  # value of the tag `decision`; those of a retraining are in `steps`
RELOAD_SECONDS = 60.0  # that a promotion waits for each server of this machine


def promote(cfg: Config) -> None:
    """Make the bundle of the run `cfg.run.dir` the champion of its data set (`churn promote run=DIR`).

    It has to keep the limits of fairness of its training, too. With `deploy.env=prod` it needs an approval,
    which is kept for `churn deploy`.
    """
    if cfg.run.dir is None:
        raise UserError("no run is named", do="churn promote run=runs/latest")
    check_approval(cfg)
    run = Path(cfg.run.dir)
    bundle = Bundle.load(run / "bundle")
    facts, name = bundle.facts, bundle.facts["name"]
    if unfair := broken_limit(facts, limits_of_promotion(run, cfg)):
        do = "train another one, or decide on another limit: type the key with its value"
        raise UserError(f"this bundle may not become the champion: {unfair}", f"run={run}", do)
    version = register_run(run, cfg.run.root)
    approved = record_approval(cfg, name, version)
    with one_writer(cfg.run.root):  # in place of what a retraining decided: it has no probation
        mlflow_client(cfg.run.root).set_model_version_tag(name, version, "decision", BY_HAND)
    before = version_tags(cfg.run.root, name, CHAMPION).get("version")
    reload = make_champion(cfg.run.root, name, version)
    if before != version:  # the windows of its champion count from now on, as after a retraining
        cfg.data.name = name
        record(cfg, new_entry(datetime.now(UTC), PROMOTION, True, digest=bundle.digest))
    print(f"Version {version} of '{name}' is the champion, from {run}.{approved}{reload}")


def make_champion(root: str, name: str, version: str) -> str:
    """Make a registered version the champion, remember the one before, and reload the local servers.

    Waits for the servers. Gives a sentence about each, with a space before it; empty where none runs.
    """
    client = mlflow_client(root)
    with one_writer(root):
        current = version_with_alias(client, name, CHAMPION)
        if current not in (None, version):
            client.set_registered_model_alias(name, PREVIOUS, current)
        client.set_registered_model_alias(name, CHAMPION, version)
    return _reload_servers(root, version_tags(root, name, CHAMPION)["digest"])


def _reload_servers(root: str, digest: str) -> str:
    """Let the local servers answer with a bundle; gives a sentence about those that do or do not."""
    from churn.serve.processes import reload_servers, wait_for_reload

    answers = {
        process: wait_for_reload(root, process, before, digest, RELOAD_SECONDS)
        for process, before in reload_servers(root).items()
    }
    refused = {process: why for process, why in answers.items() if why}
    done = len(answers) - len(refused)
    servers = "server on this machine answers" if done == 1 else "servers on this machine answer"
    return "".join(
        [f" {done} {servers} with it." * bool(done)]
        + [f" The server with process id {process} does not: {why}." for process, why in refused.items()]
    )
