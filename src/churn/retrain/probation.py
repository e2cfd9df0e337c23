"""The probation of a promoted model: compare it with the version before, and roll back if it is worse."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from churn.bundle.bundle import Bundle
from churn.bundle.database import mlflow_client
from churn.bundle.registry import CHALLENGER, CHAMPION, PREVIOUS, bundle_with_alias, version_tags
from churn.config.root import Config
from churn.config.serving import Platform
from churn.monitor.collect import label_horizon
from churn.retrain import pending, steps, traffic
from churn.retrain.gate import Verdict, is_regression, rollback_config
from churn.retrain.history import ROLLBACK, new_entry
from churn.retrain.labelled_rows import settled_rows, to_datetime64
from churn.retrain.training_set import without_treatment, write_rows
from churn.scratch import scratch_folder


def review(cfg: Config, champion: Bundle, now: datetime) -> bool:
    """Compare a champion on probation with the version before, and roll back if the champion is worse.

    It is on probation until the outcomes of its first `probation_days` are known, a horizon later, and then
    compared a last time. Gives whether it was rolled back. With `target=vertex` a champion that has shown
    enough rows without a regression, or whose probation is over, gets all of the traffic.
    """
    name, path = champion.facts["name"], bundle_with_alias(PREVIOUS, cfg)
    tags, previous = (version_tags(cfg.run.root, name, alias) for alias in (CHAMPION, PREVIOUS))
    on_probation = tags.get("decision") == steps.PROMOTED and previous.get("decision") != steps.ROLLED_BACK
    if cfg.bundle or path is None or not on_probation:
        return False
    if not steps.can_answer(Bundle.load(path), champion):
        print("The version before reads columns that the champion does not: they cannot be compared.")
        return False
    promoted, days = datetime.fromisoformat(tags["decided"]), cfg.retrain.probation_days
    over = now - promoted > timedelta(days=days and days + label_horizon(champion, cfg))
    verdict = _compare_with_previous(Bundle.load(path), champion, promoted, cfg) if days else None
    if verdict and is_regression(verdict):
        worse = tags["version"]
        reason = f"on {verdict.rows:,} rows since its promotion version {worse} has the higher log loss"
        entry = new_entry(now, ROLLBACK, True)
        pending.decide(
            cfg, pending.Decision(entry, tags.get("digest", ""), reason, worse, previous["version"])
        )
        return True
    if cfg.target.name is Platform.vertex:
        proven = over or bool(verdict and verdict.checks)  # enough rows, and no worse on them
        traffic.raise_share(cfg, champion, 100 if proven else cfg.retrain.canary)
    if over:
        if verdict and not verdict.checks:
            print(
                f"The probation of version {tags['version']} is over without a comparison: {verdict.reason}."
            )
        _tag_decision(cfg, name, tags["version"], steps.KEPT)
    return False


def _compare_with_previous(previous: Bundle, champion: Bundle, promoted: datetime, cfg: Config) -> Verdict:
    """The gate's verdict on the version before, as if it were the challenger, on rows since the promotion."""
    rows = settled_rows(cfg, champion)
    since = without_treatment(rows.take(rows.times >= to_datetime64(promoted)), cfg.retrain.treated)
    with scratch_folder(Path(cfg.run.root)) as folder:
        fresh, predictions = (folder / f"{name}.parquet" for name in ("fresh", "predictions"))
        write_rows(since, champion.schema, fresh)
        steps.evaluate(cfg, {CHAMPION: champion, CHALLENGER: previous}, fresh, predictions)
        return steps.decide(rollback_config(cfg), predictions, alarmed=False)


def _tag_decision(cfg: Config, name: str, version: str, decision: str) -> None:
    mlflow_client(cfg.run.root).set_model_version_tag(name, version, "decision", decision)
