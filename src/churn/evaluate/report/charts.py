"""The figures of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import precision_recall_curve, roc_curve

from churn.data.customers import number_customers
from churn.evaluate.bootstrap import jeffreys_interval
from churn.evaluate.clustered import effective_rows
from churn.evaluate.evaluation import MODEL
from churn.evaluate.metrics import mean_of_ties
from churn.evaluate.report.drawing import (
    CHURNERS,
    FAINT,
    INK,
    LINES,
    NETWORK,
    SIZE,
    STYLE,
    Chart,
    draw_curve,
    new_figure,
    to_chart,
)


def draw_charts(
    churned: np.ndarray,
    predictions: Mapping[str, np.ndarray],
    history: Mapping[str, Sequence[float]],
    ids: np.ndarray | None = None,
    step: str = "epoch",
) -> list[Chart]:
    """The figures in reading order; [n] labels, probabilities and ids of the test part, losses by `step`."""
    with mpl.rc_context(STYLE):
        compared = {name: predictions[name] for name in LINES if name in predictions}
        charts = [
            _gains(churned, compared),
            _calibration(churned, predictions[MODEL], number_customers(ids, len(churned))),
            _precision_recall(churned, compared),
            _roc(churned, compared),
            _scores(churned, predictions[MODEL]),
        ]
        return [*charts, _training(history, step)] if history.get("loss") else charts


def _gains(churned: np.ndarray, predictions: Mapping[str, np.ndarray]) -> Chart:
    figure, axes = new_figure("Customers called, most at risk first (%)", "Churners reached (%)")
    rate = churned.mean()
    for name, probability in predictions.items():
        stayers, churners, _ = roc_curve(churned, probability, drop_intermediate=False)
        draw_curve(axes, name, rate * churners + (1 - rate) * stayers, churners)
    axes.plot([0, 100], [0, 100], color=FAINT, label="by chance")
    axes.axvline(10, color=FAINT, linestyle=":")
    return to_chart(
        figure,
        axes,
        "How many churners the first calls reach",
        "The steeper the start, the better. At the dotted line one customer in ten is called.",
    )


def _roc(churned: np.ndarray, predictions: Mapping[str, np.ndarray]) -> Chart:
    figure, axes = new_figure("Stayers flagged (%), the false positive rate", "Churners flagged (%)")
    for name, probability in predictions.items():
        draw_curve(axes, name, *roc_curve(churned, probability, drop_intermediate=False)[:2])
    axes.plot([0, 100], [0, 100], color=FAINT, label="by chance")
    return to_chart(
        figure,
        axes,
        "ROC: churners found and false alarms",
        "Each point is a threshold; the area under the curve is the ROC AUC.",
    )


def _precision_recall(churned: np.ndarray, predictions: Mapping[str, np.ndarray]) -> Chart:
    figure, axes = new_figure("Churners reached (%), the recall", "Churners among the called (%)")
    for name, probability in predictions.items():
        precision, recall, _ = precision_recall_curve(churned, probability)
        draw_curve(axes, name, recall, precision)
    axes.axhline(100 * churned.mean(), color=FAINT, label="by chance")
    axes.set_ylim(0, 102)
    return to_chart(
        figure,
        axes,
        "Precision and recall: how many calls reach a churner",
        "Further to the right more customers are called; the height is the share of churners among them.",
    )


def _calibration(churned: np.ndarray, probability: np.ndarray, customer: np.ndarray) -> Chart:
    """Churn rate by predicted probability, in bins of equally many rows, with 95 % intervals."""
    bins = np.array_split(np.argsort(probability, kind="stable"), np.clip(len(churned) // 20, 2, 10))
    size = np.array([len(rows) for rows in bins])
    share = mean_of_ties(churned, probability)
    left = np.array([share[rows].sum() for rows in bins])
    predicted = 100 * np.array([probability[rows].mean() for rows in bins])
    rate = 100 * left / size
    known = np.array([effective_rows(churned[rows], customer[rows]) for rows in bins])
    low, high = (100 * end for end in jeffreys_interval(left / size * known, known))
    errors = np.maximum([rate - low, high - rate], 0)
    limit = max(high.max(), 100 * probability.max())

    figure = Figure(SIZE)
    axes, below = figure.subplots(2, sharex=True, height_ratios=[4, 1])
    axes.errorbar(
        predicted, rate, errors, color=NETWORK, fmt="o", markersize=4.5, label="network, with 95 % interval"
    )
    axes.plot([0, limit], [0, limit], color=INK, linewidth=0.8, linestyle=(0, (4, 3)), label="perfect")
    axes.set(ylabel="Customers who left (%)", ylim=(0, None))
    below.hist(100 * probability, bins=40, color=NETWORK)
    below.set(xlabel="Predicted probability of churn (%)", ylabel="Customers", xlim=(0, limit))
    return to_chart(
        figure,
        axes,
        "Calibration: does 30 % mean 30 %?",
        "Each dot is a group of equally many rows. On the dashed line as many left as predicted, above "
        "it more. Below: how often each probability was predicted.",
    )


def _scores(churned: np.ndarray, probability: np.ndarray) -> Chart:
    figure, axes = new_figure("Predicted probability of churn (%)", "Share of the group (%)")
    edges = np.linspace(0, 100, 26)
    for name, color, dashes, label in (("stayed", NETWORK, "-", 0), ("left", CHURNERS, "--", 1)):
        counts, _ = np.histogram(100 * probability[churned == label], edges)
        shares = 100 * counts / counts.sum()
        axes.stairs(shares, edges, fill=True, color=color, alpha=0.35, label=name)
        axes.stairs(shares, edges, color=color, linestyle=dashes, linewidth=1.4)
    return to_chart(
        figure,
        axes,
        "Who left and who stayed, by their predicted probability",
        "The less the two overlap, the better the network separates them.",
    )


def _training(history: Mapping[str, Sequence[float]], step: str) -> Chart:
    figure, axes = new_figure(step.capitalize(), "Log loss per row")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.plot(*_by_epoch(history["loss"]), label="train part", color=FAINT, linewidth=2.2)
    losses = history.get("val_loss", [])
    if not losses:
        how = "The rows that the network learns from. Out-of-fold predictions show how it does on others."
        return to_chart(figure, axes, f"Training: loss after each {step}", how)
    axes.plot(*_by_epoch(losses), label="validation part", color=NETWORK, marker=".", markersize=4)
    best = int(np.argmin(losses)) + 1
    axes.axvline(best, color=INK, linewidth=0.8, linestyle=":")
    title = f"Training: the validation loss was lowest after {step} {best} of {len(losses)}"
    how = "Where the validation loss rises again, the network memorises the train part."
    return to_chart(figure, axes, title, how)


def _by_epoch(losses: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(1, len(losses) + 1), np.array(losses)
