"""The profile of the training rows, which is in the bundle, so that a window can be compared with them later.

It contains no row of a customer. The sample for the comparison of all features together has bins in place of
numbers, common levels only and no ids, and a tenth of its cells is drawn at random
(`churn.monitor.drift.two_sample.randomise_cells`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from churn.bundle.bundle import Bundle
from churn.bundle.decision import customer_values, policy_profit
from churn.data.customers import count_customers
from churn.data.dataset import Schema
from churn.data.experiment import Experiment
from churn.monitor.drift.reference import GRID, GRID_LOG_ODDS, GRID_PROBABILITY, Reference, grid_cell
from churn.monitor.drift.summary import SAMPLE_ROWS, Summary
from churn.monitor.drift.two_sample import randomise_cells

BINS = 20  # quantile bins of a number
PRIOR = 5.0  # rows with the overall mean, added to each cell, because the mean of a few rows is uncertain


def profile_of_experiment(experiment: Experiment, bundle: Bundle, probability: np.ndarray) -> dict[str, Any]:
    """The profile for the bundle, with its probabilities [n] for the test rows.

    Out-of-fold probabilities are more spread than the final ones and would make every large window look
    drifted.
    """
    cfg, schema = experiment.cfg, experiment.data.schema
    value = float(customer_values(experiment.data.frame, cfg.decision).mean())
    profit = partial(policy_profit, value=value, threshold=bundle.facts["threshold"], cfg=cfg.decision)
    train, test = experiment.train, experiment.test
    profile = build_profile(train.frame, schema, test.frame, probability, profit, cfg.seed)
    if train.ids is not None and test.ids is not None:
        profile = by_customer(profile, train.frame, train.ids, cfg.seed)
        profile["test_customers"] = len(set(test.ids))  # those of `score`
    customers = {name: count_customers(train.frame[name], train.ids) for name in schema.categorical}
    return without_rare_levels(profile, cfg.model.min_level_rows, customers)


def by_customer(profile: dict[str, Any], frame: pd.DataFrame, ids: np.ndarray, seed: int) -> dict[str, Any]:
    """The profile of training rows about the customers `ids` [n], where one may have many rows.

    It says how many customers there are, and its sample has one row of each at most.
    """
    order = np.random.default_rng(seed).permutation(len(frame))
    chosen = order[~pd.Series(ids[order]).duplicated().to_numpy()]
    if len(chosen) == len(frame):
        return profile
    sample = _sample_cells(Reference(profile), frame.iloc[chosen], seed)
    return profile | {"customers": len(chosen), "sample": sample}


def build_profile(
    frame: pd.DataFrame,
    schema: Schema,
    unseen: pd.DataFrame,
    probability: np.ndarray,
    earned: Callable[[np.ndarray], np.ndarray] = np.zeros_like,
    seed: int = 0,
) -> dict[str, Any]:
    """Counts per bin and level of the training rows `frame`, ready for JSON.

    unseen: rows that the model was not fitted on, with their probability [n]; they give the distribution of
    the probability and the means per cell. earned: the expected profit of the decision by probability.

    >>> build_profile(train, schema, test, probability)
    """
    counted = {
        "rows": len(frame),
        "numeric": {column: number_profile(frame[column].to_numpy(np.float32)) for column in schema.numeric},
        "categorical": {column: _category_profile(frame[column]) for column in schema.categorical},
    }
    reference = Reference(counted)
    cells = {name: _cells_of(reference, name, unseen[name]) for name in schema.features}
    sizes = {name: len(feature.counts) for name, feature in reference.features.items()}
    probability = np.asarray(probability, float)
    profit = earned(probability)
    return counted | {
        "score": np.bincount(grid_cell(probability), minlength=GRID).tolist(),
        "score_profit": np.round(earned(GRID_PROBABILITY), 6).tolist(),
        "probability": {name: _cell_means(cells[name], probability, sizes[name]) for name in cells},
        "profit": {name: _cell_means(cells[name], profit, sizes[name]) for name in cells},
        "sample": _sample_cells(reference, frame, seed),
    }


def without_rare_levels(
    profile: Mapping[str, Any], least: int, customers: Mapping[str, pd.Series]
) -> dict[str, Any]:
    """The profile without the levels of fewer than `least` customers, which may name a person.

    customers: how many have each level, by column. The rare levels are counted with those that training did
    not see. `rare` says of how many rows they are, and how many levels of `least` rows those make that nearly
    are: with it the monitor tells new levels from rare ones.
    """
    kept, rare, cells = {}, {}, {}
    for name, levels in profile["categorical"].items():
        counts = np.array([*levels.values()], int)
        people = np.array([customers[name][level] for level in levels], int)
        is_kept = (people >= least) | np.array([not level for level in levels], bool)
        kept[name] = {level: levels[level] for level, keep in zip(levels, is_kept, strict=True) if keep}
        rows, just = int(counts[~is_kept].sum()), -(-int(counts[people == least].sum()) // least)
        rare[name] = {"rows": rows, "least": least, "next": just}
        cells[name] = np.append(np.where(is_kept, np.cumsum(is_kept) - 1, is_kept.sum()), is_kept.sum())
    pooled = dict(profile) | {"categorical": kept, "rare": rare}
    for what in ("probability", "profit"):
        means = {
            name: _pool_means(profile[what][name], levels, cells[name])
            for name, levels in profile["categorical"].items()
        }
        pooled[what] = dict(profile[what]) | means
    sample = {name: cells[name][profile["sample"][name]].tolist() for name in kept}
    return pooled | {"sample": dict(profile["sample"]) | sample}


def _pool_means(means: list[float], levels: Mapping[str, int], cells: np.ndarray) -> list[float]:
    """The means of the cells that the levels, and unseen ones, are joined to, weighted by rows."""
    rows = [*levels.values(), PRIOR]
    total, weight = np.bincount(cells, np.multiply(means, rows)), np.bincount(cells, rows)
    return np.round(total / weight, 6).tolist()


def shift_profile(profile: Mapping[str, Any], log_odds: float) -> dict[str, Any]:
    """The profile of the same rows for probabilities with shifted log-odds.

    The expected profit per cell of a feature keeps its old values.
    """
    score, cells = np.array(profile["score"]), round(log_odds * GRID / (2 * GRID_LOG_ODDS))
    moved = np.bincount(np.clip(np.arange(GRID) + cells, 0, GRID - 1), score, GRID).astype(int)
    means = {
        name: np.round(expit(logit(np.clip(values, 1e-6, 1 - 1e-6)) + log_odds), 6).tolist()
        for name, values in profile["probability"].items()
    }
    return {**profile, "score": moved.tolist(), "probability": means}


def number_profile(values: np.ndarray) -> dict[str, Any]:
    """Inner edges of the quantile bins, rows per bin, missing rows and range.

    A value that equals an edge is in the bin above it. A value of many rows has a bin of its own.
    """
    known = values[~np.isnan(values)]
    if len(known) == 0:
        return {
            "edges": [],
            "counts": [0],
            "missing": len(values),
            "lowest": None,
            "highest": None,
            "mean": None,
        }
    edges = _edges(known)
    counts = np.bincount(np.searchsorted(edges, known, side="right"), minlength=len(edges) + 1)
    return {
        "edges": edges.tolist(),
        "counts": counts.tolist(),
        "missing": len(values) - len(known),
        "lowest": float(known.min()),
        "highest": float(known.max()),
        "mean": float(known.mean(dtype=float)),
    }


def _edges(known: np.ndarray) -> np.ndarray:
    """Quantiles; where some are equal, also the next larger value, so that a rise above them is seen."""
    quantiles = np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1]).astype(np.float32)
    edges, times = np.unique(quantiles, return_counts=True)
    repeated = edges[times > 1]
    values = np.append(np.unique(known), np.nextafter(known.max(), np.float32(np.inf)))
    return np.unique(np.append(edges, values[np.searchsorted(values, repeated, side="right")]))


def _category_profile(values: pd.Series) -> dict[str, int]:
    """Rows per level, most frequent first; the empty string is "missing"."""
    return {str(level): int(count) for level, count in values.value_counts().items()}


def _cells_of(reference: Reference, name: str, values: pd.Series) -> np.ndarray:
    if number := reference.numbers.get(name):
        return number.cells(number.bins(values.to_numpy()))
    return reference.categories[name].cells(values.to_numpy(object))[0]


def _cell_means(cells: np.ndarray, values: np.ndarray, size: int) -> list[float]:
    """[size] mean of the values in each cell, pulled towards the overall mean if the cell has few rows."""
    overall = float(np.mean(values)) if len(values) else 0.0
    total = np.bincount(cells, values - overall, size) if len(values) else np.zeros(size)
    rows = np.bincount(cells, minlength=size)
    return np.round(overall + total / (rows + PRIOR), 6).tolist()


def _sample_cells(reference: Reference, frame: pd.DataFrame, seed: int) -> dict[str, list[int]]:
    """The cells of a few training rows, by column, in random order."""
    random = np.random.default_rng(seed)
    rows = frame.iloc[random.permutation(len(frame))[:SAMPLE_ROWS]]
    summary = Summary(reference)
    summary.add({name: rows[name].to_numpy() for name in reference.features})
    cells = randomise_cells(summary.sample, reference, random)
    return {name: cells[:, i].tolist() for i, name in enumerate(reference.features)}
