"""Fixtures of several test modules: a small data set, a bundle and one trained run."""

import os
import shutil
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings
from scipy.special import expit

from churn.bundle import database, export
from churn.bundle.bundle import Bundle
from churn.config.root import compose_config
from churn.data.dataset import Dataset, Schema
from churn.files import atomic_write

ROOT = Path(__file__).parents[1]
os.environ["CHURN_ID_KEY"] = "key of the tests, not of this user"  # which hashes the customers' ids
settings.register_profile("repeatable", derandomize=True)  # the same examples wherever the tests run
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def customers() -> Dataset:
    """800 customers with the difficulties of real tables: gaps, rare levels, names with blanks."""
    rng = np.random.default_rng(0)
    n = 800
    tenure, charge = rng.exponential(30, n), rng.normal(70, 30, n).round(2)
    contract = rng.choice(["monthly", "one year", "two years"], n, p=[0.6, 0.25, 0.15])
    payment = rng.choice(["cheque", "card", "", "barter"], n, p=[0.5, 0.44, 0.05, 0.01])
    churned = rng.random(n) < expit(1.5 * (contract == "monthly") - 0.05 * tenure + 0.01 * charge - 1)
    frame = pd.DataFrame(
        {"tenure": tenure, "Monthly  charge": charge, "contract": contract, "payment": payment}
    )
    frame.loc[::9, "Monthly  charge"] = np.nan
    schema = Schema("left", ("yes",), ("tenure", "Monthly  charge"), ("contract", "payment"), id="customer")
    return Dataset("customers", schema, frame, churned.astype(np.int8), fingerprint="fixed")


@pytest.fixture(scope="session")
def graph(customers, tmp_path_factory):
    """A serving graph of `customers` with everything that a graph can have, trained for two epochs."""
    from churn.bundle import intervals
    from churn.bundle.background import choose_background
    from churn.bundle.conformal import PredictionSets
    from churn.bundle.graph import ServingGraph
    from churn.data.experiment import Experiment
    from churn.data.split import split_dataset
    from churn.network.fit import fit_network
    from churn.network.log_odds import logit

    cfg = compose_config("train.epochs=2")
    splits = split_dataset(customers, cfg.split, 0, cfg.seed)
    trained = fit_network(Experiment(customers, splits, cfg), tmp_path_factory.mktemp("train") / "checkpoint")
    probability = trained.predict(customers.frame)
    background = choose_background(customers.frame, probability, customers.schema, size=16, seed=0)
    _, uncertainty = trained.log_odds(customers.frame)
    refit = intervals.Refit(logit(np.random.default_rng(0).beta(1, 3, len(customers))), logit(probability))
    return ServingGraph(
        customers.schema,
        trained.model,
        1.3,
        0.3,
        background.coded(trained.encoder),
        intervals.fit_intervals(uncertainty, [refit]),
        PredictionSets(0.9, 0.2, 0.35),
    )


@pytest.fixture(scope="session")
def exported_bundle(graph, tmp_path_factory) -> Path:
    """The bundle of `graph`; copy it before changing it."""

    path = tmp_path_factory.mktemp("bundle") / "bundle"
    export.write_saved_model(graph, path)
    facts = {"name": "customers", "schema": vars(graph.schema), "inputs": export.describe_inputs(graph)}
    export.seal(path, facts, {"rows": 3})
    return path


@pytest.fixture(autouse=True, scope="session")
def graphs_loaded_once() -> Iterator[None]:
    """A graph is loaded once for all tests that use the same bundle: loading takes up to a second."""
    load, graphs = Bundle.saved_model.func, OrderedDict()

    def load_once(bundle: Bundle) -> object:
        if bundle.digest not in graphs:
            graphs[bundle.digest] = load(bundle)
        graphs.move_to_end(bundle.digest)
        if len(graphs) > 8:
            graphs.popitem(last=False)
        return graphs[bundle.digest]

    with pytest.MonkeyPatch.context() as patch:
        cached = cached_property(load_once)
        cached.__set_name__(Bundle, "saved_model")
        patch.setattr(Bundle, "saved_model", cached)
        yield


@pytest.fixture(autouse=True, scope="session")
def databases_made_once(tmp_path_factory) -> Iterator[None]:
    """MLflow's empty database is made once, and copied: its migrations take more than a second."""
    make, made = database._make_database, tmp_path_factory.mktemp("database") / "mlflow.db"

    def copy(file: Path) -> None:
        if not made.exists():
            make(made)
        with atomic_write(file) as aside:
            shutil.copyfile(made, aside)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "_make_database", copy)
        yield


LONGEST = ("test_readme.py", "test_pipeline.py", "test_distributed.py", "test_faults.py", "test_guides.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files of the longest tests come first: at the end one worker would wait for the other."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


SMALL = (
    "data.synthetic.rows=1200",
    "train.epochs=3",
    "model.members=3",
    "model.folds=3",
    "model.trees=60",
    "export.refits=2",
    "evaluate.bootstrap=50",
    "evaluate.importance_repeats=1",
)
SMALLEST = (  # a run whose numbers no test reads
    "data.synthetic.rows=1200",
    "model=tutorial",
    "train.epochs=1",
    "export.background=0",
    "export.refits=0",
    "evaluate.bootstrap=20",
    "evaluate.importance_repeats=1",
)


@pytest.fixture(scope="session")
def run_directory(tmp_path_factory):
    """A finished run of `churn train` by the command line."""
    root = tmp_path_factory.mktemp("runs")
    churn("train", *SMALL, f"run.root={root}", f"run.dir={root}/run")
    return root / "run"


def churn(*arguments: str, code: int = 0, cwd: Path | None = None) -> subprocess.CompletedProcess:
    """Run `churn *arguments` in a process; it must end with the exit code `code`."""
    command = [sys.executable, "-m", "churn", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def copy_of_the_project(folder: Path) -> Path:
    """A copy of the project's files, with a link to the virtual environment."""
    copy = folder / "churn"
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in names.splitlines():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy / name)  # keeps the time: `make` must find the environment up to date
    (copy / ".venv").symlink_to(ROOT / ".venv")
    return copy


def run_block(block: str, project: Path) -> None:
    """Run shell lines of a document in a copy of the project, with the code of the copy."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "ARGS"))}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=project,
        env=inherited | {"PYTHONPATH": str(project / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
