"""Figures of the profit of a decision and of the effects of single columns."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from churn.evaluate.dependence import Dependence
from churn.evaluate.fairness import Fairness
from churn.evaluate.profit import Profit
from churn.evaluate.report.drawing import FAINT, INK, NETWORK, SIZE, STYLE, Chart, new_figure, to_chart

PER = 1_000  # customers that a profit is given for
LONGEST = 24  # characters of a level that are shown
HOW = "The same customers, all with this value and otherwise unchanged. Reliable where many customers are."


def draw_profit_curve(profit: Profit) -> Chart:
    """Profit by the share of the customers called."""
    curve, chosen = profit.curve, profit.strategies[0]
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(
            "Customers called, most profitable first (%)", f"Profit per {PER:,} customers"
        )
        x = 100 * curve.share
        axes.fill_between(
            x, PER * curve.low, PER * curve.high, color=NETWORK, alpha=0.2, linewidth=0, label="95 % interval"
        )
        axes.plot(x, PER * curve.profit, color=NETWORK, linewidth=2.2, label="this network")
        axes.plot(
            [0, 100], [0, PER * curve.profit[-1]], color=FAINT, linestyle="--", label="calling at random"
        )
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.plot(
            100 * chosen.called, PER * chosen.profit.value, "o", color=INK, label="the chosen threshold"
        )
        return to_chart(
            figure,
            axes,
            "What calling earns",
            "The highest point is the best share in hindsight; the dot is the threshold, which was chosen "
            "without the labels of these customers.",
        )


def draw_selection(fairness: Fairness | None) -> list[Chart]:
    """The share called in each group of each single protected column; nothing without such groups."""
    single = [grouping for grouping in fairness.groupings if len(grouping.columns) == 1] if fairness else []
    groups = [(grouping.name, group) for grouping in single for group in grouping.groups]
    if not groups:
        return []
    with mpl.rc_context(STYLE):
        figure, axes = new_figure("Customers called (%), with 95 % interval", "Group")
        rates = [group.rates["selection_rate"] for _, group in groups]
        value, low, high = 100 * np.array([(rate.value, rate.low, rate.high) for rate in rates]).T
        position = np.arange(len(groups))
        errors = np.maximum([value - low, high - value], 0)
        axes.errorbar(value, position, xerr=errors, color=NETWORK, fmt="o", markersize=4.5)
        names = [f"{_shortened(name, LONGEST)}: {_shortened(group.name, LONGEST)}" for name, group in groups]
        axes.set_yticks(position, names)
        axes.set(xlim=(0, None), ylim=(len(position) - 0.5, -0.5))
        how = "The share that the one threshold calls. Whether a difference is fair is for people to say."
        return [to_chart(figure, axes, "Who is called, by group", how)]


def draw_effects(effects: Sequence[Dependence]) -> list[Chart]:
    """One figure for each column."""
    with mpl.rc_context(STYLE):
        return [
            _category_effect(effect) if effect.values.dtype == object else _number_effect(effect)
            for effect in effects
        ]


def _number_effect(effect: Dependence) -> Chart:
    """Mean probability by value, and below it a histogram of the customers."""
    figure = Figure(SIZE)
    axes, below = figure.subplots(2, sharex=True, height_ratios=[4, 1])
    axes.plot(effect.values, 100 * effect.probability, color=NETWORK, marker=".")
    axes.set(ylabel="Probability of churn (%)", ylim=(0, max(1, 115 * effect.probability.max())))
    below.hist(effect.observed, bins=_bin_edges(effect.observed), color=NETWORK)
    below.set(xlabel=_shortened(effect.feature, 60), ylabel="Customers")
    return to_chart(figure, axes, f"{effect.feature}: the probability by its value", HOW)


def _bin_edges(values: np.ndarray) -> np.ndarray:
    """Edges of at most 40 bins; fewer where no other numbers lie between, as beside 1e18."""
    low, high = values.min(), values.max()
    if low == high:
        margin = max(0.5, 2 * np.spacing(abs(low)))
        low, high = low - margin, high + margin
    return np.unique(np.linspace(low, high, 41))


def _category_effect(effect: Dependence) -> Chart:
    """Mean probability by level; the area of a dot is the share of the customers."""
    figure, axes = new_figure("Probability of churn (%)", "Level, and the share of customers (%)")
    position = np.arange(len(effect.values))
    axes.scatter(100 * effect.probability, position, s=10 + 300 * effect.observed, color=NETWORK)
    names = [
        f"{_shortened(str(level) or 'missing', LONGEST)}, {100 * share:.0f} %"
        for level, share in zip(effect.values, effect.observed, strict=True)
    ]
    axes.set_yticks(position, names)
    axes.set(xlim=(0, max(1, 115 * effect.probability.max())), ylim=(len(position) - 0.5, -0.5))
    return to_chart(figure, axes, f"{effect.feature}: the probability by its level", HOW)


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
