"""The figures of the section on robustness."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from churn.evaluate.attack import BUDGETS, Attack
from churn.evaluate.bootstrap import Estimate
from churn.evaluate.report.drawing import CHURNERS, FAINT, NETWORK, STYLE, Chart, new_figure, to_chart
from churn.evaluate.robustness import Curve, Robustness


def draw_robustness(found: Robustness) -> list[Chart]:
    """The figures in reading order."""
    with mpl.rc_context(STYLE):
        charts = [_draw_attack(found.attack)] if found.attack else []
        text = "The most important columns are blank, as after a broken export. Band: 95 % interval."
        charts.append(_draw_curve(found.missing, "Columns missing", "Missing columns: what is left", text))
        if found.outliers:
            text = "So many of the numbers lie ten standard deviations from the mean."
            charts.append(_draw_curve(found.outliers, "Outliers (% of the numbers)", "Outliers", text, 100))
        if found.label_noise:
            charts += _draw_noise(found.label_noise)
        return charts


def _draw_attack(attack: Attack) -> Chart:
    """Share of the decisions that flip, by budget."""
    figure, axes = new_figure("Budget (1: one value moved to its bound)", "Decisions that flip (%)")
    for called, color, label in ((False, NETWORK, "not called → called"), (True, CHURNERS, "called → not")):
        rates = [attack.success(called, budget) for budget in BUDGETS]
        _draw_band(axes, BUDGETS, rates, color)
        axes.plot(
            BUDGETS, [100 * rate.value for rate in rates], color=color, marker=".",
            linestyle="--" if called else "-", label=label,
        )  # fmt: skip
    axes.set_ylim(0, None)
    columns = ", ".join(attack.columns)
    text = f"Customers can influence {columns}. A search found these flips; there may be more."
    return to_chart(figure, axes, "How easily the decision is gamed", text)


def _draw_noise(curve: Curve) -> list[Chart]:
    """ROC AUC and log loss: wrong labels spoil the probabilities before the order."""
    text = "Models that learnt from labels of which so many are wrong, on the true ones."
    figure, axes = new_figure("Wrong labels (%)", "Log loss (nats)")
    amount = 100 * np.asarray(curve.amount, float)
    _draw_band(axes, amount, curve.log_loss, NETWORK, 1)
    axes.plot(amount, [one.value for one in curve.log_loss], color=NETWORK, marker=".")
    axes.set_ylim(0, None)
    losses = to_chart(figure, axes, "Label noise: log loss", text)
    return [_draw_curve(curve, "Wrong labels (%)", "Label noise", text, 100), losses]


def _draw_curve(curve: Curve, x: str, title: str, text: str, unit: float = 1) -> Chart:
    """ROC AUC by the amount of what is wrong."""
    figure, axes = new_figure(x, "ROC AUC")
    amount = unit * np.asarray(curve.amount, float)
    _draw_band(axes, amount, curve.roc_auc, NETWORK, 1)
    axes.plot(amount, [one.value for one in curve.roc_auc], color=NETWORK, marker=".")
    axes.axhline(0.5, color=FAINT, linestyle=":")
    axes.set_ylim(0.45, 1)
    return to_chart(figure, axes, title, text)


def _draw_band(
    axes: Axes, x: Sequence[float] | np.ndarray, rates: Sequence[Estimate], color: str, unit: float = 100
) -> None:
    """A band for the intervals of some numbers."""
    low, high = (unit * np.array([getattr(rate, end) for rate in rates]) for end in ("low", "high"))
    axes.fill_between(x, low, high, color=color, alpha=0.2, linewidth=0)
