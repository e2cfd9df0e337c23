"""What the model loses with worse data, what it gives away of its training rows, and how it can be gamed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from churn.bundle.bundle import Bundle
from churn.data.customers import number_customers
from churn.data.experiment import Experiment, Part
from churn.data.split import is_by_time
from churn.evaluate.attack import Attack, Predict, attack
from churn.evaluate.bootstrap import Estimate
from churn.evaluate.clustered import auc_deviations, auc_interval, clustered_interval, mean_interval
from churn.network.fit import fit_network
from churn.network.trained import Trained

MISSING = (0, 1, 2, 3, 5, 8, 12)  # columns that are missing, the most important first
OUTLIERS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2)  # shares of the cells of numbers
FAR = 10.0  # standard deviations between an outlier and the mean
COMPARED = 5_000  # rows of each kind, at most, for the membership inference
SMALLEST = 1e-7  # probabilities are kept this far from 0 and 1


@dataclass(frozen=True)
class Curve:
    """ROC AUC and log loss (nats) on the test part by how bad the data are, with 95 % intervals."""

    amount: Sequence[float]
    roc_auc: Sequence[Estimate]
    log_loss: Sequence[Estimate]

    @classmethod
    def of(cls, amount: Sequence[float], rows: Part, predictions: Iterable[np.ndarray]) -> Curve:
        """The curve of the predictions [n] at each amount."""
        churned, customer = rows.churned, number_customers(rows.ids, len(rows.churned))
        scores = [
            (auc_interval(churned, each, customer), mean_interval(_loss(churned, each), customer))
            for each in predictions
        ]
        return cls(amount, *zip(*scores, strict=True))

    def to_json(self) -> dict[str, Any]:
        """The amounts, and the estimates at each."""
        estimates = {name: [one.to_json() for one in getattr(self, name)] for name in ("roc_auc", "log_loss")}
        return {"amount": list(self.amount)} | estimates


@dataclass(frozen=True)
class Membership:
    """How well the loss of a row tells whether the model learnt from it: ROC AUC.

    Yeom et al. 2018, Privacy Risk in Machine Learning.
    """

    model: Estimate  # by the model's own loss
    honest: Estimate  # by that of what learnt from neither: what other times or customers alone give
    difference: Estimate  # the first minus the second

    @property
    def unknown(self) -> bool:
        """Whether nothing tells what other times or customers alone give."""
        return bool(np.isnan(self.difference.value))

    @property
    def no_better_than_chance(self) -> bool:
        """Whether the model tells no more than what learnt from neither kind of rows, as far as is known."""
        return not self.difference.low > 0


@dataclass(frozen=True)
class Robustness:
    """All of it; None for what was not asked for, or cannot be measured."""

    missing: Curve
    outliers: Curve | None
    label_noise: Curve | None
    attack: Attack | None
    membership: Membership

    def to_json(self) -> dict[str, Any]:
        """The section `robustness` of metrics.json."""
        curves = {name: getattr(self, name) for name in ("missing", "outliers", "label_noise", "attack")}
        found = {name: None if one is None else one.to_json() for name, one in curves.items()}
        return found | {"membership": {k: one.to_json() for k, one in vars(self.membership).items()}}


def measure_robustness(
    experiment: Experiment, trained: Trained, bundle: Bundle, predict: Predict, ranked: Sequence[str]
) -> Robustness:
    """The robustness of a bundle on the test part; `ranked` are its columns, the most important first."""
    cfg, test, schema = experiment.cfg, experiment.test, experiment.data.schema
    attacked = None
    if influence := cfg.data.influence:
        chosen = np.unique(np.linspace(0, len(test.frame) - 1, cfg.robustness.customers).astype(int))
        rows = test.frame.iloc[chosen].reset_index(drop=True)
        found = attack(predict, rows, bundle.facts["threshold"], influence, experiment.train.frame)
        attacked = replace(found, ids=None if test.ids is None else test.ids[chosen])
    shares = [0.0, *cfg.robustness.label_noise] if cfg.robustness.label_noise else []
    return Robustness(
        missing=_missing_curve(predict, test, ranked),
        outliers=_outlier_curve(predict, test, cfg.seed) if schema.numeric else None,
        label_noise=_noise_curve(experiment, shares) if shares and not experiment.is_sample else None,
        attack=attacked,
        membership=_membership(experiment, trained, predict),
    )


def _missing_curve(predict: Predict, test: Part, ranked: Sequence[str]) -> Curve:
    """Without the most important columns, as if the export had left them blank."""
    frame = test.frame
    amounts = [amount for amount in MISSING if amount <= len(ranked)]
    blank = {name: np.nan if pd.api.types.is_numeric_dtype(frame[name]) else "" for name in ranked}
    without = (frame.assign(**{name: blank[name] for name in ranked[:amount]}) for amount in amounts)
    return Curve.of(amounts, test, map(predict, without))


def _outlier_curve(predict: Predict, test: Part, seed: int) -> Curve:
    """With a share of the numbers far from the others."""
    frame = test.frame
    random, numeric = np.random.default_rng(seed), list(frame.select_dtypes("number"))
    values = frame[numeric].to_numpy(float)
    draw, sign = random.random(values.shape), random.choice([-FAR, FAR], values.shape)
    far = frame[numeric].mean().to_numpy() + sign * frame[numeric].std(ddof=0).to_numpy()
    cells = (pd.DataFrame(np.where(draw < share, far, values), frame.index, numeric) for share in OUTLIERS)
    return Curve.of(OUTLIERS, test, (predict(frame.assign(**changed)) for changed in cells))


def _noise_curve(experiment: Experiment, shares: Sequence[float]) -> Curve:
    """Of models that learn from labels of which a share is flipped, on the true ones."""
    test = experiment.test
    noisy = (_with_noise(experiment, share) for share in shares)
    return Curve.of(shares, test, (fit_network(e, quiet=True).predict(test.frame) for e in noisy))


def _with_noise(experiment: Experiment, share: float) -> Experiment:
    """The experiment with a share of the labels flipped; those of the test part are not learnt from."""
    data = experiment.data
    flipped = np.random.default_rng(experiment.cfg.seed).random(len(data)) < share
    churned = np.where(flipped, 1 - data.churned, data.churned).astype(np.int8)
    return replace(experiment, data=replace(data, churned=churned))


def _membership(experiment: Experiment, trained: Trained, predict: Predict) -> Membership:
    """Rows that the model learnt from against test rows, by their loss.

    Both are also told apart by networks that learnt from neither: those without a row's fold, and for test
    rows those without a fold at random; of a model that is not cross-fitted, by its own held-out rows. Where
    these are of other times than the rows that it learnt from, nothing tells.
    """
    random, splits = np.random.default_rng(experiment.cfg.seed), experiment.splits
    crossfitted = len(trained.fold_of_row) > 0
    fold = np.zeros(len(experiment.data), int)
    if crossfitted:
        fold[trained.held_out_rows] = trained.fold_of_row
        fold[splits.test] = random.choice(trained.fold_of_row, len(splits.test))

    def some(rows: np.ndarray) -> np.ndarray:
        return np.sort(random.permutation(rows)[:COMPARED])

    def by_model(rows: np.ndarray) -> np.ndarray:
        return predict(experiment.data.frame.iloc[rows])

    def by_fold(rows: np.ndarray) -> np.ndarray:
        return trained.predict_without(experiment.data.frame.iloc[rows], fold[rows])

    outside = some(splits.test)
    learnt = some(trained.held_out_rows if crossfitted else splits.train)
    unknown = learnt if crossfitted else some(trained.held_out_rows)
    if not crossfitted and is_by_time(experiment.data, experiment.cfg.split):
        unknown = unknown[:0]
    model, deviations = _guess(experiment, learnt, outside, by_model)
    honest, others = _guess(experiment, unknown, outside, by_fold if crossfitted else by_model)
    customer = number_customers(experiment.data.ids, len(experiment.data))
    return Membership(
        clustered_interval(model, deviations, customer),
        clustered_interval(honest, others, customer),
        clustered_interval(model - honest, deviations - others, customer),
    )


def _guess(
    experiment: Experiment,
    inside: np.ndarray,
    outside: np.ndarray,
    predict: Callable[[np.ndarray], np.ndarray],
) -> tuple[float, np.ndarray]:
    """How well a small loss tells rows inside from rows outside, and each row's part of the error.

    Unknown without two rows of each.
    """
    deviations = np.zeros(len(experiment.data))
    if min(len(inside), len(outside)) < 2:
        return np.nan, deviations * np.nan
    rows = np.concatenate([inside, outside])
    part, is_inside = experiment.part(rows), np.repeat([1, 0], [len(inside), len(outside)])
    losses = np.concatenate(
        [_loss(experiment.data.churned[each], predict(each)) for each in (inside, outside)]
    )
    auc, deviations[rows] = auc_deviations(is_inside, -losses, number_customers(part.ids, len(rows)))
    return auc, deviations


def _loss(churned: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """[n] log loss of each row, in nats."""
    kept = np.clip(probability, SMALLEST, 1 - SMALLEST)
    return -np.where(churned == 1, np.log(kept), np.log1p(-kept))
