"""A model of the simulation: trained as `churn train` does, without the files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from churn import calibrate, decision
from churn.config import Config, ModelName
from churn.evaluate import MODEL, evaluate
from churn.profile import profile
from churn.retrain.rows import Rows
from churn.schema import Dataset
from churn.simulation.world import SCHEMA, World
from churn.split import split
from churn.train import train


@dataclass(frozen=True)
class Model:
    """What a bundle would hold, and what it says about every row of the world."""

    seen: np.datetime64  # time of the last row it knows
    probability: np.ndarray  # [n] of the world's rows
    threshold: float
    metrics: Mapping[str, Any]
    profile: Mapping[str, Any]

    def calls(self, rows: np.ndarray) -> np.ndarray:
        """[k] whether it would call the customers at these positions."""
        return self.probability[rows] >= self.threshold


def quick(cfg: Config) -> Config:
    """The configuration with a network that is trained in about a second."""
    small = replace(cfg.model, name=ModelName.dense, members=3, folds=3, hidden=[32], bins=8)
    return replace(
        cfg,
        model=small,
        train=replace(cfg.train, epochs=cfg.loop.passes, batch_size=256, made_up=0.0),
        evaluate=replace(cfg.evaluate, bootstrap=200),
        retrain=replace(cfg.retrain, gate=replace(cfg.retrain.gate, bootstrap=400)),
    )


def fit(rows: Rows, world: World, cfg: Config, seed: int) -> Model:
    """A model of labelled rows, with the threshold and the profile that `churn.pipeline` would give it."""
    data = Dataset("loop", SCHEMA, rows.frame, rows.churned, rows.customers)
    parts = split(data, cfg.split, 0, seed)
    trained = train(data, parts, replace(cfg, seed=seed), quiet=True)
    held_out, churned = data.frame.iloc[trained.held_out_rows], data.churned[trained.held_out_rows]
    heat = calibrate.best(churned, trained.held_out_probability)
    probability = calibrate.tempered(trained.held_out_probability, heat)
    value = decision.values(held_out, cfg.decision)
    threshold = decision.threshold(cfg.decision, churned, probability, value)
    test = parts.test
    said = {MODEL: calibrate.tempered(trained.predict(data.frame.iloc[test]), heat)}
    metrics = evaluate(data.churned[test], said, None, cfg.evaluate, seed).to_json()["test"]
    earned = partial(decision.earned, value=float(value.mean()), threshold=threshold, cfg=cfg.decision)
    return Model(
        rows.times.max(),
        calibrate.tempered(trained.predict(world.rows.frame), heat),
        threshold,
        metrics,
        profile(data.frame.iloc[parts.train], SCHEMA, held_out, probability, earned, seed),
    )
