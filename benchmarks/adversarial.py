"""Adversarial training on any table: whose decision still flips, and what that costs in ROC AUC and log loss.

adversarial.py [--seeds N] data=telco data.path=FILE [other overrides]: for each seed the rows are split anew,
and the same model is trained without and with `train.adversarial.share`. Both are attacked at their own
threshold, on the same test customers, with the bounds of `data.influence` (below, where the command names
none). Differences are paired by seed; their 95 % intervals are corrected for overlapping splits (Nadeau and
Bengio 2003).
"""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from compare import arguments, finish
from scipy import stats
from sklearn.metrics import log_loss, roc_auc_score

from churn.bundle.decision import choose_threshold
from churn.config.root import Config, compose_config
from churn.data.dataset import Dataset
from churn.data.experiment import Experiment
from churn.data.influence import check_influence
from churn.data.load import load_dataset
from churn.evaluate.attack import BUDGETS, attack
from churn.network.fit import fit_network
from churn.network.trained import Trained

TELCO = {
    "MonthlyCharges": [-20, 0],
    "Contract": ["One year", "Two year"],
    "PaperlessBilling": ["No"],
    "PaymentMethod": ["Mailed check"],
}
SHARES = (0.0, 0.25, 0.5, 0.75)
CUSTOMERS = 500
SHOWN = ("roc_auc", "log_loss", "seconds", "out_0.25", "out_1.0", "into_1.0", "out_3.0", "into_3.0")
Row = dict[str, float]  # the numbers of one training


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="splits of the table (default 5)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw attack success against budget there")
    parser.add_argument("overrides", nargs="*")
    options = parser.parse_args()
    cfg = compose_config(*options.overrides)
    cfg.data.influence = cfg.data.influence or TELCO
    data = load_dataset(cfg.data, cfg.seed)
    check_influence(cfg.data.influence, data.schema, data.frame)
    rows = {share: [measure(data, cfg, share, seed) for seed in range(options.seeds)] for share in SHARES}
    entries = compare(rows, len(Experiment.split(data, cfg).test.churned) / len(data))
    if options.plot:
        draw(rows, options.plot)
    finish(entries, options.json)


def measure(data: Dataset, cfg: Config, share: float, seed: int) -> Row:
    """Train with a share of changed copies and attack the decision; gives all numbers by name."""
    train = replace(cfg.train, adversarial=replace(cfg.train.adversarial, share=share))
    experiment = Experiment.split(data, replace(cfg, seed=seed, train=train))
    began = time.perf_counter()
    trained = fit_network(experiment, quiet=True)
    row = {"seconds": time.perf_counter() - began}
    test = experiment.test
    probability = trained.predict(test.frame)
    row["roc_auc"] = roc_auc_score(test.churned, probability)
    row["log_loss"] = log_loss(test.churned, probability)
    row |= attack_success(experiment, trained)
    shown = ", ".join(f"{name} {row[name]:.4f}" for name in SHOWN)
    print(f"share {share:.2f}, seed {seed}: {shown}", flush=True)
    return row


def attack_success(experiment: Experiment, trained: Trained) -> Row:
    """Shares of the called, and of the others, whose decision flips, by budget."""
    cfg, held_out = experiment.cfg, trained.held_out_rows
    value = np.full(len(held_out), cfg.decision.customer_value)
    left, probability = experiment.data.churned[held_out], trained.held_out_probability
    threshold = choose_threshold(cfg.decision, left, probability, value)
    frame = experiment.test.frame.iloc[:CUSTOMERS].reset_index(drop=True)
    found = attack(trained.predict, frame, threshold, cfg.data.influence, experiment.train.frame)
    ways = {"out": True, "into": False}
    return {f"{way}_{b}": found.success(called, b).value for way, called in ways.items() for b in BUDGETS}


def compare(rows: dict[float, list[Row]], ratio: float) -> list[dict[str, Any]]:
    """A table of differences from the training without copies, and the entries of the results."""
    entries = []
    print(f"\n{'':10}" + "".join(f"{f'share {share}':>31}" for share in SHARES[1:]))
    for name in SHOWN:
        plain = np.array([row[name] for row in rows[0.0]])
        cells = []
        for share in SHARES[1:]:
            value, low, high = interval(np.array([row[name] for row in rows[share]]) - plain, ratio)
            cells.append(f"{value:+.4f} ({low:+.4f} … {high:+.4f})")
            better = "higher" if name == "roc_auc" else "lower"
            entries.append(
                {"name": f"{name}, share {share}", "value": value, "low": low, "high": high}
                | {"unit": "difference", "peer": f"share 0: {plain.mean():.4f}", "better": better}
            )
        print(f"{name:10}" + "".join(f"{cell:>31}" for cell in cells) + f"   without: {plain.mean():.4f}")
    return entries


def interval(differences: np.ndarray, ratio: float) -> tuple[float, float, float]:
    """Mean and 95 % interval of paired differences; `ratio` is the share of the rows that are tested."""
    count = len(differences)
    error = np.sqrt((1 / count + ratio / (1 - ratio)) * differences.var(ddof=1)) if count > 1 else np.nan
    mean = float(differences.mean())
    half = float(stats.t.ppf(0.975, max(count - 1, 1)) * error)
    return mean, mean - half, mean + half


def draw(rows: dict[float, list[Row]], file: Path) -> None:
    """Attack success against budget, the mean over the seeds."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), sharex=True)
    for ax, way, title in zip(axes, ("out", "into"), ("called → not", "not called → called"), strict=True):
        for share, of_share in rows.items():
            rates = [100 * np.mean([row[f"{way}_{budget}"] for row in of_share]) for budget in BUDGETS]
            ax.plot(BUDGETS, rates, marker=".", label=f"share {share:g}" if share else "without")
        ax.set(title=title, xlabel="budget (1: one value to its bound)", ylabel="decisions that flip (%)")
        ax.set_ylim(0, None)
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(file)


if __name__ == "__main__":
    main()
