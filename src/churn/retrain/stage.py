"""`churn retrain`: look after the last promotion, ask the trigger, train, compare, decide."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

from churn import registry
from churn.bundle import Bundle
from churn.config import Config, Place
from churn.data import name_of
from churn.registry import CHAMPION, PREVIOUS, bundle_with, tags_of
from churn.retrain import steps
from churn.retrain.gate import CHALLENGER, Verdict, regressed
from churn.retrain.rows import moment, stamp, write
from churn.retrain.trigger import Trigger, decide

HISTORY = "history.jsonl"


def retrain(cfg: Config) -> None:
    """Retrain if the policy says so, and promote the challenger if it proves itself; says what was done.

    Meant to be called every day. First a promotion that turns out to be a mistake is taken back. Raises
    `UserError` where there is no champion, or no labelled row to learn from.
    """
    cfg.data.name, now = name_of(cfg.data), moment(cfg.retrain.now)
    bundles = steps.models(cfg)
    if told := look_after(cfg, bundles[CHAMPION], now):
        print(told)
        return
    trigger = decide(
        about(bundles[CHAMPION], cfg), retrained(cfg), now, cfg.retrain.trigger, cfg.retrain.by_hand
    )
    if trigger.kind is None:
        print(f"No retraining: {trigger.reason}.")
        return
    print(f"Retraining: {trigger.reason}.")
    run, verdict = challenge(cfg, bundles, trigger)
    page, facts = run / "decision.html", run / "decision.json"
    steps.document(cfg, verdict, trigger, page, facts)
    version = steps.register(cfg, run, page, facts)
    note(cfg, {"time": now.isoformat(), "run": str(run), "kind": trigger.kind, "promoted": verdict.promote})
    if verdict.promote:
        print(f"{verdict.reason.capitalize()}. {steps.promote(cfg, run, version)}")
    else:
        print(f"Version {version} stays a challenger: {verdict.reason}.")
    print(f"Decision: {page}")


def challenge(cfg: Config, bundles: dict[str, Bundle], trigger: Trigger) -> tuple[Path, Verdict]:
    """The run of a new challenger, and what the gate says of it."""
    champion = bundles[CHAMPION]
    with tempfile.TemporaryDirectory() as folder:
        rows, fresh, predictions = (
            Path(folder) / f"{name}.parquet" for name in ("rows", "fresh", "predictions")
        )
        steps.ingest(cfg, champion, rows, fresh)
        sizes = steps.validate(cfg, champion, rows, fresh)
        print(f"{sizes['train']:,} labelled rows to learn from, {sizes['fresh']:,} fresh ones to compare on")
        run = steps.train(cfg, champion, rows)
        steps.evaluate(cfg, bundles | {CHALLENGER: Bundle.load(run / "bundle")}, fresh, predictions)
        return run, steps.decide(cfg, predictions, trigger.alarmed)


def look_after(cfg: Config, champion: Bundle, now: datetime) -> str | None:
    """Within its probation, compare the champion with the one before on what came since; undo it if worse.

    Gives what was done, or none.
    """
    tags = tags_of(cfg.run.root, champion.facts["name"], CHAMPION)
    before = bundle_with(PREVIOUS, cfg)
    if cfg.bundle or before is None or tags.get("decision") != steps.PROMOTED:
        return None
    promoted = datetime.fromisoformat(tags["decided"])
    if now - promoted > timedelta(days=cfg.retrain.probation_days):
        return None
    known = steps.labelled(cfg, champion)
    since = known.take(known.times >= stamp(promoted))
    with tempfile.TemporaryDirectory() as folder:
        fresh, predictions = (Path(folder) / f"{name}.parquet" for name in ("fresh", "predictions"))
        write(since, champion.schema, fresh)
        both = {CHAMPION: champion, CHALLENGER: Bundle.load(before)}  # who must prove to be better
        steps.evaluate(cfg, both, fresh, predictions)
        verdict = steps.decide(cfg, predictions, alarmed=False)
    if regressed(verdict):
        return roll_back(cfg, champion.facts["name"], verdict)
    if verdict.checks and cfg.target.name is Place.vertex:  # enough rows, and no worse on them
        on_vertex("deploy", replace(cfg, bundle=str(champion.path)))
    return None


def on_vertex(stage: str, cfg: Config) -> None:
    """Run `churn deploy` or `churn rollback`, without a question; where nothing changes, it is a no-op."""
    function = getattr(import_module(f"churn.vertex.{stage}"), stage)
    function(replace(cfg, deploy=replace(cfg.deploy, yes=True)))


def roll_back(cfg: Config, name: str, verdict: Verdict) -> str:
    """The version before serves again; the one that gives way is not tried a second time."""
    books = registry.client(cfg.run.root)
    given_up = tags_of(cfg.run.root, name, CHAMPION)["version"]
    before = tags_of(cfg.run.root, name, PREVIOUS)["version"]
    books.set_model_version_tag(name, given_up, "decision", "rolled back")
    told = registry.make_champion(cfg.run.root, name, before)
    if cfg.target.name is Place.vertex:
        on_vertex("rollback", cfg)
    why = f"on {verdict.rows:,} rows since its promotion version {given_up} has the higher log loss"
    return f"Rolled back to version {before}: {why}.{told}"


def about(champion: Bundle, cfg: Config) -> list[dict[str, Any]]:
    """The monitor's windows in which the champion served, oldest first."""
    from churn.monitor import history, place

    return [line for line in history(place(cfg)) if line["bundle"] == champion.digest]


def folder_of(cfg: Config) -> Path:
    """Where the list of retrainings lies."""
    return Path(cfg.run.root) / "retrain" / name_of(cfg.data)


def retrained(cfg: Config) -> list[datetime]:
    """Times of the retrainings so far."""
    file = folder_of(cfg) / HISTORY
    lines = file.read_text().splitlines() if file.exists() else []
    return [datetime.fromisoformat(json.loads(line)["time"]).astimezone(UTC) for line in lines]


def note(cfg: Config, line: dict[str, Any]) -> None:
    """Add a retraining to the list."""
    folder = folder_of(cfg)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / HISTORY).open("a") as file:
        file.write(json.dumps(line) + "\n")
        file.flush()
        os.fsync(file.fileno())
