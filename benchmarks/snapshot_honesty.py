"""Whether models that learn from snapshots hold what they promise, on customers whose hazard is known.

snapshot_honesty.py [--customers 15000] [--weekly 1500] [--seeds 3] [--model trees] [--epochs 12] [--jobs 2].
The model is the network of `churn train`, or one that takes less time: --model trees its baseline "boosting",
--model average that and logistic regression. The split is that of `churn train`. AUC on rows that took no
part in training. With --only monthly, or weekly, the other numbers in the file of results stay.

- snapshot_best_possible: of the true probabilities, on the latest cut-offs;
- snapshot_auc_beyond_best: of the model less that of the true probabilities, there;
- snapshot_promise_leak: AUC on a test part whose windows reach one day too far, less what the same model has
  on the honest rows of the same customers and cut-offs;
- snapshot_promise_random: AUC on a test part dealt out at random over rows of weekly cut-offs, less what the
  same model has on later cut-offs (on --weekly customers);
- snapshot_promise_time: the same with the split by time, as `churn train` does it.
"""

import tempfile
from argparse import Namespace
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from compare import arguments, finish
from scipy.special import expit, logit
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
from churn.events.report import make_snapshot
from churn.events.synthetic.tables import write_tables
from churn.events.workspace import open_workspace

Fit = Callable[[Experiment], Predictor]
LATER = "2024-08-05"  # first cut-off of what a model with a random split is tried on


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--customers", type=int, default=15_000, help="with monthly cut-offs")
    parser.add_argument("--weekly", type=int, default=1_500, help="customers with weekly cut-offs")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=12, help="of the network")
    parser.add_argument("--model", choices=FITTED, default="network")
    parser.add_argument("--only", choices=WORLDS, help="one kind of cut-offs")
    parser.add_argument("--jobs", type=int, default=1, help="worlds at a time")
    options = parser.parse_args()
    kinds = [options.only] if options.only else [*WORLDS]
    asked = [(kind, seed) for kind in kinds for seed in range(options.seeds)]
    found: dict[str, list[float]] = {}
    with ProcessPoolExecutor(options.jobs) as pool:
        for numbers in pool.map(of_world, *zip(*asked, strict=True), repeat(options)):
            for name, value in numbers.items():
                found.setdefault(name, []).append(value)
    entries = [entry(name, values) | {"model": options.model} for name, values in found.items()]
    finish(entries, options.json, merge=options.only is not None)


def of_world(kind: str, seed: int, options: Namespace) -> dict[str, float]:
    """The numbers of a synthetic world, which are printed as they come."""
    customers, numbers = WORLDS[kind]
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        cfg = synthetic_world(Path(folder), seed, getattr(options, customers), options.epochs)
        for name, value in numbers(cfg, FITTED[options.model]):
            print(f"seed {seed}: {name:28} {value:+.4f}", flush=True)
            found[name] = value
    return found


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


def best_and_leak(cfg: Config, fit: Fit) -> Iterator[tuple[str, float]]:
    """How far a model is from the best possible, and what a leak promises; cut-offs are months."""
    truth = pd.read_parquet(Path(str(cfg.events.folder)) / "truth.parquet")
    honest = learnt(cfg, snapshots(cfg, "honest"), fit)
    data, test = honest.data, honest.experiment.splits.test
    best = auc_of_truth(data, truth.astype({"cutoff": "datetime64[s]"}), test)
    yield "snapshot_best_possible", best
    yield "snapshot_auc_beyond_best", auc(data, honest, test) - best
    yield "snapshot_promise_leak", promise_of_leak(cfg, data, fit)


def promises_of_splits(cfg: Config, fit: Fit) -> Iterator[tuple[str, float]]:
    """How much more the test parts of both splits promise than later cut-offs hold; cut-offs are weeks."""
    weekly = replace(cfg, events=replace(cfg.events, cutoffs=replace(cfg.events.cutoffs, step=Step.week)))
    before = snapshots(weekly, "before", last="2024-07-01")
    after, _ = load(weekly, snapshots(weekly, "after", first=LATER))
    for name, method in {"random": SplitMethod.article, "time": SplitMethod.time}.items():
        model = learnt(replace(weekly, split=replace(cfg.split, method=method)), before, fit)
        promised = auc(model.data, model, model.experiment.splits.test)
        yield f"snapshot_promise_{name}", promised - auc(after, model, np.arange(len(after)))


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
    with open_workspace(replace(cfg.events, cutoffs=cutoffs)) as work:
        make_snapshot(work, file, cfg.seed)
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


def fitted_baselines(experiment: Experiment) -> dict[str, Predictor]:
    """The models that `churn train` compares its network with."""
    splits, schema, seed = experiment.splits, experiment.data.schema, experiment.cfg.seed
    train = experiment.part(np.union1d(splits.train, splits.calibration))
    return fit_baselines(train, experiment.validation, schema, seed)


def fitted_trees(experiment: Experiment) -> Predictor:
    """Boosted trees."""
    return fitted_baselines(experiment)["boosting"]


def fitted_average(experiment: Experiment) -> Predictor:
    """Boosted trees and logistic regression: the average of their log-odds."""
    fitted = fitted_baselines(experiment)
    both = fitted["boosting"], fitted["logistic_regression"]
    return lambda frame: expit(np.mean([logit(predict(frame)) for predict in both], axis=0))


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


WORLDS = {"monthly": ("customers", best_and_leak), "weekly": ("weekly", promises_of_splits)}
FITTED: dict[str, Fit] = {"network": fitted_network, "trees": fitted_trees, "average": fitted_average}

if __name__ == "__main__":
    main()
