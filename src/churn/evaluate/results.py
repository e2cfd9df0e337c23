"""All results on the test part: metrics, profit and coverage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from churn.bundle.bundle import Bundle
from churn.bundle.calibration import apply_temperature
from churn.config.training import ModelName
from churn.data.experiment import Experiment
from churn.evaluate.coverage import Coverage, measure_coverage
from churn.evaluate.evaluation import MODEL, TRUTH, Evaluation, evaluate
from churn.evaluate.fairness import Fairness, measure_fairness
from churn.evaluate.profit import Outcome, Profit, measure_profit
from churn.network.trained import Trained


@dataclass(frozen=True)
class Results:
    """The results of a bundle on the test part, beside those of the baselines."""

    predictions: Mapping[str, np.ndarray]  # [n] probabilities by name, `MODEL` among them
    evaluation: Evaluation
    profit: Profit
    coverage: Coverage
    fairness: Fairness | None = None  # where `data.protected` names columns

    @property
    def probability(self) -> np.ndarray:
        """[n] the bundle's probabilities."""
        return self.predictions[MODEL]

    def to_json(self) -> dict[str, Any]:
        """The sections of metrics.json."""
        sections = {"profit": self.profit.to_json(), "coverage": self.coverage.to_json()}
        if self.fairness:
            sections["fairness"] = self.fairness.to_json()
        return self.evaluation.to_json() | sections


def evaluate_bundle(
    experiment: Experiment, trained: Trained, bundle: Bundle, baselines: Mapping[str, np.ndarray]
) -> Results:
    """The results of the bundle; `baselines` are predictions [n] of the test rows by name."""
    cfg, test = experiment.cfg, experiment.test
    outputs = bundle.predict(test.frame)
    predictions = {MODEL: outputs["churn_probability"].astype(float), **baselines}
    if cfg.model.name == ModelName.tutorial:
        predictions["tutorial"] = trained.predict(test.frame)  # without the bundle's temperature
    if experiment.data.true_probability is not None:
        predictions[TRUTH] = experiment.data.true_probability[experiment.splits.test]
    return Results(
        predictions,
        evaluate(test.churned, predictions, test.ids, cfg.evaluate, cfg.seed),
        _profit(experiment, trained, bundle, predictions[MODEL]),
        measure_coverage(outputs, test.churned, predictions.get(TRUTH), cfg.export.certainty, test.ids),
        _fairness(experiment, predictions[MODEL], bundle.facts["threshold"]),
    )


def _fairness(experiment: Experiment, probability: np.ndarray, threshold: float) -> Fairness | None:
    """What the bundle's decision does to groups of the test part."""
    cfg, protected = experiment.cfg, experiment.data.protected
    if protected is None:
        return None
    groups = protected.iloc[experiment.splits.test].reset_index(drop=True)
    test = Outcome(**vars(experiment.test), probability=probability)
    return measure_fairness(groups, test, threshold, cfg.decision, cfg.evaluate, cfg.seed)


def _profit(experiment: Experiment, trained: Trained, bundle: Bundle, probability: np.ndarray) -> Profit:
    """The profit of the bundle's threshold on the test part, whose labels did not choose it."""
    cfg = experiment.cfg
    held_out = apply_temperature(trained.held_out_probability, bundle.facts["temperature"])
    test = Outcome(**vars(experiment.test), probability=probability)
    calibration = Outcome(**vars(experiment.part(trained.held_out_rows)), probability=held_out)
    return measure_profit(test, calibration, bundle.facts["threshold"], cfg.decision, cfg.evaluate, cfg.seed)
