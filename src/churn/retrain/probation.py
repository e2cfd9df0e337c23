"""After a promotion: whether it was a mistake, and the way back."""

from __future__ import annotations

import tempfile
from datetime import datetime, timedelta
from pathlib import Path

from churn import registry
from churn.bundle import Bundle
from churn.config import Config, Place
from churn.registry import CHAMPION, PREVIOUS, bundle_with, tags_of
from churn.retrain import cloud, steps
from churn.retrain.gate import CHALLENGER, Verdict, for_rollback, regressed
from churn.retrain.history import ROLLBACK, note
from churn.retrain.rows import stamp, write


def look_after(cfg: Config, champion: Bundle, now: datetime) -> str | None:
    """Within its probation, compare the champion with the one before on what came since; undo it if worse.

    Gives what was done, or none.
    """
    name, before = champion.facts["name"], bundle_with(PREVIOUS, cfg)
    tags, others = (tags_of(cfg.run.root, name, alias) for alias in (CHAMPION, PREVIOUS))
    given_up = others.get("decision") == steps.ROLLED_BACK
    if cfg.bundle or before is None or given_up or tags.get("decision") != steps.PROMOTED:
        return None
    promoted = datetime.fromisoformat(tags["decided"])
    over = now - promoted > timedelta(days=cfg.retrain.probation_days)
    verdict = against(Bundle.load(before), champion, promoted, cfg) if not over else None
    if verdict and regressed(verdict):
        told = roll_back(cfg, champion, verdict)
        note(cfg, now, ROLLBACK, promoted=True)
        return told
    if cfg.target.name is Place.vertex:
        proven = over or bool(verdict and verdict.checks)  # enough rows, and no worse on them
        cloud.give(cfg, champion, 100 if proven else cfg.retrain.canary)
    if over:
        registry.client(cfg.run.root).set_model_version_tag(name, tags["version"], "decision", steps.KEPT)
    return None


def against(before: Bundle, champion: Bundle, promoted: datetime, cfg: Config) -> Verdict:
    """Whether the model before, as if it were the challenger, is the better one since the promotion."""
    known = steps.labelled(cfg, champion)
    since = known.take(known.times >= stamp(promoted))
    with tempfile.TemporaryDirectory() as folder:
        fresh, predictions = (Path(folder) / f"{name}.parquet" for name in ("fresh", "predictions"))
        write(since, champion.schema, fresh)
        steps.evaluate(cfg, {CHAMPION: champion, CHALLENGER: before}, fresh, predictions)
        return steps.decide(for_rollback(cfg), predictions, alarmed=False)


def roll_back(cfg: Config, champion: Bundle, verdict: Verdict) -> str:
    """The version before serves again; the one that gives way is not tried a second time."""
    name = champion.facts["name"]
    if cfg.target.name is Place.vertex:
        cloud.take_back(cfg, champion)
    given_up = tags_of(cfg.run.root, name, CHAMPION)["version"]
    before = tags_of(cfg.run.root, name, PREVIOUS)["version"]
    registry.client(cfg.run.root).set_model_version_tag(name, given_up, "decision", steps.ROLLED_BACK)
    told = registry.make_champion(cfg.run.root, name, before)
    why = f"on {verdict.rows:,} rows since its promotion version {given_up} has the higher log loss"
    return f"Rolled back to version {before}: {why}.{told}"
