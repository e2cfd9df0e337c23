"""After a promotion: whether it was a mistake, and the way back."""

from __future__ import annotations

import tempfile
from datetime import datetime, timedelta
from pathlib import Path

from churn.bundle import registry
from churn.bundle.bundle import Bundle
from churn.bundle.registry import CHAMPION, PREVIOUS, bundle_with_alias, version_tags
from churn.config.root import Config
from churn.config.serving import Platform
from churn.retrain import promote, steps, traffic
from churn.retrain.gate import CHALLENGER, Verdict, is_regression, rollback_config
from churn.retrain.history import ROLLBACK, record
from churn.retrain.training_set import to_datetime64, write_rows


def review(cfg: Config, champion: Bundle, now: datetime) -> str | None:
    """Within its probation, compare the champion with the one before on what came since; undo it if worse.

    Gives what was done, or none.
    """
    name, before = champion.facts["name"], bundle_with_alias(PREVIOUS, cfg)
    tags, others = (version_tags(cfg.run.root, name, alias) for alias in (CHAMPION, PREVIOUS))
    given_up = others.get("decision") == steps.ROLLED_BACK
    if cfg.bundle or before is None or given_up or tags.get("decision") != steps.PROMOTED:
        return None
    promoted = datetime.fromisoformat(tags["decided"])
    over = now - promoted > timedelta(days=cfg.retrain.probation_days)
    verdict = _compare_with_previous(Bundle.load(before), champion, promoted, cfg) if not over else None
    if verdict and is_regression(verdict):
        told = _roll_back(cfg, champion, verdict)
        record(cfg, now, ROLLBACK, promoted=True)
        return told
    if cfg.target.name is Platform.vertex:
        proven = over or bool(verdict and verdict.checks)  # enough rows, and no worse on them
        traffic.raise_share(cfg, champion, 100 if proven else cfg.retrain.canary)
    if over:
        registry.mlflow_client(cfg.run.root).set_model_version_tag(
            name, tags["version"], "decision", steps.KEPT
        )
    return None


def _compare_with_previous(before: Bundle, champion: Bundle, promoted: datetime, cfg: Config) -> Verdict:
    """Whether the model before, as if it were the challenger, is the better one since the promotion."""
    known = steps.settled_rows(cfg, champion)
    since = known.take(known.times >= to_datetime64(promoted))
    with tempfile.TemporaryDirectory() as folder:
        fresh, predictions = (Path(folder) / f"{name}.parquet" for name in ("fresh", "predictions"))
        write_rows(since, champion.schema, fresh)
        steps.evaluate(cfg, {CHAMPION: champion, CHALLENGER: before}, fresh, predictions)
        return steps.decide(rollback_config(cfg), predictions, alarmed=False)


def _roll_back(cfg: Config, champion: Bundle, verdict: Verdict) -> str:
    """The version before serves again; the one that gives way is not tried a second time."""
    name = champion.facts["name"]
    if cfg.target.name is Platform.vertex:
        traffic.withdraw(cfg, champion)
    given_up = version_tags(cfg.run.root, name, CHAMPION)["version"]
    before = version_tags(cfg.run.root, name, PREVIOUS)["version"]
    registry.mlflow_client(cfg.run.root).set_model_version_tag(name, given_up, "decision", steps.ROLLED_BACK)
    told = promote.make_champion(cfg.run.root, name, before)
    why = f"on {verdict.rows:,} rows since its promotion version {given_up} has the higher log loss"
    return f"Rolled back to version {before}: {why}.{told}"
