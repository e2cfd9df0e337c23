"""The default network beside tuned boosted trees, on the same folds of any table.

quality.py --peers PREDICTIONS.parquet data=telco data.path=FILE [other overrides]: loads the table as
`churn train` does. Where the peers' predictions are not there yet, peers.py makes them first (an hour and
more) in the environment of `make bench-setup`. Ours is fitted in every fold with the default configuration,
on the rows on which the peers are tuned and fitted. Standard errors are Nadeau and Bengio's (2003), corrected
for overlapping folds.
"""

import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from compare import arguments, finish
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold

from churn.calibrate import temperature, tempered
from churn.config import Config, config_directory
from churn.data import load
from churn.schema import Dataset
from churn.split import Splits
from churn.train import train

HERE = Path(__file__).parent
PYTHON = HERE.parent / ".venv-bench" / "bin" / "python"
METRICS = {"roc_auc": roc_auc_score, "average_precision": average_precision_score, "log_loss": log_loss}
PEERS = ("xgboost", "lightgbm", "catboost")


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--peers", type=Path, required=True, metavar="FILE", help="the peers' predictions")
    parser.add_argument("overrides", nargs="*")
    options = parser.parse_args()
    ConfigStore.instance().store("schema", Config)
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        cfg = OmegaConf.to_object(compose("config", options.overrides))
    data = load(cfg.data, cfg.seed)
    if not options.peers.exists():
        predict_peers(data, options.peers)
    predictions = with_ours(data, cfg, pd.read_parquet(options.peers))
    entries = compared(predictions, data)
    finish([entry | {"data": data.name, "rows": len(data)} for entry in entries], options.json)


def predict_peers(data: Dataset, file: Path) -> None:
    """Have peers.py tune and predict on the folds of this table."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "table.parquet"
        data.frame.assign(churned=data.churned.astype(int)).to_parquet(table)
        subprocess.run([PYTHON, HERE / "peers.py", table, file], check=True)


def with_ours(data: Dataset, cfg: Config, predictions: pd.DataFrame) -> pd.DataFrame:
    """The peers' predictions with ours and our seconds beside them, fold by fold."""
    parts = []
    for seed, of_seed in predictions.groupby("seed"):
        folds = StratifiedKFold(of_seed["fold"].nunique(), shuffle=True, random_state=seed)
        for fold, (fit, test) in enumerate(folds.split(data.frame, data.churned)):
            part = of_seed[of_seed["fold"] == fold].copy()
            if not np.array_equal(part["row"], test):
                raise SystemExit("the predictions of the peers are of other folds or another table")
            began = time.process_time()
            part["ours"] = fitted(data, cfg, fit, test)
            parts.append(part.assign(ours_seconds=time.process_time() - began))
    return pd.concat(parts)


def fitted(data: Dataset, cfg: Config, rows: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Our calibrated probabilities of the test rows, fitted on `rows`."""
    none = np.empty(0, int)
    with tempfile.TemporaryDirectory() as folder:
        parts = Splits(rows, none, none, test)
        trained = train(data, parts, cfg, Path(folder) / "checkpoint", quiet=True)
    churned = data.churned[trained.held_out_rows]
    divisor = temperature(churned, trained.held_out_probability, cfg.seed)
    return tempered(trained.predict(data.frame.iloc[test]), divisor)


def compared(predictions: pd.DataFrame, data: Dataset) -> list[dict]:
    """Print each metric of each model, and give our paired differences to the peers."""
    entries = []
    folds = predictions.groupby(["seed", "fold"])
    test_share = 1 / predictions["fold"].nunique()
    correction = np.sqrt(1 / folds.ngroups + test_share / (1 - test_share))
    seconds = folds[[f"{name}_seconds" for name in ("ours", *PEERS)]].first().mean()
    print(
        f"{data.name}: {len(data):,} rows, {folds.ngroups} folds; CPU seconds a fold, tuning included: ",
        end="",
    )
    print(", ".join(f"{name.removesuffix('_seconds')} {value:.1f}" for name, value in seconds.items()))
    for metric, score in METRICS.items():
        values = {
            name: np.array([score(data.churned[f["row"]], f[name].astype(float)) for _, f in folds])
            for name in ("ours", *PEERS)
        }
        print(f"{metric:18} ours {values['ours'].mean():.4f}", end="")
        for peer in PEERS:
            difference = values["ours"] - values[peer]
            error = float(difference.std(ddof=1) * correction)
            mean = float(difference.mean())
            print(f" | {peer} {values[peer].mean():.4f} ({mean:+.4f} ± {error:.4f})", end="")
            better = "lower" if metric == "log_loss" else "higher"
            spread = {"value": mean, "low": mean - error, "high": mean + error}
            name = f"{metric}_minus_{peer}"
            entries.append({"name": name, **spread, "unit": metric, "peer": peer, "better": better})
        print()
    return entries


if __name__ == "__main__":
    main()
