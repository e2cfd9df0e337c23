"""`churn retrain`: review the last promotion, recalibrate, or train a challenger and let the gate decide."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from churn.bundle.approval import check_standing_approval
from churn.bundle.bundle import Bundle
from churn.bundle.fairness_limits import broken_limit
from churn.bundle.registry import CHALLENGER, CHAMPION, check_name
from churn.config.root import Config
from churn.data.load import dataset_name
from churn.errors import UserError
from churn.files import LOCK, exclusive
from churn.monitor.period import parse_time
from churn.retrain import pending, steps
from churn.retrain.gate import Verdict, are_too_few
from churn.retrain.history import (
    RECALIBRATION,
    champion_windows,
    new_entry,
    recalibration_undone,
    retraining_times,
)
from churn.retrain.labelled_rows import last_seen
from churn.retrain.pending import Decision
from churn.retrain.probation import review
from churn.retrain.recalibrate import needed_shift, write_recalibrated
from churn.retrain.recalibration import Shift
from churn.retrain.trigger import Trigger, decide_trigger
from churn.scratch import scratch_folder


def retrain(cfg: Config) -> None:
    """Train a challenger if the policy asks for one, and promote it if the gate lets it pass.

    Meant to run every day. It first reviews the last promotion and takes it back if it was a mistake. Prints
    what it does. Raises `UserError` where there is no champion, or there are too few labelled rows.

    >>> retrain(compose_config("data=parquet", "data.path=labelled.parquet", "data.time=snapshot"))
    """
    cfg.data.name = dataset_name(cfg.data)
    check_name(cfg.data.name)
    with exclusive(Path(cfg.run.root) / f".retrain-{cfg.data.name}{LOCK}", wait=False) as ours:
        if not ours:
            where = f"data.name={cfg.data.name}"
            raise UserError("another process is retraining this model", where, "wait for it")
        if not pending.finish_interrupted(cfg):
            _retrain(cfg, parse_time(cfg.retrain.now, "retrain.now"))


def _retrain(cfg: Config, now: datetime) -> None:
    """Review the champion; recalibrate it, or train a challenger, if that is called for."""
    serves, models = pending.champion_digest(cfg), steps.load_models(cfg)
    if review(cfg, models[CHAMPION], now):
        return
    check_standing_approval(cfg)  # not before: going back needs no approval
    if shift := _wanted_shift(cfg, models[CHAMPION], now):
        _recalibrate(cfg, models[CHAMPION], shift, now, serves)
        return
    windows = champion_windows(models[CHAMPION], cfg)
    trigger = decide_trigger(windows, retraining_times(cfg), now, cfg.retrain.trigger, cfg.retrain.force)
    if trigger.kind is None:
        print(f"No retraining: {trigger.reason}.")
        return
    print(f"Retraining: {trigger.reason}.")
    challenger = _train_challenger(cfg, models, trigger)
    if challenger is None:
        since, gate = last_seen(models[CHAMPION]), cfg.retrain.gate
        print(
            f"Not yet: these are too few to compare on (retrain.gate.min_rows={gate.min_rows}, and "
            f"retrain.gate.min_churners={gate.min_churners} who left and stayed each), so nothing is trained."
            "\n"
            f"Fresh rows are newer than {since}, the champion's newest: rows of the log with "
            "monitor.labels=FILE, or rows of the table with data.time=COLUMN."
        )
        return
    run, verdict = challenger
    steps.document(cfg, verdict, trigger, run / "decision.html", run / "decision.json")
    entry = new_entry(now, str(trigger.kind), verdict.promote, run=str(run))
    pending.decide(cfg, Decision(entry, serves, verdict.reason))


def _wanted_shift(cfg: Config, champion: Bundle, now: datetime) -> Shift | None:
    """The shift that the log calls for.

    None also where a limit of fairness could not be checked for it, or one was taken back not long ago.
    """
    shift = needed_shift(cfg, champion, now)
    if shift and (obstacle := _obstacle_of_shift(cfg, now)):
        print(f"! {shift}. The model is not recalibrated: {obstacle}.")
        return None
    return shift


def _obstacle_of_shift(cfg: Config, now: datetime) -> str | None:
    """Why the champion may not be recalibrated; None if it may."""
    undone, days = recalibration_undone(cfg), cfg.retrain.probation_days
    if undone and now - undone < timedelta(days=days):
        return f"that was taken back less than {days:g} days ago (retrain.probation_days)"
    return broken_limit({"fairness": None}, cfg.retrain.gate)


def _recalibrate(cfg: Config, champion: Bundle, shift: Shift, now: datetime, serves: str) -> None:
    """Let the champion with shifted log-odds serve in its place."""
    run = write_recalibrated(cfg, champion, shift)
    verdict = Verdict(True, str(shift), shift.rows, {}, [])
    trigger = Trigger(RECALIBRATION, str(shift))
    steps.document(cfg, verdict, trigger, run / "decision.html", run / "decision.json")
    digests = {"digest": Bundle.load(run / "bundle").digest, "previous": champion.digest}
    entry = new_entry(now, RECALIBRATION, True, run=str(run), **digests)
    pending.decide(cfg, Decision(entry, serves, str(shift)))


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
        print(
            f"{sizes['train']:,} labelled rows to learn from, {sizes['fresh']:,} fresh ones to compare on, "
            f"{sizes['churners']:,} of them left"
        )
        if trigger.kind != "hand" and are_too_few(sizes["fresh"], sizes["churners"], cfg.retrain.gate):
            return None
        run = steps.train(cfg, champion, rows)
        steps.evaluate(cfg, models | {CHALLENGER: Bundle.load(run / "bundle")}, fresh, predictions)
        return run, steps.decide(cfg, predictions, trigger.alarmed)
