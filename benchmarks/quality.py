"""The default network beside tuned boosted trees, on the same folds of any table.

quality.py --peers PREDICTIONS.parquet data=telco data.path=FILE [other overrides]: loads the table as `churn
train` does. If the peers' predictions do not exist yet, peers.py makes them first (an hour or more) in the
environment of `make bench-setup`. In every fold our network is trained with the default configuration, on the
rows on which the peers are tuned and fitted. Standard errors are Nadeau and Bengio's (2003), corrected for
overlapping folds. Brier score and calibration slope are compared with the peers' after calibration by a
temperature, which is fitted on the predictions of the other folds.
"""

import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from compare import arguments, finish
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold

from churn.bundle.calibration import apply_temperature, fit_temperature
from churn.config.root import Config, compose_config
from churn.data.dataset import Dataset
from churn.data.experiment import Experiment
from churn.data.load import load_dataset
from churn.data.split import Splits
from churn.evaluate.metrics import rank_rows
from churn.network.fit import fit_network

HERE = Path(__file__).parent
PYTHON = HERE.parent / ".venv-bench" / "bin" / "python"
PEERS = ("xgboost", "lightgbm", "catboost")


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--peers", type=Path, required=True, metavar="FILE", help="the peers' predictions")
    parser.add_argument("--ours", type=Path, required=True, metavar="FILE", help="our predictions, likewise")
    parser.add_argument("overrides", nargs="*")
    options = parser.parse_args()
    cfg = compose_config(*options.overrides)
    data = load_dataset(cfg.data, cfg.seed)
    if not options.peers.exists():
        predict_peers(data, options.peers)
    peers = pd.read_parquet(options.peers)
    if not options.ours.exists():
        predict_ours(data, cfg, peers, options.ours)
    predictions = pd.read_parquet(options.ours).merge(peers, "left", on=["seed", "fold", "row"])
    entries = compare(predictions, data)
    finish(entries, options.json)


def predict_peers(data: Dataset, file: Path) -> None:
    """Run peers.py, which tunes and predicts on the folds of this table."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "table.parquet"
        data.frame.assign(churned=data.churned.astype(int)).to_parquet(table)
        subprocess.run([PYTHON, HERE / "peers.py", table, file], check=True)


def predict_ours(data: Dataset, cfg: Config, peers: pd.DataFrame, file: Path) -> None:
    """Our predictions of the peers' test rows, fold by fold, with our CPU seconds."""
    parts = []
    for seed, of_seed in peers.groupby("seed"):
        folds = StratifiedKFold(of_seed["fold"].nunique(), shuffle=True, random_state=seed)
        for fold, (fit, test) in enumerate(folds.split(data.frame, data.churned)):
            if not np.array_equal(of_seed["row"][of_seed["fold"] == fold], test):
                raise SystemExit("the predictions of the peers belong to other folds or to another table")
            began = time.process_time()
            part = pd.DataFrame(
                {"seed": seed, "fold": fold, "row": test, "ours": predict_fold(data, cfg, fit, test)}
            )
            parts.append(part.assign(ours_seconds=time.process_time() - began))
            print(seed, fold, "ours", round(parts[-1]["ours_seconds"][0], 1), flush=True)
            pd.concat(parts).astype({"ours": "float32"}).to_parquet(file)


def predict_fold(data: Dataset, cfg: Config, rows: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Our calibrated probabilities of the test rows; the network is trained on `rows`."""
    none = np.empty(0, int)
    trained = fit_network(Experiment(data, Splits(rows, none, none, test), cfg), quiet=True)
    churned = data.churned[trained.held_out_rows]
    temperature = fit_temperature(churned, trained.held_out_probability, cfg.seed)
    return apply_temperature(trained.predict(data.frame.iloc[test]), temperature)


def compare(predictions: pd.DataFrame, data: Dataset) -> list[dict]:
    """Print the metrics of each model; gives them as entries, with our paired differences to the peers."""
    predictions = with_calibrated_peers(predictions, data.churned)
    folds = predictions.groupby(["seed", "fold"])
    test_share = 1 / predictions["fold"].nunique()
    correction = np.sqrt(1 / folds.ngroups + test_share / (1 - test_share))
    seconds = folds[[f"{name}_seconds" for name in ("ours", *PEERS)]].first().mean()
    provenance = {"data": data.name, "rows": len(data), "folds": folds.ngroups}
    print(
        f"{data.name}: {len(data):,} rows, {folds.ngroups} folds; CPU seconds a fold, tuning included: ",
        end="",
    )
    print(", ".join(f"{name.removesuffix('_seconds')} {value:.1f}" for name, value in seconds.items()))
    entries = [{"name": name, "value": float(value), "unit": "s of CPU"} for name, value in seconds.items()]
    for metric, (score, better) in METRICS.items():
        suffix = "_calibrated" if metric in CALIBRATED else ""
        columns = {"ours": "ours"} | {peer: peer + suffix for peer in PEERS}
        values = {
            name: np.array([score(data.churned[f["row"]], f[column].astype(float)) for _, f in folds])
            for name, column in columns.items()
        }
        print(f"{metric:18} ours {values['ours'].mean():.4f}", end="")
        for name, scores in values.items():
            error = float(scores.std(ddof=1) * correction)
            mean = float(scores.mean())
            spread = {"value": mean, "low": mean - error, "high": mean + error}
            entries.append({"name": f"{metric}_of_{name}", **spread, "unit": metric, "better": better})
        for peer in PEERS:
            difference = values["ours"] - values[peer]
            error = float(difference.std(ddof=1) * correction)
            mean = float(difference.mean())
            print(f" | {peer} {values[peer].mean():.4f} ({mean:+.4f} ± {error:.4f})", end="")
            spread = {"value": mean, "low": mean - error, "high": mean + error}
            name = f"{metric}_minus_{peer}"
            entries.append({"name": name, **spread, "unit": metric, "peer": peer, "better": better})
        print()
    return [entry | provenance for entry in entries]


def with_calibrated_peers(predictions: pd.DataFrame, churned: np.ndarray) -> pd.DataFrame:
    """The predictions with those of the peers after calibration, by a temperature from the other folds."""
    parts = []
    for _, of_seed in predictions.groupby("seed"):
        for fold, part in of_seed.groupby("fold"):
            others = of_seed[of_seed["fold"] != fold]
            calibrated = {}
            for peer in PEERS:
                temperature = fit_temperature(churned[others["row"]], others[peer].to_numpy(float), 0)
                calibrated[f"{peer}_calibrated"] = apply_temperature(part[peer].to_numpy(float), temperature)
            parts.append(part.assign(**calibrated))
    return pd.concat(parts)


def slope_error(churned: np.ndarray, probability: pd.Series) -> float:
    """Distance of the calibration slope from 1, its ideal value."""
    return abs(rank_rows(churned, probability.to_numpy()).line[1] - 1)


METRICS = {
    "roc_auc": (roc_auc_score, "higher"),
    "average_precision": (average_precision_score, "higher"),
    "log_loss": (log_loss, "lower"),
    "brier": (brier_score_loss, "lower"),
    "slope_error": (slope_error, "lower"),
}
CALIBRATED = ("brier", "slope_error")  # compared with the peers' after their calibration


if __name__ == "__main__":
    main()
