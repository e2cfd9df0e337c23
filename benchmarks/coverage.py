"""Coverage of the intervals and prediction sets, measured where the true probabilities are known.

coverage.py [--telco FILE] [--seeds N] [overrides]: customers with known probabilities come from the synthetic
generator, and from boosted trees fitted on the Telco table (scikit-learn's exact ones, not those that
calibrate the intervals): their predictions are the truth, and labels are drawn from them anew. For each seed
the default network is trained, its intervals are calibrated, and the bundle predicts customers that were not
in training. `spread` is the naive interval, which does not work: the members' mean ± 1.645 standard
deviations, in log-odds.
"""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from compare import arguments, finish
from scipy.special import expit
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.preprocessing import OrdinalEncoder

from churn.bundle import export
from churn.bundle.bundle import Bundle
from churn.config.data import Drift
from churn.config.root import Config, compose_config
from churn.data.dataset import Dataset
from churn.data.experiment import Experiment
from churn.data.load import load_dataset
from churn.evaluate.coverage import measure_coverage
from churn.network.fit import fit_network
from churn.network.log_odds import logit
from churn.network.trained import Trained, frame_tensors, predict_members

FRESH = 20_000  # synthetic customers to predict
RARE = 0.02  # share of the rows below which a level is rare
COLUMNS = ("coverage", "lowest", "rare", "unseen", "width", "spread", "spread_width", "stays", "leaves",
           "train_seconds", "intervals_seconds")  # fmt: skip


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument(
        "--telco", type=Path, metavar="FILE", help="the Telco table; without it, synthetic customers only"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("overrides", nargs="*")
    options = parser.parse_args()
    kinds = {"synthetic": ["data=synthetic"]}
    if options.telco:
        kinds["telco_by_trees"] = ["data=telco", f"data.path={options.telco}"]
    entries = []
    for kind, choice in kinds.items():
        results = []
        for seed in range(options.seeds):
            cfg = compose_config(*choice, *options.overrides, f"seed={seed}", "export.background=0")
            results.append(measure_seed(cfg))
            print(kind, seed, {name: round(value, 3) for name, value in results[-1].items()}, flush=True)
        entries += to_entries(kind, pd.DataFrame(results))
    finish(entries, options.json)


def measure_seed(cfg: Config) -> dict[str, float]:
    """Coverage and widths for one seed."""
    data = load_dataset(cfg.data, cfg.seed)
    if data.true_probability is None:
        data = with_labels_from_trees(data, cfg.seed)
    experiment = Experiment.split(data, cfg)
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        trained = fit_network(experiment, Path(folder) / "checkpoint", quiet=True)
        fitted = time.process_time()
        interval = export.fit_interval(experiment, trained)
        seconds = {"train_seconds": fitted - began, "intervals_seconds": time.process_time() - fitted}
        served = export.export_bundle(experiment, trained, interval, Path(folder) / "bundle")
        frame, churned, truth = unseen_customers(data, experiment.splits.test, cfg)
        outputs = served.predict(frame)
        unseen = coverage_of_unseen_level(served, cfg) if cfg.data.source.name == "synthetic" else np.nan
    coverage = measure_coverage(outputs, churned, truth, cfg.export.certainty)
    inside = (outputs["churn_probability_low"] <= truth) & (truth <= outputs["churn_probability_high"])
    rare = with_rare_level(frame, data)
    return {
        "coverage": coverage.covered,
        "lowest": min(coverage.quintiles),
        "rare": inside[rare].mean() if rare.sum() >= 50 else np.nan,
        "unseen": unseen,
        "width": coverage.width,
        **coverage_of_spread(trained, frame, truth),
        "stays": coverage.sets["stays"].value,
        "leaves": coverage.sets["leaves"].value,
        **seconds,
    }


def with_labels_from_trees(data: Dataset, seed: int) -> Dataset:
    """The table with the predictions of boosted trees as true probabilities, and labels drawn from them."""
    levels = OrdinalEncoder().fit_transform(data.frame[list(data.schema.categorical)])
    inputs = np.column_stack([data.frame[list(data.schema.numeric)].fillna(-1), levels])
    trees = GradientBoostingClassifier(n_estimators=150, subsample=0.7, random_state=seed)
    truth = trees.fit(inputs, data.churned).predict_proba(inputs)[:, 1]
    labels = (np.random.default_rng(seed).random(len(truth)) < truth).astype(np.int8)
    return replace(data, churned=labels, true_probability=truth)


def unseen_customers(
    data: Dataset, test: np.ndarray, cfg: Config
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Customers that were not in training: new synthetic ones, or else the test part."""
    if cfg.data.source.name == "synthetic":
        data, test = new_customers(cfg, Drift.none), np.arange(FRESH)
    return data.frame.iloc[test], data.churned[test], data.true_probability[test]


def new_customers(cfg: Config, drift: Drift) -> Dataset:
    """Synthetic customers of another seed."""
    other = replace(cfg.data.synthetic, rows=FRESH, drift=drift, drift_size=0.2)
    return load_dataset(replace(cfg.data, synthetic=other), cfg.seed + 1_000)


def coverage_of_unseen_level(served: Bundle, cfg: Config) -> float:
    """Coverage for customers who pay by a method that training never saw."""
    data = new_customers(cfg, Drift.level)
    outputs, truth = served.predict(data.frame), data.true_probability
    inside = (outputs["churn_probability_low"] <= truth) & (truth <= outputs["churn_probability_high"])
    return float(inside[outputs["unseen_inputs"] > 0].mean())


def with_rare_level(frame: pd.DataFrame, data: Dataset) -> np.ndarray:
    """[n] whether a row has a level, or a missing number, that few rows of the table have."""
    rare = np.zeros(len(frame), bool)
    for name in data.schema.categorical:
        share = data.frame[name].value_counts(normalize=True)
        rare |= frame[name].map(share).fillna(0).to_numpy() < RARE
    for name in data.schema.numeric:
        if data.frame[name].isna().mean() < RARE:
            rare |= frame[name].isna().to_numpy()
    return rare


def coverage_of_spread(trained: Trained, frame: pd.DataFrame, truth: np.ndarray) -> dict[str, float]:
    """Coverage and mean width of intervals from the spread of the members."""
    members = logit(predict_members(trained.network, trained.encoder(*frame_tensors(frame, trained.schema))))
    middle, half = members.mean(axis=1), 1.645 * members.std(axis=1, ddof=1)
    inside = abs(logit(truth) - middle) <= half
    return {"spread": inside.mean(), "spread_width": (expit(middle + half) - expit(middle - half)).mean()}


def to_entries(kind: str, results: pd.DataFrame) -> list[dict]:
    """Print the mean, least and greatest over the seeds, and give them as entries."""
    print(f"\n{kind}: mean over {len(results)} seeds (least … greatest)")
    entries = []
    for name in COLUMNS:
        value, low, high = results[name].mean(), results[name].min(), results[name].max()
        if np.isnan(value):
            continue
        print(f"  {name:18} {value:8.3f} ({low:.3f} … {high:.3f})")
        unit = "CPU seconds" if name.endswith("seconds") else "share"
        better = "lower" if "width" in name or "seconds" in name else "near 0.9"
        spread = {"value": value, "low": low, "high": high}
        entries.append({"name": f"{kind}_{name}", **spread, "unit": unit, "peer": "truth", "better": better})
    return entries


if __name__ == "__main__":
    main()
