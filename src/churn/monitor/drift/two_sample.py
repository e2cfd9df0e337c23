"""The classifier two-sample test: whether a classifier can distinguish the window's rows from training's.

It compares all features at once, and is the only test that sees a change of their correlation. The classifier
is linear in the features and in the products of any two of them. Weak weights are zero (nearest shrunken
centroids, Tibshirani et al. 2002), so that one changed pair among hundreds still counts. Its AUC on rows that
it was not fitted on is compared with the AUC for shuffled labels (Lopez-Paz and Oquab 2017), until the result
is certain enough (Besag and Clifford 1991).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from churn.monitor.drift.alarm import DriftPolicy
from churn.monitor.drift.measures import normal_scores
from churn.monitor.drift.reference import Number, Reference
from churn.monitor.drift.summary import Summary

PAIRED = 40  # features whose products are used, at most: those with the largest spread of predictions
NOISE = 0.1  # share of the cells that are replaced at random
RARE = 8  # rows; a cell with fewer in training is always replaced
FOLDS = 4
BATCH = 100  # permutations at a time
ENOUGH = 10  # permutations at least as good as the true labels, after which no more are needed
SHRINK = 0.5  # weights below this share of the greatest are zero


@dataclass(frozen=True)
class TwoSampleTest:
    """How well a classifier distinguishes the window's rows from training's."""

    status: str  # of STATUSES
    auc: float  # 0.5: not at all
    p: float


def two_sample_test(reference: Reference, window: Summary, policy: DriftPolicy) -> TwoSampleTest | None:
    """The result for all features; None if the profile holds no sample, or without `policy.permutations`."""
    if reference.sample is None or not policy.permutations:
        return None
    random = np.random.default_rng(policy.seed)
    noisy = randomise_cells(window.sample, reference, random)
    rows = _standardise(_pairwise_products(np.concatenate([reference.sample, noisy]), reference))
    label = np.r_[np.zeros(len(reference.sample)), np.ones(len(noisy))]
    fold = random.permutation(len(rows)) % FOLDS
    auc = float(_cross_validated_auc(rows, label[:, None], fold)[0])
    better = tried = 0
    while tried < policy.permutations and better < ENOUGH:
        shuffled = random.permuted(np.repeat(label[:, None], BATCH, axis=1), axis=0)
        better += int((_cross_validated_auc(rows, shuffled, fold) >= auc).sum())
        tried += BATCH
    p = (better + 1) / (tried + 1)
    return TwoSampleTest(policy.joint_status(auc, p), auc, p)


def randomise_cells(cells: np.ndarray, reference: Reference, random: np.random.Generator) -> np.ndarray:
    """The rows [k, F] with a share `NOISE` of their cells drawn again from training's distribution.

    Rare cells become the commonest cell of their column. No cell of the sample in the bundle is then certain
    to belong to a customer. The window's rows get the same treatment, so that the comparison stays fair.
    """
    cells = cells.copy()
    for i, feature in enumerate(reference.features.values()):
        hit = np.flatnonzero(random.random(len(cells)) < NOISE)
        share = np.cumsum(feature.counts) / max(feature.counts.sum(), 1)
        cells[hit, i] = np.searchsorted(share, random.random(len(hit)), side="right").clip(max=len(share) - 1)
        rare = feature.counts < RARE
        cells[rare[cells[:, i]], i] = np.argmax(feature.counts)
    return cells


def _pairwise_products(cells: np.ndarray, reference: Reference) -> np.ndarray:
    """[n, D] a number for each feature, and the products of any two of the most important features.

    A number becomes its normal score, a missing one that of the median; a category becomes the mean
    prediction of its level. A feature is important if the mean prediction differs between its cells.
    """
    columns, importance = [], []
    for i, (name, feature) in enumerate(reference.features.items()):
        mean = reference.per_cell("probability", name)
        scores = np.append(normal_scores(feature.counts[:-1]), 0) if isinstance(feature, Number) else mean
        share = feature.counts / max(feature.counts.sum(), 1)
        center = share @ scores
        spread = np.sqrt(share @ (scores - center) ** 2)
        columns.append(((scores - center) / spread if spread > 0 else np.zeros(len(scores)))[cells[:, i]])
        importance.append(share @ (mean - share @ mean) ** 2)
    x = np.stack(columns, axis=1).astype(np.float32)
    first, second = np.triu_indices(min(PAIRED, x.shape[1]))
    best = np.argsort(importance)[::-1][:PAIRED]
    return np.concatenate([x, x[:, best[first]] * x[:, best[second]]], axis=1)


def _standardise(x: np.ndarray) -> np.ndarray:
    spread = x.std(axis=0)
    return (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1)


def _cross_validated_auc(rows: np.ndarray, labels: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """[P] mean AUC over the folds, each with the classifier fitted on the other folds, for labels [n, P]."""
    from scipy.stats import rankdata  # takes a while to import

    auc = np.zeros((FOLDS, labels.shape[1]))
    for number in range(FOLDS):
        test = fold == number
        known = labels[~test].astype(np.float32)
        share = known.mean(axis=0)
        weights = rows[~test].T @ (known - share) / (len(known) * share * (1 - share))
        size = np.abs(weights)
        weights = np.sign(weights) * np.maximum(size - SHRINK * size.max(axis=0), 0)
        ranks = rankdata(rows[test] @ weights, axis=0)  # equal rows share one: training's come first
        positive = labels[test].sum(axis=0)
        below = (ranks * labels[test]).sum(axis=0) - positive * (positive + 1) / 2
        auc[number] = below / np.maximum(positive * (test.sum() - positive), 1)
    return auc.mean(axis=0)
