"""Fairness: what the decision does to groups of customers, by each protected column and by pairs of them.

The values are fairlearn's; the intervals come from the project's bootstrap over customers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from churn.bundle.decision import NOBODY, call_gain, customer_values
from churn.config.training import DecisionConfig, EvaluateConfig
from churn.data.customers import number_customers
from churn.evaluate.bootstrap import (
    Estimate,
    bootstrap,
    jeffreys_interval,
    percentile_interval,
    resample_weights,
)
from churn.evaluate.permutation import largest_difference, permuted_groups
from churn.evaluate.segments import distinct_names, divide, group_rows

if TYPE_CHECKING:
    from churn.evaluate.profit import Outcome

SELECTION, TRUE_POSITIVE, FALSE_POSITIVE = "selection_rate", "true_positive_rate", "false_positive_rate"
CALIBRATION = "calibration"  # mean probability minus churn rate
PARITY, ODDS = "demographic_parity", "equalized_odds"  # largest differences between two groups
PERMUTATIONS = 200  # for what chance gives: its 95 % quantile needs fewer than intervals do


@dataclass(frozen=True)
class Group:
    """Customers of the test part who have something in common."""

    name: str
    rows: int
    churners: int
    rates: dict[str, Estimate]  # by the names above
    equal_threshold: float  # the probability from which this group would be called at equal selection rates


@dataclass(frozen=True)
class Difference:
    """The largest difference between two groups."""

    value: float
    by_chance: float  # 95 of 100 divisions of the customers into such groups, drawn by chance, stay below it


@dataclass(frozen=True)
class Grouping:
    """The groups of one protected column, or of two together."""

    columns: tuple[str, ...]
    groups: list[Group]
    left_out: int  # rows in no group: too few churners or stayers are like them
    differences: dict[str, Difference]  # `PARITY` and `ODDS`
    lost: Estimate  # profit per customer that equal selection rates would cost

    @property
    def name(self) -> str:
        """The columns for people."""
        return " and ".join(self.columns)


@dataclass(frozen=True)
class Fairness:
    """The fairness section of the report."""

    threshold: float  # of the decision: the same for all
    groupings: list[Grouping]
    unknown: list[str]  # protected columns without two groups that are large enough

    def to_json(self) -> dict[str, Any]:
        """The section `fairness` of metrics.json; money per customer."""
        return vars(self) | {"groupings": [_to_json(grouping) for grouping in self.groupings]}


def _to_json(grouping: Grouping) -> dict[str, Any]:
    return {
        "columns": list(grouping.columns),
        "left_out": grouping.left_out,
        "differences": {name: vars(found) for name, found in grouping.differences.items()},
        "equal_selection_profit_lost": grouping.lost.to_json(),
        "groups": [
            asdict(group) | {"rates": {name: rate.to_json() for name, rate in group.rates.items()}}
            for group in grouping.groups
        ],
    }


@dataclass(frozen=True)
class _Decided:
    """Customers with the decision on them."""

    churned: np.ndarray  # [n] 1 = left
    probability: np.ndarray  # [n]
    called: np.ndarray  # [n] bool
    gain: np.ndarray  # [n] profit of calling each
    ids: np.ndarray | None
    resamples: int
    seed: int

    def ratios(self, parts: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, np.ndarray]:
        """[1 + B, G] sums of the first [n, G] over those of the second, on the rows and on resamples."""

        def measure(weights: np.ndarray) -> dict[str, np.ndarray]:
            with np.errstate(invalid="ignore"):  # a resample without churners, for example
                return {name: (weights @ above) / (weights @ below) for name, (above, below) in parts.items()}

        weights = resample_weights(len(self.churned), self.ids, self.resamples, self.seed)
        return bootstrap({"": measure}, weights)[""]


def measure_fairness(
    protected: pd.DataFrame,
    test: Outcome,
    threshold: float,
    decision: DecisionConfig,
    evaluate: EvaluateConfig,
    seed: int,
) -> Fairness:
    """What calling from `threshold` on does to each group of the [n] protected columns, and of pairs of them.

    A number is divided into quarters. Groups with fewer than ten churners, or stayers, are merged. A column
    that is one group has nothing to compare.

    >>> measure_fairness(frame[["gender"]], test, 0.2, cfg.decision, cfg.evaluate, cfg.seed).groupings
    """
    gain = call_gain(test.churned, customer_values(test.frame, decision), decision)
    called = test.probability >= threshold
    decided = _Decided(test.churned, test.probability, called, gain, test.ids, evaluate.bootstrap, seed)
    names = list(map(str, protected))
    columns = [*((name,) for name in names), *combinations(names, 2)]
    found = {
        chosen: group_rows(_labels(protected[list(chosen)]), test.churned, test.ids) for chosen in columns
    }
    measured = [_measure_grouping(chosen, groups, decided) for chosen, groups in found.items() if groups]
    return Fairness(threshold, measured, [name for name in names if not found[name,]])


def _labels(columns: pd.DataFrame) -> pd.Series:
    """[n] the name of each row's group, a different one for each group."""
    labels = np.full(columns.shape, "", object)
    for number, name in enumerate(columns):
        for group, rows in divide(columns[name]):
            labels[rows, number] = group
    chosen: list[tuple[str, ...]] = list(map(tuple, labels))
    groups = sorted(set(chosen))
    names = dict(zip(groups, distinct_names(map(", ".join, groups)), strict=True))
    return pd.Series([names[group] for group in chosen])


def _measure_grouping(columns: Sequence[str], groups: dict[str, np.ndarray], test: _Decided) -> Grouping:
    """The rates of the groups, by the positions of their rows, and their differences."""
    values, differences = _fairlearn(groups, test)
    parts = _parts(groups, test)
    rates, of = test.ratios(parts), {rate: _customers(below, test.ids) for rate, (_, below) in parts.items()}
    equal, thresholds = _equal_selection(groups, test)
    lost = (test.gain * (test.called - equal))[:, None]
    measured = [
        Group(
            name,
            len(rows),
            int(test.churned[rows].sum()),
            {
                rate: _rate_estimate(rate, values[rate][name], rates[rate][:, number], of[rate][number])
                for rate in rates
            },
            thresholds[name],
        )
        for number, (name, rows) in enumerate(groups.items())
    ]
    chance = _by_chance(groups, test)
    return Grouping(
        tuple(columns),
        measured,
        len(test.churned) - sum(map(len, groups.values())),
        {name: Difference(float(differences[name]), chance[name]) for name in (PARITY, ODDS)},
        Estimate.from_resamples(test.ratios({"": (lost, np.ones_like(lost))})[""][:, 0]),
    )


def _by_chance(groups: dict[str, np.ndarray], test: _Decided) -> dict[str, float]:
    """The `by_chance` of each difference."""
    group = np.full(len(test.churned), -1)
    for number, inside in enumerate(groups.values()):
        group[inside] = number
    rows = np.flatnonzero(group >= 0)  # in the order of the table, since a customer may change groups
    customer = number_customers(None if test.ids is None else test.ids[rows], len(rows))
    left, called, drawn = test.churned[rows] == 1, test.called[rows], []
    for each in permuted_groups(group[rows], customer, PERMUTATIONS, test.seed):
        found, wrong = (largest_difference(called[kind], each[kind]) for kind in (left, ~left))
        drawn.append((largest_difference(called, each), max(found, wrong)))
    parity, odds = np.quantile(drawn, 0.95, axis=0)
    return {PARITY: float(parity), ODDS: float(odds)}


def _customers(inside: np.ndarray, ids: np.ndarray | None) -> list[int]:
    """[G] the customers of the rows whose weight in each column [n, G] is not zero."""
    customer = number_customers(ids, len(inside))
    return [len(np.unique(customer[column > 0])) for column in inside.T]


def _rate_estimate(rate: str, value: float, samples: np.ndarray, customers: int) -> Estimate:
    """The rate of a group; with Jeffreys' interval where it is 0 or 1, since all resamples agree there."""
    if rate == CALIBRATION or 0 < value < 1:
        return _estimate(value, samples)
    low, high = jeffreys_interval(value * customers, customers)
    return Estimate(float(value), float(low), float(high))


def _estimate(value: float, samples: np.ndarray) -> Estimate:
    return Estimate(float(value), *percentile_interval(samples[1:]))


def _fairlearn(
    groups: dict[str, np.ndarray], test: _Decided
) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """The rates by name and group, and the largest differences, all by fairlearn."""
    from fairlearn import metrics

    rows = np.concatenate(list(groups.values()))
    names = np.repeat(list(groups), [len(group) for group in groups.values()])
    left, called = test.churned[rows].astype(int), test.called[rows].astype(int)
    functions = {rate: getattr(metrics, rate) for rate in (SELECTION, TRUE_POSITIVE, FALSE_POSITIVE)}
    rates = metrics.MetricFrame(metrics=functions, y_true=left, y_pred=called, sensitive_features=names)
    gaps = metrics.MetricFrame(
        metrics={CALIBRATION: metrics.mean_prediction},
        y_true=left,
        y_pred=test.probability[rows] - left,
        sensitive_features=names,
    )
    differences = {
        PARITY: metrics.demographic_parity_difference(left, called, sensitive_features=names),
        ODDS: metrics.equalized_odds_difference(left, called, sensitive_features=names),
    }
    return rates.by_group.to_dict() | gaps.by_group.to_dict(), differences


def _parts(groups: dict[str, np.ndarray], test: _Decided) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """[n, G] what is summed above and below the line of each rate, zero outside of the group."""
    inside = np.zeros((len(test.churned), len(groups)))
    for number, rows in enumerate(groups.values()):
        inside[rows, number] = 1
    left = inside * test.churned[:, None]
    called = test.called[:, None]
    return {
        SELECTION: (inside * called, inside),
        TRUE_POSITIVE: (left * called, left),
        FALSE_POSITIVE: ((inside - left) * called, inside - left),
        CALIBRATION: (inside * (test.probability - test.churned)[:, None], inside),
    }


def _equal_selection(groups: dict[str, np.ndarray], test: _Decided) -> tuple[np.ndarray, dict[str, float]]:
    """[n] the chance of each to be called if each group had the same share called; and its threshold.

    As many are called as now, in each group those most likely to leave; those at its threshold are drawn.
    Rows in no group keep their decision. No label is used, so that the profit on the same rows is honest.
    """
    called, thresholds = test.called.astype(float), {}
    rate = test.called[np.concatenate(list(groups.values()))].mean()
    for name, rows in groups.items():
        chance, places = test.probability[rows], round(rate * len(rows))
        threshold = float(np.sort(chance)[-places]) if places else NOBODY
        above, tied = chance > threshold, chance == threshold
        called[rows] = above + tied * (places - above.sum()) / max(1, tied.sum())
        thresholds[name] = threshold
    return called, thresholds
