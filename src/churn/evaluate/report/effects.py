"""Figures of what a decision earns and of what single columns do."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from churn.evaluate.dependence import Dependence
from churn.evaluate.profit import Profit
from churn.evaluate.report.drawing import FAINT, INK, OURS, SIZE, STYLE, Chart, canvas, finish

PER = 1_000  # customers that profits are told for
LONGEST = 24  # characters of a level
HOW = "The same customers, all given this value and otherwise left as they are. Trust it where many are."


def draw_profit_curve(profit: Profit) -> Chart:
    """Profit by the share of the customers called."""
    curve, chosen = profit.curve, profit.rules[0]
    with mpl.rc_context(STYLE):
        figure, axes = canvas("Customers called, most profitable first (%)", f"Profit per {PER:,} customers")
        x = 100 * curve.share
        axes.fill_between(
            x, PER * curve.low, PER * curve.high, color=OURS, alpha=0.2, linewidth=0, label="95 % interval"
        )
        axes.plot(x, PER * curve.profit, color=OURS, linewidth=2.2, label="this network")
        axes.plot(
            [0, 100], [0, PER * curve.profit[-1]], color=FAINT, linestyle="--", label="calling at random"
        )
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.plot(
            100 * chosen.called, PER * chosen.profit.value, "o", color=INK, label="the chosen threshold"
        )
        return finish(
            figure,
            axes,
            "What calling earns",
            "The highest point is the best share to call in hindsight; the dot is what the threshold, chosen "
            "without these customers, earns.",
        )


def draw_effects(found: Sequence[Dependence]) -> list[Chart]:
    """One figure for each column."""
    with mpl.rc_context(STYLE):
        return [_category_effect(one) if one.values.dtype == object else _number_effect(one) for one in found]


def _number_effect(one: Dependence) -> Chart:
    """Mean probability by value, and below it where customers are."""
    figure = Figure(SIZE)
    axes, below = figure.subplots(2, sharex=True, height_ratios=[4, 1])
    axes.plot(one.values, 100 * one.probability, color=OURS, marker=".")
    axes.set(ylabel="Probability of churn (%)", ylim=(0, max(1, 115 * one.probability.max())))
    below.hist(one.own, bins=40, color=OURS)
    below.set(xlabel=_shortened(one.feature, 60), ylabel="Customers")
    return finish(figure, axes, f"{one.feature}: the probability by its value", HOW)


def _category_effect(one: Dependence) -> Chart:
    """Mean probability by level, the area of a dot the share of the customers."""
    figure, axes = canvas("Probability of churn (%)", "Level, and the share of customers (%)")
    position = np.arange(len(one.values))
    axes.scatter(100 * one.probability, position, s=10 + 300 * one.own, color=OURS)
    names = [
        f"{_shortened(str(level) or 'missing', LONGEST)}, {100 * share:.0f} %"
        for level, share in zip(one.values, one.own, strict=True)
    ]
    axes.set_yticks(position, names)
    axes.set(xlim=(0, max(1, 115 * one.probability.max())), ylim=(len(position) - 0.5, -0.5))
    return finish(figure, axes, f"{one.feature}: the probability by its level", HOW)


def _shortened(text: str, length: int) -> str:
    """At most so many characters."""
    return text if len(text) <= length else f"{text[: length - 1]}…"
