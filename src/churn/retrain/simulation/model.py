"""A model of the simulated year: trained as `churn train` does, without its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from churn.bundle import calibration, decision
from churn.config.root import Config
from churn.config.training import ModelName
from churn.data.dataset import Dataset
from churn.data.experiment import Experiment
from churn.data.split import split_dataset
from churn.evaluate.evaluation import MODEL, evaluate
from churn.monitor.drift.profile import build_profile, shift_profile
from churn.network.fit import fit_network
from churn.retrain.labelled_rows import LabelledRows
from churn.retrain.recalibration import shifted
from churn.retrain.simulation.world import SCHEMA, World


@dataclass(frozen=True)
class SimulatedModel:
    """What a bundle would hold, and its probabilities for all rows of the world."""

    seen: np.datetime64  # time of the newest row that it was made from
    probability: np.ndarray  # [n] for the world's rows
    threshold: float
    metrics: Mapping[str, Any]
    profile: Mapping[str, Any]

    def calls(self, rows: np.ndarray) -> np.ndarray:
        """[k] whether the model calls the customers at the positions `rows` [k]."""
        return self.probability[rows] >= self.threshold

    def recalibrated(self, log_odds: float) -> SimulatedModel:
        """The same model with shifted log-odds."""
        return replace(
            self,
            probability=shifted(self.probability, log_odds),
            profile=shift_profile(self.profile, log_odds),
        )


def quick_config(cfg: Config) -> Config:
    """The configuration with a small network, which trains in about a second."""
    small = replace(cfg.model, name=ModelName.network, members=3, folds=3, trees=0, bins=8)
    return replace(
        cfg,
        model=small,
        train=replace(cfg.train, epochs=cfg.loop.epochs, batch_size=256),
        evaluate=replace(cfg.evaluate, bootstrap=200),
        retrain=replace(cfg.retrain, gate=replace(cfg.retrain.gate, bootstrap=400)),
    )


def fit_model(rows: LabelledRows, world: World, cfg: Config, seed: int) -> SimulatedModel:
    """A model of labelled rows, with the threshold and the profile that `churn train` would give it."""
    data = Dataset("loop", SCHEMA, rows.frame, rows.churned, rows.customers)
    experiment = Experiment(data, split_dataset(data, cfg.split, 0, seed), replace(cfg, seed=seed))
    train, test = experiment.train, experiment.test
    trained = fit_network(experiment, quiet=True)
    held_out = experiment.part(trained.held_out_rows)
    temperature = calibration.best_temperature(held_out.churned, trained.held_out_probability)
    probability = calibration.apply_temperature(trained.held_out_probability, temperature)
    value = decision.customer_values(held_out.frame, cfg.decision)

    def predict(frame: pd.DataFrame) -> np.ndarray:
        return calibration.apply_temperature(trained.predict(frame), temperature)

    final = partial(predict, test.frame)
    threshold = decision.choose_threshold(cfg.decision, held_out.churned, probability, value, final)
    evaluation = evaluate(test.churned, {MODEL: predict(test.frame)}, None, cfg.evaluate, seed)
    profit = partial(decision.policy_profit, value=float(value.mean()), threshold=threshold, cfg=cfg.decision)
    return SimulatedModel(
        rows.times.max(),
        predict(world.rows.frame),
        threshold,
        evaluation.to_json()["test"],
        build_profile(train.frame, SCHEMA, held_out.frame, probability, profit, seed),
    )
