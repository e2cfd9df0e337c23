"""`churn train`: the stages from a raw table to a bundle and its report, wired together."""

from __future__ import annotations

import json
from concurrent.futures import Executor, Future
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import OmegaConf
from sklearn.metrics import log_loss
from threadpoolctl import threadpool_limits

from churn import (
    baselines,
    calibrate,
    decision,
    doubt,
    machines,
    peers,
    profit,
    registry,
    report,
    segments,
    stream,
    terminal,
    worlds,
)
from churn.backend import leave_a_core, profiled
from churn.bundle import Bundle
from churn.config import Config, ModelName
from churn.data import load, name_of
from churn.dependence import FEATURES, dependence
from churn.doubt import Doubt
from churn.errors import UserError
from churn.evaluate import MODEL, TRUTH, Evaluation, evaluate
from churn.export import complete, export, interval_of, versions
from churn.helper import LATER
from churn.importance import importance
from churn.profit import Outcome, Profit
from churn.progress import Stages
from churn.runs import CHECKPOINTS, new_run, place, unfinished_run
from churn.schema import Dataset
from churn.split import Splits, split
from churn.teacher import Taught
from churn.train import Trained, teach, train


def run(cfg: Config, helper: Executor = LATER) -> float:
    """Train, evaluate, report and register; gives the log loss of held-out rows, for sweeps.

    `helper` does meanwhile what does not need our network. Not of a large table: there everything uses all
    cores, and rows would have to be copied.
    """
    cfg.data.name = name_of(cfg.data)
    if machines.count() > 1:
        machines.strategy()  # has to be the first that TensorFlow does
    stages, final = Stages(), place(cfg)
    with stages("load", "Loading the data"):
        big = stream.opened(cfg)  # None where the table fits in memory
        data = big.sample if big else load(cfg.data, cfg.seed)
    decision.check(cfg.decision, data.frame)
    parts = big.deal.splits(data) if big else split(data, cfg.split, cfg.data.horizon, cfg.seed)
    print(terminal.described(data, parts, cfg.data))
    if not machines.is_chief():
        checkpoint = unfinished_run(cfg, final, data.fingerprint) / CHECKPOINTS / "model.npz"
        return learn(big, data, parts, cfg, checkpoint).history["loss"][-1]
    small = not big and len(data) < baselines.THREADS_FROM
    if not small:
        helper = LATER
    elif helper is not LATER:
        leave_a_core()
    with (
        new_run(cfg, final, data.fingerprint) as directory,
        threadpool_limits(1 if small else None),  # the same for all threads
    ):
        taught = helper.submit(teach, data, parts, cfg)
        others = helper.submit(peers.predict, data, parts, cfg)
        helper.submit(registry.get_ready)  # a second of imports; what goes wrong, `register` raises again
        profile_of = directory / "profile" if cfg.train.profile else None
        with stages("train", f"Training {cfg.model.name.value}"), profiled(profile_of):
            checkpoint = directory / CHECKPOINTS / "model.npz"
            trained = learn(big, data, parts, cfg, checkpoint, taught)
        interval = None
        if cfg.export.worlds and not big and worlds.possible(trained, data):
            with stages("intervals", "Calibrating intervals on simulated customers"):
                interval = interval_of(trained, data, cfg)
        with stages("export", "Writing the bundle"):
            served = export(trained, interval, data, parts, cfg, directory / "bundle")
        with stages("baselines", "Fitting the baselines on the same rows"):
            outputs = served.predict(data.frame.iloc[parts.test])
            predictions = predict_test(outputs, trained, others.result(), data, parts, cfg)
        with stages("evaluate", "Measuring on the test part"):
            evaluation = measure(predictions, data, parts, cfg)
            earned = measure_profit(served, trained, predictions[MODEL], data, parts, cfg)
            trusted = doubt.measure(
                outputs, data.churned[parts.test], predictions.get(TRUTH), cfg.export.certainty
            )
        complete(served, predictions[MODEL], data, parts, evaluation, cfg)
        with stages("report", "Drawing the report"):
            content = report_content(
                served, trained, predictions, evaluation, earned, trusted, data, parts, cfg, stages
            )
            report.write(directory / "report.html", content)
        numbers = evaluation.to_json() | {"profit": earned.to_json(), "doubt": trusted.to_json()}
        write(directory, cfg, data, numbers, stages)
    with stages("register", "Entering the run into the registry"):
        version_number = helper.submit(registry.register, final, cfg.run.root).result()
    print(terminal.summary(evaluation, final, f"{data.name} version {version_number}"))
    churned = data.churned[trained.held_out_rows]
    return float(log_loss(churned, trained.held_out_probability, labels=[0, 1]))


def learn(
    big: stream.Stream | None,
    data: Dataset,
    parts: Splits,
    cfg: Config,
    checkpoint: Path,
    taught: Future[Taught | None] | None = None,
) -> Trained:
    """The trained network, by all machines and GPUs together, as one that this machine has for itself."""
    if machines.count() > 1 and cfg.model.name == ModelName.tutorial:
        raise UserError("the tutorial's network is trained on one machine", "TF_CONFIG", "model=dense")
    with machines.shared():
        if big:
            trained = stream.train(big, cfg, checkpoint)
        else:
            trained = train(data, parts, cfg, checkpoint, taught=taught)
    return replace(trained, network=machines.alone(trained.network))


def predict_test(
    outputs: dict[str, np.ndarray],
    trained: Trained,
    others: dict[str, np.ndarray],
    data: Dataset,
    parts: Splits,
    cfg: Config,
) -> dict[str, np.ndarray]:
    """[n] probabilities of the test rows: ours, the baselines', and the truth where it is known."""
    predictions = {MODEL: outputs["churn_probability"].astype(float)} | others
    if cfg.model.name == ModelName.tutorial:
        predictions["tutorial"] = trained.predict(data.frame.iloc[parts.test])
    if data.true_probability is not None:
        predictions[TRUTH] = data.true_probability[parts.test]
    return predictions


def measure(predictions: dict[str, np.ndarray], data: Dataset, parts: Splits, cfg: Config) -> Evaluation:
    """Every metric of every prediction on the test part, resampling customers."""
    customers = None if data.ids is None else data.ids[parts.test]
    return evaluate(data.churned[parts.test], predictions, customers, cfg.evaluate, cfg.seed)


def measure_profit(
    served: Bundle,
    trained: Trained,
    probability: np.ndarray,
    data: Dataset,
    parts: Splits,
    cfg: Config,
) -> Profit:
    """What the bundle's threshold earns on the test part, of whose rows [n] probabilities are given."""

    def outcome(rows: np.ndarray, chance: np.ndarray) -> Outcome:
        ids = None if data.ids is None else data.ids[rows]
        return Outcome(data.frame.iloc[rows], data.churned[rows], chance, ids)

    unseen = calibrate.tempered(trained.held_out_probability, served.facts["temperature"])
    test, calibration = outcome(parts.test, probability), outcome(trained.held_out_rows, unseen)
    return profit.measure(test, calibration, served.facts["threshold"], cfg.decision, cfg.evaluate, cfg.seed)


def report_content(
    served: Bundle,
    trained: Trained,
    predictions: dict[str, np.ndarray],
    evaluation: Evaluation,
    earned: Profit,
    trusted: Doubt,
    data: Dataset,
    parts: Splits,
    cfg: Config,
    stages: Stages,
) -> report.ReportContent:
    """What the page shows."""
    churned, frame = data.churned[parts.test], data.frame.iloc[parts.test]

    def predict(rows: pd.DataFrame) -> np.ndarray:
        return served.predict(rows)["churn_probability"].astype(float)

    important = importance(predict, frame, churned, cfg.evaluate, cfg.seed)
    first = [one.feature for one in important]
    return report.ReportContent(
        data=report.summarize(data, parts),
        evaluation=evaluation,
        churned=churned,
        predictions=predictions,
        assumed=cfg.decision,
        profit=earned,
        doubt=trusted,
        importance=important,
        dependence=[
            dependence(predict, frame, name) for name in first[:FEATURES] if frame[name].notna().any()
        ],
        segments=segments.segments(frame[first[: segments.FEATURES]], churned, predictions[MODEL]),
        history=trained.history,
        findings=data.findings,
        seconds=stages.seconds,
        versions=versions(),
        config=OmegaConf.to_yaml(OmegaConf.structured(cfg)),
        created=f"{datetime.now():%Y-%m-%d %H:%M}",
    )


def write(directory: Path, cfg: Config, data: Dataset, numbers: dict[str, Any], stages: Stages) -> None:
    """The files beside the bundle and the report."""
    if data.bad_rows is not None:
        data.bad_rows.to_csv(directory / "bad_rows.csv", index=False)
    (directory / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.structured(cfg)))
    (directory / "metrics.json").write_text(json.dumps(numbers | {"seconds": stages.seconds}, indent=1))
