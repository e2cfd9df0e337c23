"""`churn train`: the whole story from a source to a registered bundle, in order."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from churn.backend import leave_one_core, profiler
from churn.bundle.bundle import Bundle
from churn.bundle.database import import_mlflow
from churn.bundle.decision import check_decision
from churn.bundle.export import complete_bundle, export_bundle, fit_interval
from churn.bundle.fairness_limits import broken_limit
from churn.bundle.intervals import Interval
from churn.bundle.parametric_bootstrap import can_refit
from churn.bundle.registry import check_name, register_and_describe
from churn.config.root import Config
from churn.config.training import ModelName
from churn.data.dataset import Dataset
from churn.data.declared import with_declared_roles
from churn.data.experiment import Experiment
from churn.data.forgotten import Forgotten, without_forgotten
from churn.data.influence import check_influence
from churn.data.load import build_dataset, dataset_name, load_dataset
from churn.data.stream.rows import Stream, open_stream
from churn.data.table import RawTable
from churn.errors import UserError
from churn.evaluate.baselines import predict_baselines
from churn.evaluate.report.charts import draw_charts
from churn.evaluate.report.console import describe_data, summarize_run
from churn.evaluate.report.content import gather_content
from churn.evaluate.report.page import write_report
from churn.evaluate.report.run_files import write_run_files
from churn.evaluate.results import Results, evaluate_bundle
from churn.monitor.drift.profile import profile_of_experiment
from churn.network import distributed
from churn.network.adversarial import check_adversarial
from churn.network.boosting import FittedTrees
from churn.network.catboost_trees import THREADS_FROM
from churn.network.fit import fit_experiment_trees, fit_network
from churn.network.fit_stream import fit_stream
from churn.network.trained import Trained
from churn.parallel import LAZY
from churn.refusals import refusal_of
from churn.runs import CHECKPOINTS, new_run, reserve_run, unfinished_run


def run(cfg: Config, worker: Executor = LAZY) -> float:
    """Run all steps of `churn train`; gives the log loss of the held-out rows, which a sweep minimises.

    `worker` grows trees, fits baselines and draws figures in parallel with the rest.

    >>> run(compose_config("data=synthetic", "run.dir=runs/mine"))
    """
    cfg.data = with_declared_roles(cfg.data)
    cfg.data.name = dataset_name(cfg.data)
    check_name(cfg.data.name)
    if not distributed.is_chief():
        return _train_as_replica(cfg)
    with reserve_run(cfg) as run_dir:
        return run_into(run_dir, cfg, worker)


def run_into(run_dir: Path, cfg: Config, worker: Executor = LAZY) -> float:
    """The same as `run`, into a directory that `churn.runs.reserve_run` gave."""
    step = _StepTimer()
    experiment, stream = _load(cfg, step)  # source -> Dataset -> Splits
    trained, results = _work(experiment, stream, run_dir, worker, step)
    registered = _register(experiment, run_dir, worker, step)
    if unfair := broken_limit(Bundle.load(run_dir / "bundle").facts, cfg.retrain.gate):
        print(f"! It cannot become the champion: {unfair}")
    print(summarize_run(results.evaluation, run_dir, registered))
    return trained.held_out_log_loss(experiment.data)


def run_frame(raw: RawTable, cfg: Config, run_dir: Path) -> None:
    """The same steps for a table that is in memory already, without registering the run."""
    experiment = Experiment.split(build_dataset(raw, cfg.data), cfg)
    _check_settings(experiment, in_memory=True)
    print(describe_data(experiment))
    _, results = _work(experiment, None, run_dir, LAZY, _StepTimer())
    print(summarize_run(results.evaluation, run_dir))


def _work(
    experiment: Experiment, stream: Stream | None, run_dir: Path, worker: Executor, step: _StepTimer
) -> tuple[Trained, Results]:
    """Train, export, evaluate and report into the directory of the run."""
    with (
        new_run(experiment.cfg, run_dir, experiment.data.fingerprint) as directory,
        _shared_cores(experiment, worker) as worker,
    ):
        trees = worker.submit(fit_experiment_trees, experiment)
        trained = _train(experiment, stream, trees, directory, step)  # -> trained network
        interval = _calibrate(experiment, trained, worker, step)
        baselines = worker.submit(predict_baselines, experiment)  # after the trees of the intervals
        worker.submit(import_mlflow)  # takes a second; an error comes up again in `register_run`
        with step("export", "Writing the bundle"):
            bundle = export_bundle(experiment, trained, interval, directory / "bundle")
        results = _evaluate(experiment, trained, bundle, baselines, step)  # -> Evaluation
        with step("report", "Drawing the report"):
            test, unit = experiment.test, "chunk of rows" if experiment.is_sample else "epoch"
            parts = test.churned, results.predictions, trained.history, test.ids, unit
            charts = worker.submit(draw_charts, *parts)
            content = gather_content(experiment, trained, bundle, results, step.seconds)
            write_report(directory / "report.html", content, charts.result(), worker)
        write_run_files(experiment, bundle, results, content, directory)
    return trained, results


class _StepTimer:
    """Prints which step runs, and keeps the seconds of each."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str, message: str) -> Iterator[None]:
        """Print `message`, run the block, and keep its seconds under `name`."""
        print(f"{message} ...", flush=True)
        began = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - began, 3)


def _load(cfg: Config, step: _StepTimer) -> tuple[Experiment, Stream | None]:
    """The data set, split; and the stream of all its rows, if the table is larger than memory."""
    if distributed.machine_count() > 1:
        distributed.strategy()  # must be the first call to TensorFlow
    with step("load", "Loading the data"):
        stream = open_stream(cfg)
        data = stream.sample if stream else _dataset(cfg)
    if stream:
        experiment = Experiment(data, stream.split.splits_of(data), cfg, is_sample=True)
    else:
        experiment = Experiment.split(data, cfg)
    _check_settings(experiment, in_memory=stream is None)
    print(describe_data(experiment))
    return experiment, stream


def _check_settings(experiment: Experiment, in_memory: bool) -> None:
    """Raise `UserError` for settings that do not fit the table."""
    data, cfg = experiment.data, experiment.cfg
    check_decision(cfg.decision, data.frame)
    check_influence(cfg.data.influence, data.schema, data.frame)
    check_adversarial(cfg, in_memory)


def _dataset(cfg: Config) -> Dataset:
    """The data set in memory, without the customers whom `churn forget` put on the list."""
    return without_forgotten(load_dataset(cfg.data, cfg.seed), Forgotten.of(cfg))


@contextmanager
def _shared_cores(experiment: Experiment, worker: Executor) -> Iterator[Executor]:
    """The executor for work in parallel with the training.

    A small table leaves one core to `worker` and uses one thread per step. A large table does not use
    `worker`: there every step uses all cores, and copying the rows to another process would cost more.
    """
    small = not experiment.is_sample and len(experiment.data) < THREADS_FROM
    if small and worker is not LAZY:
        leave_one_core()
    with threadpool_limits(1 if small else None):
        yield worker if small else LAZY


def _train(
    experiment: Experiment,
    stream: Stream | None,
    trees: Future[list[FittedTrees]],
    directory: Path,
    step: _StepTimer,
) -> Trained:
    """The trained network; continues from the checkpoint of a killed run."""
    cfg = experiment.cfg
    profile = directory / "profile" if cfg.train.profile else None
    with step("train", f"Training {cfg.model.name.value}"), profiler(profile):
        return _fit(experiment, stream, _checkpoint(directory), trees)


def _checkpoint(directory: Path) -> Path:
    return directory / CHECKPOINTS / "model.npz"


def _fit(
    experiment: Experiment,
    stream: Stream | None,
    checkpoint: Path,
    trees: Future[list[FittedTrees]] | None = None,
) -> Trained:
    """The network, trained on all machines and GPUs together, as a copy for this machine."""
    cfg = experiment.cfg
    if distributed.machine_count() > 1 and cfg.model.name == ModelName.tutorial:
        raise UserError("the tutorial's network is trained on one machine", "TF_CONFIG", "model=dense")
    with distributed.distribution_scope():
        if stream:
            trained = fit_stream(stream, cfg, checkpoint)
        else:
            trained = fit_network(experiment, checkpoint, trees=trees)
    return replace(trained, network=distributed.local_copy(trained.network))


def _train_as_replica(cfg: Config) -> float:
    """Train as one of several machines; the chief does everything else. Gives the last training loss."""
    experiment, stream = _load(cfg, _StepTimer())
    run_dir = Path(cfg.run.dir or Path(cfg.run.root) / "run")  # its parent is where the chief writes
    unfinished = unfinished_run(experiment.cfg, run_dir, experiment.data.fingerprint)
    return _fit(experiment, stream, _checkpoint(unfinished)).history["loss"][-1]


def _calibrate(
    experiment: Experiment, trained: Trained, worker: Executor, step: _StepTimer
) -> Interval | None:
    """The intervals, if they can be calibrated."""
    if not can_refit(experiment, trained):
        return None
    with step("intervals", "Calibrating the intervals"):
        return fit_interval(experiment, trained, worker)


def _evaluate(
    experiment: Experiment,
    trained: Trained,
    bundle: Bundle,
    baselines: Future[dict[str, np.ndarray]],
    step: _StepTimer,
) -> Results:
    """The results on the test part; the metrics and the training profile go into the bundle."""
    rows = "sample" if experiment.is_sample else "same rows"
    with step("baselines", f"Fitting the baselines on the {rows}"):
        predictions = baselines.result()
    with step("evaluate", "Measuring on the test part"):
        results = evaluate_bundle(experiment, trained, bundle, predictions)
    profile = profile_of_experiment(experiment, bundle, results.probability)
    complete_bundle(bundle, results.to_json(), profile)
    return results


def _register(experiment: Experiment, run_dir: Path, worker: Executor, step: _StepTimer) -> str:
    """Register the finished run; gives its version in words. Where that fails, the run is whole."""
    with step("register", "Registering the run"):
        try:
            return worker.submit(register_and_describe, run_dir, experiment.cfg.run.root).result()
        except KeyboardInterrupt:
            print(f"The run {run_dir} is whole, but not registered. The next command does that.")
            raise
        except Exception as error:
            refused = error if isinstance(error, UserError) else refusal_of(error)
            if refused is None:
                raise
            do = f"{refused.do}; the run {run_dir} is whole: the next command registers it"
            raise UserError(refused.what, refused.where, do) from None
