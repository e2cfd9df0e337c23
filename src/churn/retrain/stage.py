"""`churn retrain`: review the last promotion, recalibrate, or train a challenger and let the gate decide."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from churn.bundle.approval import check_standing_approval
from churn.bundle.bundle import Bundle
from churn.bundle.registry import CHALLENGER, CHAMPION
from churn.config.root import Config
from churn.data.load import dataset_name
from churn.evaluate.report.templates import capitalize_first
from churn.files import scratch_folder
from churn.monitor.period import parse_time
from churn.retrain import steps
from churn.retrain.gate import Verdict
from churn.retrain.history import RECALIBRATION, champion_windows, record, retraining_times
from churn.retrain.probation import review
from churn.retrain.recalibrate import needed_shift, write_recalibrated
from churn.retrain.recalibration import Shift
from churn.retrain.trigger import Trigger, decide_trigger


def retrain(cfg: Config) -> None:
    """Train a challenger if the policy asks for one, and promote it if the gate lets it pass.

    Meant to run every day. It first reviews the last promotion and takes it back if it was a mistake. Prints
    what it does. Raises `UserError` where there is no champion, or there are too few labelled rows.

    >>> retrain(compose_config("data=parquet", "data.path=labelled.parquet", "data.time=snapshot"))
    """
    cfg.data.name, now = dataset_name(cfg.data), parse_time(cfg.retrain.now, "retrain.now")
    models = steps.load_models(cfg)
    if rollback := review(cfg, models[CHAMPION], now):
        print(rollback)
        return
    check_standing_approval(cfg)  # not before: going back needs no approval
    if shift := needed_shift(cfg, models[CHAMPION], now):
        _recalibrate(cfg, models[CHAMPION], shift, now)
        return
    windows = champion_windows(models[CHAMPION], cfg)
    trigger = decide_trigger(windows, retraining_times(cfg), now, cfg.retrain.trigger, cfg.retrain.force)
    if trigger.kind is None:
        print(f"No retraining: {trigger.reason}.")
        return
    print(f"Retraining: {trigger.reason}.")
    challenger = _train_challenger(cfg, models, trigger)
    if challenger is None:
        print("Not yet: these are too few to compare on (retrain.gate.min_rows), so nothing is trained.")
        return
    run, verdict = challenger
    _carry_out(cfg, run, verdict, trigger, now)


def _recalibrate(cfg: Config, champion: Bundle, shift: Shift, now: datetime) -> None:
    """Let the champion with shifted log-odds serve in its place."""
    run = write_recalibrated(cfg, champion, shift)
    verdict = Verdict(True, str(shift), shift.rows, {}, [])
    page, facts = run / "decision.html", run / "decision.json"
    steps.document(cfg, verdict, Trigger(RECALIBRATION, str(shift)), page, facts)
    version, digest = steps.register(cfg, run, page, facts), Bundle.load(run / "bundle").digest
    record(cfg, now, RECALIBRATION, True, run=str(run), digest=digest, previous=champion.digest)
    print(f"Recalibrated: {shift}. {steps.promote(cfg, run, version)}")


def _train_challenger(
    cfg: Config, models: dict[str, Bundle], trigger: Trigger
) -> tuple[Path, Verdict] | None:
    """The run of a new challenger, and the gate's verdict on it.

    None while there are too few fresh rows for a verdict, unless the retraining was started by hand.
    """
    champion = models[CHAMPION]
    with scratch_folder(Path(cfg.run.root)) as folder:
        rows, fresh, predictions = (folder / f"{name}.parquet" for name in ("rows", "fresh", "predictions"))
        steps.ingest(cfg, champion, rows, fresh)
        sizes = steps.validate(cfg, champion, rows, fresh)
        print(f"{sizes['train']:,} labelled rows to learn from, {sizes['fresh']:,} fresh ones to compare on")
        if trigger.kind != "hand" and sizes["fresh"] < cfg.retrain.gate.min_rows:
            return None
        run = steps.train(cfg, champion, rows)
        steps.evaluate(cfg, models | {CHALLENGER: Bundle.load(run / "bundle")}, fresh, predictions)
        return run, steps.decide(cfg, predictions, trigger.alarmed)


def _carry_out(cfg: Config, run: Path, verdict: Verdict, trigger: Trigger, now: datetime) -> None:
    """Document and register the decision; promote the challenger if the gate says so."""
    page, facts = run / "decision.html", run / "decision.json"
    steps.document(cfg, verdict, trigger, page, facts)
    version = steps.register(cfg, run, page, facts)
    record(cfg, now, str(trigger.kind), verdict.promote, run=str(run))
    if verdict.promote:
        print(f"{capitalize_first(verdict.reason)}. {steps.promote(cfg, run, version)}")
    else:
        print(f"Version {version} stays a challenger: {verdict.reason}.")
    print(f"Decision: {page}")
