"""The decision of a retraining, written down before anything changes: the next run does what a kill left."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from churn.bundle.bundle import Bundle
from churn.bundle.database import mlflow_client
from churn.bundle.registry import CHAMPION, PREVIOUS, bundle_with_alias, version_tags
from churn.config.root import Config
from churn.config.serving import Platform
from churn.data.load import dataset_name
from churn.errors import UserError
from churn.evaluate.report.templates import capitalize_first
from churn.files import write_text
from churn.retrain import promote, steps, traffic
from churn.retrain.history import RECALIBRATION, ROLLBACK, history_dir, record

FILE = "pending.json"


@dataclass(frozen=True)
class Decision:
    """What is to be done."""

    entry: dict[str, Any]  # the line of the history
    champion: str  # digest of the registered champion, which the decision is about; "" for none
    reason: str
    given_up: str = ""  # version, of a rollback
    restored: str = ""  # version, of a rollback


def champion_digest(cfg: Config) -> str:
    """Digest of the registered champion, to be read before a decision about it is prepared; "" for none."""
    return _champion(cfg).get("digest", "")


def decide(cfg: Config, decision: Decision) -> None:
    """Write a decision down and carry it out; after a kill the next process does that.

    It is dropped if another model was promoted while it was prepared.
    """
    if obstacle := _obstacle(cfg, decision):
        print(f"The decision ({decision.entry['kind']}) is dropped: {obstacle}.")
        return
    write_text(_file(cfg), json.dumps(asdict(decision)))
    _carry_out(cfg, decision)


def finish_interrupted(cfg: Config) -> bool:
    """Carry out the decision that an earlier process did not finish; False if there is none.

    It is dropped where it has lost its sense: its run is gone, or another model serves since then.
    """
    if not _file(cfg).exists():
        return False
    decision = _read(_file(cfg))
    time, kind = decision.entry["time"], decision.entry["kind"]
    what = f"The decision of {time} ({kind}) was not carried out to its end"
    if obstacle := _obstacle(cfg, decision):
        print(f"{what}, and is dropped: {obstacle}.")
        _file(cfg).unlink()
        return False
    print(f"{what}. It is now.")
    _carry_out(cfg, decision)
    return True


def _read(file: Path) -> Decision:
    """The decision in a file; raises `UserError` if that was changed."""
    try:
        return Decision(**json.loads(file.read_text()))
    except (ValueError, TypeError):
        do = "remove it, and run the same command again"
        raise UserError("the interrupted decision cannot be read", str(file), do) from None


def _carry_out(cfg: Config, decision: Decision) -> None:
    """Do what was decided and record it, once. Each step may have been done before."""
    if decision.entry["kind"] == ROLLBACK:
        _roll_back(cfg, decision)
    else:
        _register_and_promote(cfg, decision)
    record(cfg, decision.entry)
    _file(cfg).unlink()


def _file(cfg: Config) -> Path:
    return history_dir(cfg) / FILE


def _champion(cfg: Config) -> dict[str, str]:
    """Version and tags of the registered champion; empty if there is none."""
    return version_tags(cfg.run.root, dataset_name(cfg.data), CHAMPION)


def _obstacle(cfg: Config, decision: Decision) -> str:
    """Why a decision cannot be carried out any more; "" if it can."""
    serves, run = _champion(cfg), decision.entry.get("run")
    try:
        digests = [decision.champion, Bundle.load(Path(run) / "bundle").digest if run else ""]
    except UserError as error:
        return f"its run {run} cannot be used: {error.what}"
    if serves.get("digest", "") in digests or serves.get("version") == decision.restored:
        return ""
    return "another model serves since then"


def _register_and_promote(cfg: Config, decision: Decision) -> None:
    """Register a challenger with the decision; promote it if the gate says so."""
    run, reason = Path(decision.entry["run"]), decision.reason
    page = run / "decision.html"
    version = steps.register(cfg, run, page, run / "decision.json")
    if decision.entry["kind"] == RECALIBRATION:
        print(f"Recalibrated: {reason}. {steps.promote(cfg, run, version)}")
        return
    if decision.entry["promoted"]:
        print(f"{capitalize_first(reason)}. {steps.promote(cfg, run, version)}")
    else:
        print(f"Version {version} stays a challenger: {reason}.")
    print(f"Decision: {page}")


def _roll_back(cfg: Config, decision: Decision) -> None:
    """Restore the previous version, and mark the other one so that it is not promoted again."""
    name = dataset_name(cfg.data)
    if cfg.target.name is Platform.vertex:
        traffic.withdraw(cfg, _bundle_of(cfg, decision.champion))
    client = mlflow_client(cfg.run.root)
    client.set_model_version_tag(name, decision.given_up, "decision", steps.ROLLED_BACK)
    reload = promote.make_champion(cfg.run.root, name, decision.restored)
    print(f"Rolled back to version {decision.restored}: {decision.reason}.{reload}")


def _bundle_of(cfg: Config, digest: str) -> Bundle:
    """The bundle that is given up: the champion's or, if that was replaced already, the one before."""
    paths = [bundle_with_alias(alias, cfg) for alias in (CHAMPION, PREVIOUS)]
    bundles = [Bundle.load(path) for path in paths if path]
    return next(bundle for bundle in bundles if bundle.digest == digest)
