"""Whether models that learn from snapshots hold what they promise, on customers whose hazard is known.

snapshot_honesty.py [--customers 15000] [--seeds 3] [--model trees] [--epochs 12]. The model is the network of
`churn train`, or with --model trees the baseline "boosting" beside it, which is quicker; the split is that of
`churn train`. AUC on rows that took no part in training.

- snapshot_auc_beyond_best: of the model less that of the true probabilities, on the latest cut-offs;
- snapshot_promise_leak: AUC on a test part whose windows reach one day too far, less what the same model has
  on the honest rows of the same customers and cut-offs;
- snapshot_promise_random: AUC on a test part dealt out at random over rows of weekly cut-offs, less what the
  same model has on later cut-offs;
- snapshot_promise_time: the same with the split by time, as `churn train` does it.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from compare import arguments, finish
from sklearn.metrics import roc_auc_score

from churn.config.data import SplitMethod
from churn.config.events import Step
from churn.config.root import Config, compose_config
from churn.data.dataset import Dataset
from churn.data.declared import with_declared_roles
from churn.data.experiment import Experiment
from churn.data.load import load_dataset
from churn.data.table import RawTable
from churn.data.validate import to_features
from churn.evaluate.baselines import Predictor, fit_baselines
from churn.events import stage
from churn.events.synthetic.tables import write_tables

Fit = Callable[[Experiment], Predictor]
LATER = "2024-08-05"  # first cut-off of what a model with a random split is tried on


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--customers", type=int, default=15_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=12, help="of the network")
    parser.add_argument("--model", choices=FITTED, default="network")
    options = parser.parse_args()
    found: dict[str, list[float]] = {}
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory() as folder:
            world = synthetic_world(Path(folder), seed, options.customers, options.epochs)
            for name, value in of_world(world, FITTED[options.model]).items():
                print(f"seed {seed}: {name:28} {value:+.4f}", flush=True)
                found.setdefault(name, []).append(value)
    finish([entry(name, values) | {"model": options.model} for name, values in found.items()], options.json)


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


def synthetic_world(folder: Path, seed: int, customers: int, epochs: int) -> Config:
    """The configuration of a synthetic world whose tables are written."""
    cfg = compose_config(
        "events=synthetic",
        f"run.root={folder}",
        f"seed={seed}",
        f"events.synthetic.customers={customers}",
        f"train.epochs={epochs}",
    )
    write_tables(cfg.events.synthetic, Path(str(cfg.events.folder)), seed)
    return cfg


def of_world(cfg: Config, fit: Fit) -> dict[str, float]:
    """All numbers in one synthetic world."""
    truth = pd.read_parquet(Path(str(cfg.events.folder)) / "truth.parquet")
    honest = learnt(cfg, snapshots(cfg, "honest"), fit)
    data, test = honest.data, honest.experiment.splits.test
    best = auc_of_truth(data, truth.astype({"cutoff": "datetime64[s]"}), test)
    numbers = {"snapshot_auc_beyond_best": auc(data, honest, test) - best}
    numbers |= promises_of_splits(cfg, fit)
    return numbers | {"snapshot_promise_leak": promise_of_leak(cfg, data, fit)}


def promises_of_splits(cfg: Config, fit: Fit) -> dict[str, float]:
    """How much more the test parts of both splits promise than later cut-offs hold."""
    weekly = replace(cfg, events=replace(cfg.events, cutoffs=replace(cfg.events.cutoffs, step=Step.week)))
    before = snapshots(weekly, "before", last="2024-07-01")
    after, _ = load(weekly, snapshots(weekly, "after", first=LATER))
    promises = {}
    for name, method in {"random": SplitMethod.article, "time": SplitMethod.time}.items():
        model = learnt(replace(weekly, split=replace(cfg.split, method=method)), before, fit)
        promised = auc(model.data, model, model.experiment.splits.test)
        promises[f"snapshot_promise_{name}"] = promised - auc(after, model, np.arange(len(after)))
    return promises


def promise_of_leak(cfg: Config, data: Dataset, fit: Fit) -> float:
    """How much more a table promises that looks a day into the future than its model holds on honest rows."""
    shift_a_day(Path(str(cfg.events.folder)))
    model = learnt(cfg, snapshots(cfg, "leaky"), fit)
    test, leaky = model.experiment.splits.test, model.data
    asked = [*zip(leaky.ids[test], leaky.times[test], strict=True)]
    same = pd.MultiIndex.from_arrays([data.ids, data.times]).get_indexer(asked)
    return auc(leaky, model, test) - auc(data, model, same)


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


@dataclass(frozen=True)
class Model:
    """What learnt from a snapshot."""

    data: Dataset
    experiment: Experiment
    predict: Predictor


def learnt(cfg: Config, file: Path, fit: Fit) -> Model:
    """A model that learnt from a snapshot."""
    data, cfg = load(cfg, file)
    experiment = Experiment.split(data, cfg)
    return Model(data, experiment, fit(experiment))


def fitted_network(experiment: Experiment) -> Predictor:
    """The network."""
    from churn.network.fit import fit_network

    return fit_network(experiment, quiet=True).predict


def fitted_trees(experiment: Experiment) -> Predictor:
    """The boosted trees that `churn train` compares its network with."""
    schema, seed = experiment.data.schema, experiment.cfg.seed
    return fit_baselines(experiment.train, experiment.validation, schema, seed)["boosting"]


def auc(data: Dataset, model: Model, rows: np.ndarray) -> float:
    """ROC AUC on some rows, in the columns that the model knows."""
    schema = model.data.schema
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


FITTED: dict[str, Fit] = {"network": fitted_network, "trees": fitted_trees}

if __name__ == "__main__":
    main()
