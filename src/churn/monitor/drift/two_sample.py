"""All features at once: whether a classifier can tell the window's rows from training's.

A change of how features go together shows here and nowhere else. The classifier is linear in the features and
in the products of any two of them, with the weak weights taken out (nearest shrunken centroids, Tibshirani et
al. 2002), so that one changed pair among hundreds is not drowned. Its AUC on rows it was not fitted on is
compared with that of shuffled labels (Lopez-Paz and Oquab 2017), as often as it takes to be sure (Besag and
Clifford 1991).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from churn.monitor.drift.measures import normal_scores
from churn.monitor.drift.reference import Number, Reference
from churn.monitor.drift.summary import Summary

PAIRED = 40  # features whose products are looked at, at most: those that tell predictions apart most
NOISE = 0.1  # share of the cells that are replaced by chance
RARE = 8  # rows; cells with fewer in training are replaced in any case
FOLDS = 4
BATCH = 100  # permutations at a time
ENOUGH = 10  # permutations at least as good as the truth, after which no further ones are needed
SHRINK = 0.5  # weights below this share of the greatest are zero
ALARM_AUC = 0.6


@dataclass(frozen=True)
class TwoSampleTest:
    """How well the window's rows can be told from training's."""

    status: str
    auc: float  # 0.5: not at all
    p: float


def two_sample_test(
    reference: Reference, window: Summary, permutations: int, level: float, seed: int
) -> TwoSampleTest | None:
    """The verdict; None where no sample travels in the profile, or where it is not wanted."""
    if reference.sample is None or not permutations:
        return None
    random = np.random.default_rng(seed)
    noisy = randomise_cells(window.sample, reference, random)
    rows = _standardise(_pairwise_products(np.concatenate([reference.sample, noisy]), reference))
    label = np.r_[np.zeros(len(reference.sample)), np.ones(len(noisy))]
    fold = random.permutation(len(rows)) % FOLDS
    auc = float(_cross_validated_auc(rows, label[:, None], fold)[0])
    better = tried = 0
    while tried < permutations and better < ENOUGH:
        shuffled = random.permuted(np.repeat(label[:, None], BATCH, axis=1), axis=0)
        better += int((_cross_validated_auc(rows, shuffled, fold) >= auc).sum())
        tried += BATCH
    p = (better + 1) / (tried + 1)
    status = "ok" if p >= level else "alarm" if auc >= ALARM_AUC else "warning"
    return TwoSampleTest(status, auc, p)


def randomise_cells(cells: np.ndarray, reference: Reference, random: np.random.Generator) -> np.ndarray:
    """The rows with a share `NOISE` of their cells drawn anew from training's distribution of the column.

    Rare cells become the commonest. So no cell of the sample that travels is certain to be anybody's; the
    window's rows are treated alike, so that the comparison stays fair.
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
    """[n, D] a number for each feature, and the products of any two of the most telling ones.

    A number counts by its rank, missing as its median; a category by the mean prediction of its level.
    """
    columns, telling = [], []
    for i, (name, feature) in enumerate(reference.features.items()):
        mean = reference.per_cell("probability", name)
        scores = np.append(normal_scores(feature.counts[:-1]), 0) if isinstance(feature, Number) else mean
        share = feature.counts / max(feature.counts.sum(), 1)
        center = share @ scores
        spread = np.sqrt(share @ (scores - center) ** 2)
        columns.append(((scores - center) / spread if spread > 0 else np.zeros(len(scores)))[cells[:, i]])
        telling.append(share @ (mean - share @ mean) ** 2)
    x = np.stack(columns, axis=1).astype(np.float32)
    first, second = np.triu_indices(min(PAIRED, x.shape[1]))
    best = np.argsort(telling)[::-1][:PAIRED]
    return np.concatenate([x, x[:, best[first]] * x[:, best[second]]], axis=1)


def _standardise(x: np.ndarray) -> np.ndarray:
    """Columns with mean 0 and standard deviation 1."""
    spread = x.std(axis=0)
    return (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1)


def _cross_validated_auc(rows: np.ndarray, labels: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """[P] mean AUC over the folds of the classifier fitted on the others, for labels [n, P]."""
    found = np.zeros((FOLDS, labels.shape[1]))
    for number in range(FOLDS):
        test = fold == number
        known = labels[~test].astype(np.float32)
        share = known.mean(axis=0)
        weights = rows[~test].T @ (known - share) / (len(known) * share * (1 - share))
        size = np.abs(weights)
        weights = np.sign(weights) * np.maximum(size - SHRINK * size.max(axis=0), 0)
        ranks = np.argsort(np.argsort(rows[test] @ weights, axis=0), axis=0) + 1
        ours = labels[test].sum(axis=0)
        below = (ranks * labels[test]).sum(axis=0) - ours * (ours + 1) / 2
        found[number] = below / np.maximum(ours * (test.sum() - ours), 1)
    return found.mean(axis=0)
