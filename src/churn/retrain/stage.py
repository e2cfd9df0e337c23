"""`churn retrain`: look after the last promotion, ask the trigger, train, compare, decide."""

from __future__ import annotations

import tempfile
from pathlib import Path

from churn.bundle.bundle import Bundle
from churn.bundle.registry import CHAMPION
from churn.config.root import Config
from churn.data.load import dataset_name
from churn.evaluate.report.templates import capitalize_first
from churn.monitor.period import parse_time
from churn.retrain import steps
from churn.retrain.gate import CHALLENGER, Verdict
from churn.retrain.history import champion_windows, record, retraining_times
from churn.retrain.probation import review
from churn.retrain.trigger import Trigger, decide_trigger


def retrain(cfg: Config) -> None:
    """Retrain if the policy says so, and promote the challenger if it proves itself; says what was done.

    Meant to be called every day. First a promotion that turns out to be a mistake is taken back. Raises
    `UserError` where there is no champion, or no labelled row to learn from.
    """
    cfg.data.name, now = dataset_name(cfg.data), parse_time(cfg.retrain.now, "retrain.now")
    bundles = steps.load_models(cfg)
    if told := review(cfg, bundles[CHAMPION], now):
        print(told)
        return
    seen = champion_windows(bundles[CHAMPION], cfg)
    trigger = decide_trigger(seen, retraining_times(cfg), now, cfg.retrain.trigger, cfg.retrain.force)
    if trigger.kind is None:
        print(f"No retraining: {trigger.reason}.")
        return
    print(f"Retraining: {trigger.reason}.")
    if (made := _train_challenger(cfg, bundles, trigger)) is None:
        print("Not yet: these are too few to compare on (retrain.gate.min_rows), so nothing is trained.")
        return
    run, verdict = made
    page, facts = run / "decision.html", run / "decision.json"
    steps.document(cfg, verdict, trigger, page, facts)
    version = steps.register(cfg, run, page, facts)
    record(cfg, now, trigger.kind, verdict.promote, run=str(run))
    if verdict.promote:
        print(f"{capitalize_first(verdict.reason)}. {steps.promote(cfg, run, version)}")
    else:
        print(f"Version {version} stays a challenger: {verdict.reason}.")
    print(f"Decision: {page}")


def _train_challenger(
    cfg: Config, bundles: dict[str, Bundle], trigger: Trigger
) -> tuple[Path, Verdict] | None:
    """The run of a new challenger, and what the gate says of it.

    None where it could not be judged yet, unless it is asked for by hand: it is trained when it can be.
    """
    champion = bundles[CHAMPION]
    with tempfile.TemporaryDirectory() as folder:
        rows, fresh, predictions = (
            Path(folder) / f"{name}.parquet" for name in ("rows", "fresh", "predictions")
        )
        steps.ingest(cfg, champion, rows, fresh)
        sizes = steps.validate(cfg, champion, rows, fresh)
        print(f"{sizes['train']:,} labelled rows to learn from, {sizes['fresh']:,} fresh ones to compare on")
        if trigger.kind != "hand" and sizes["fresh"] < cfg.retrain.gate.min_rows:
            return None
        run = steps.train(cfg, champion, rows)
        steps.evaluate(cfg, bundles | {CHALLENGER: Bundle.load(run / "bundle")}, fresh, predictions)
        return run, steps.decide(cfg, predictions, trigger.alarmed)
