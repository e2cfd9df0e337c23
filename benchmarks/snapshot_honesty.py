"""Whether models that learn from snapshots hold what they promise, on customers whose hazard is known.

snapshot_honesty.py [--customers 15000] [--seeds 3] [--epochs 12]. Network and split are those
of `churn train`; AUC on rows that took no part in training.

- snapshot_auc_beyond_best: of the network less that of the true probabilities, on the latest cut-offs;
- snapshot_promise_leak: AUC on a test part whose windows reach one day too far, less what the same model has
  on the honest rows of the same customers and cut-offs;
- snapshot_promise_random: AUC on a test part dealt out at random over rows of weekly cut-offs, less what the
  same model has on later cut-offs;
- snapshot_promise_time: the same with the split by time, as `churn train` does it.
"""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from compare import arguments, finish
from sklearn.metrics import roc_auc_score

from churn.config.data import SplitMethod
from churn.config.root import Config, compose_config
from churn.data.dataset import Dataset
from churn.data.declared import with_declared_roles
from churn.data.experiment import Experiment
from churn.data.load import load_dataset
from churn.data.table import RawTable
from churn.data.validate import to_features
from churn.events import stage
from churn.events.synthetic.tables import write_tables
from churn.network.fit import Trained, fit_network

LATER = "2024-08-05"  # first cut-off of what a model with a random split is tried on


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--customers", type=int, default=15_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=12)
    options = parser.parse_args()
    found: dict[str, list[float]] = {}
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory() as folder:
            for name, value in of_seed(Path(folder), seed, options.customers, options.epochs).items():
                print(f"seed {seed}: {name:28} {value:+.4f}", flush=True)
                found.setdefault(name, []).append(value)
    finish([entry(name, values) for name, values in found.items()], options.json)


def entry(name: str, values: list[float]) -> dict[str, Any]:
    """Mean and range over the seeds."""
    told = {"value": float(np.mean(values)), "low": min(values), "high": max(values)}
    print(f"{name:28} {told['value']:+.4f} ({told['low']:+.4f} to {told['high']:+.4f})")
    return {
        "name": name,
        **told,
        "unit": "ROC AUC",
        "peer": None,
        "better": "higher" if "best" in name else "lower",
    }


def of_seed(folder: Path, seed: int, customers: int, epochs: int) -> dict[str, float]:
    """All numbers in one made-up world."""
    cfg = compose_config(
        "events=synthetic",
        f"run.root={folder}",
        f"seed={seed}",
        f"events.synthetic.customers={customers}",
        f"train.epochs={epochs}",
    )
    events = Path(str(cfg.events.folder))
    write_tables(cfg.events.synthetic, events, seed)
    honest = snapshots(cfg, "honest")
    truth = pd.read_parquet(events / "truth.parquet").astype({"cutoff": "datetime64[s]"})
    data, experiment, trained = learnt(cfg, honest)
    beyond = auc(data, trained, experiment.splits.test) - auc_of_truth(data, truth, experiment.splits.test)

    weekly = replace(
        cfg,
        events=replace(
            cfg.events, cutoffs=replace(cfg.events.cutoffs, step=type(cfg.events.cutoffs.step).week)
        ),
    )
    before = snapshots(weekly, "before", last="2024-07-01")
    after, _ = load(weekly, snapshots(weekly, "after", first=LATER))
    promises = {}
    for name, method in {"random": SplitMethod.article, "time": SplitMethod.time}.items():
        rows, parts, model = learnt(replace(weekly, split=replace(cfg.split, method=method)), before)
        held = auc(after, model, np.arange(len(after)), rows)
        promises[name] = auc(rows, model, parts.splits.test) - held

    shift_a_day(events)
    leaky = snapshots(cfg, "leaky")
    spoilt, parts, model = learnt(cfg, leaky)
    test = parts.splits.test
    same = pd.MultiIndex.from_arrays([data.ids, data.times]).get_indexer(
        [*zip(spoilt.ids[test], spoilt.times[test], strict=True)]
    )
    leak = auc(spoilt, model, test) - auc(data, model, same, spoilt)
    return {
        "snapshot_auc_beyond_best": beyond,
        "snapshot_promise_leak": leak,
        "snapshot_promise_random": promises["random"],
        "snapshot_promise_time": promises["time"],
    }


def snapshots(cfg: Config, name: str, first: str | None = None, last: str | None = None) -> Path:
    """The file of a snapshot."""
    file = Path(str(cfg.run.root)) / f"{name}.parquet"
    cutoffs = replace(cfg.events.cutoffs, first=first, last=last)
    stage.snapshot(replace(cfg, output=str(file), events=replace(cfg.events, cutoffs=cutoffs)))
    return file


def load(cfg: Config, file: Path) -> tuple[Dataset, Config]:
    """The rows of a snapshot, and the configuration that it declares."""
    chosen = replace(compose_config("data=parquet").data, path=str(file))
    cfg = replace(cfg, data=with_declared_roles(chosen))
    return load_dataset(cfg.data, cfg.seed), cfg


def learnt(cfg: Config, file: Path) -> tuple[Dataset, Experiment, Trained]:
    """A network that learnt from a snapshot."""
    data, cfg = load(cfg, file)
    experiment = Experiment.split(data, cfg)
    return data, experiment, fit_network(experiment, quiet=True)


def auc(data: Dataset, model: Trained, rows: np.ndarray, as_in: Dataset | None = None) -> float:
    """ROC AUC of a network on some rows; `as_in`: the data that it learnt from, whose columns it wants."""
    schema = (as_in or data).schema
    frame = data.frame.iloc[rows].reset_index(drop=True)
    frame = to_features(RawTable(frame.reindex(columns=schema.features), "rows"), schema)
    return float(roc_auc_score(data.churned[rows], model.predict(frame)))


def auc_of_truth(data: Dataset, truth: pd.DataFrame, rows: np.ndarray) -> float:
    """ROC AUC of the probabilities that the customers had."""
    asked = pd.DataFrame({"customer": data.ids[rows], "cutoff": data.times[rows]})
    probability = asked.merge(truth, how="left")["probability"]
    return float(roc_auc_score(data.churned[rows], probability))


def shift_a_day(folder: Path) -> None:
    """Let everything have happened, and be known, a day earlier: windows see one day of the horizon."""
    usage = pd.read_parquet(folder / "usage.parquet")
    usage.assign(at=usage["at"] - pd.Timedelta(days=1)).to_parquet(folder / "usage.parquet", index=False)
    payments = pd.read_csv(folder / "payments.csv", parse_dates=["paid_at", "booked_at"])
    for name in ("paid_at", "booked_at"):
        payments[name] -= pd.Timedelta(days=1)
    payments.to_csv(folder / "payments.csv", index=False)


if __name__ == "__main__":
    main()
