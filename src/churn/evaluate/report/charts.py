"""The figures of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from scipy.stats import beta
from sklearn.metrics import precision_recall_curve, roc_curve

from churn.evaluate.evaluation import MODEL
from churn.evaluate.report.drawing import (
    FAINT,
    INK,
    LEAVE,
    LINES,
    OURS,
    SIZE,
    STYLE,
    Chart,
    canvas,
    draw,
    finish,
)


def draw_charts(
    churned: np.ndarray, predictions: Mapping[str, np.ndarray], history: Mapping[str, Sequence[float]]
) -> list[Chart]:
    """All figures, in reading order. [n] labels and probabilities of the test part; losses by epoch."""
    with mpl.rc_context(STYLE):
        compared = {name: predictions[name] for name in LINES if name in predictions}
        found = [
            _gains(churned, compared),
            _calibration(churned, predictions[MODEL]),
            _precision_recall(churned, compared),
            _roc(churned, compared),
            _scores(churned, predictions[MODEL]),
        ]
        return [*found, _training(history)] if history.get("loss") else found


def _gains(churned: np.ndarray, predictions: Mapping[str, np.ndarray]) -> Chart:
    """Share of churners reached by the share of customers called."""
    figure, axes = canvas("Customers called, most at risk first (%)", "Churners reached (%)")
    rate = churned.mean()
    for name, probability in predictions.items():
        stayers, churners, _ = roc_curve(churned, probability, drop_intermediate=False)
        draw(axes, name, rate * churners + (1 - rate) * stayers, churners)
    axes.plot([0, 100], [0, 100], color=FAINT, label="by chance")
    axes.axvline(10, color=FAINT, linestyle=":")
    return finish(
        figure,
        axes,
        "How many churners the first calls reach",
        "The steeper the start, the better: the dotted line marks one customer in ten called.",
    )


def _roc(churned: np.ndarray, predictions: Mapping[str, np.ndarray]) -> Chart:
    """Receiver operating characteristic."""
    figure, axes = canvas("Stayers flagged (%), the false positive rate", "Churners flagged (%)")
    for name, probability in predictions.items():
        draw(axes, name, *roc_curve(churned, probability, drop_intermediate=False)[:2])
    axes.plot([0, 100], [0, 100], color=FAINT, label="by chance")
    return finish(
        figure,
        axes,
        "ROC: churners found against false alarms",
        "Each point is a threshold; the area under the curve is the ROC AUC.",
    )


def _precision_recall(churned: np.ndarray, predictions: Mapping[str, np.ndarray]) -> Chart:
    """Precision by recall."""
    figure, axes = canvas("Churners reached (%), the recall", "Churners among the called (%)")
    for name, probability in predictions.items():
        precision, recall, _ = precision_recall_curve(churned, probability)
        draw(axes, name, recall, precision)
    axes.axhline(100 * churned.mean(), color=FAINT, label="by chance")
    axes.set_ylim(0, 102)
    return finish(
        figure,
        axes,
        "Precision and recall: how many calls hit",
        "Further to the right more customers are called; the height is the share of them who leave.",
    )


def _calibration(churned: np.ndarray, probability: np.ndarray) -> Chart:
    """Churn rate by predicted probability in bins of equally many customers, with 95 % Jeffreys intervals."""
    bins = np.array_split(np.argsort(probability, kind="stable"), np.clip(len(churned) // 20, 2, 10))
    size = np.array([len(rows) for rows in bins])
    left = np.array([churned[rows].sum() for rows in bins])
    said = 100 * np.array([probability[rows].mean() for rows in bins])
    rate = 100 * left / size
    low, high = 100 * beta.ppf([[0.025], [0.975]], left + 0.5, size - left + 0.5)
    errors = np.maximum([rate - low, high - rate], 0)
    limit = max(high.max(), 100 * probability.max())

    figure = Figure(SIZE)
    axes, below = figure.subplots(2, sharex=True, height_ratios=[4, 1])
    axes.errorbar(
        said, rate, errors, color=OURS, fmt="o", markersize=4.5, label="network, with 95 % interval"
    )
    axes.plot([0, limit], [0, limit], color=INK, linewidth=0.8, linestyle=(0, (4, 3)), label="perfect")
    axes.set(ylabel="Customers who left (%)", ylim=(0, None))
    below.hist(100 * probability, bins=40, color=OURS)
    below.set(xlabel="Predicted probability of churn (%)", ylabel="Customers", xlim=(0, limit))
    return finish(
        figure,
        axes,
        "Calibration: does 30 % mean 30 %?",
        "Each dot is a group of equally many customers. On the dashed line as many left as was foretold; "
        "above it, more. Below: how often each probability was given.",
    )


def _scores(churned: np.ndarray, probability: np.ndarray) -> Chart:
    """Histogram of the probabilities of those who left and those who stayed."""
    figure, axes = canvas("Predicted probability of churn (%)", "Share of the group (%)")
    edges = np.linspace(0, 100, 26)
    for label, color, dashes, kind in (("stayed", OURS, "-", 0), ("left", LEAVE, "--", 1)):
        counts, _ = np.histogram(100 * probability[churned == kind], edges)
        shares = 100 * counts / counts.sum()
        axes.stairs(shares, edges, fill=True, color=color, alpha=0.35, label=label)
        axes.stairs(shares, edges, color=color, linestyle=dashes, linewidth=1.4)
    return finish(
        figure,
        axes,
        "Who left and who stayed, by the probability they were given",
        "The less the two overlap, the better the network tells them apart.",
    )


def _training(history: Mapping[str, Sequence[float]]) -> Chart:
    """Losses by epoch."""
    figure, axes = canvas("Epoch", "Loss (nats per customer)")
    axes.plot(*_by_epoch(history["loss"]), label="train part", color=FAINT, linewidth=2.2)
    losses = history.get("val_loss", [])
    axes.plot(*_by_epoch(losses), label="validation part", color=OURS, marker=".", markersize=4)
    title = "Training: loss after each epoch"
    if losses:
        best = int(np.argmin(losses)) + 1
        axes.axvline(best, color=INK, linewidth=0.8, linestyle=":")
        title = f"Training: the validation loss was least after epoch {best} of {len(losses)}"
    return finish(figure, axes, title, "Where the validation loss rises again, the network learns by heart.")


def _by_epoch(losses: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Epochs, from 1, and their losses."""
    return np.arange(1, len(losses) + 1), np.array(losses)
