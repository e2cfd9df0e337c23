"""From a trained network to a bundle: calibrate it, choose its threshold, write and seal the directory."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from churn.backend import tensorflow
from churn.bundle import (
    background,
    calibration,
    conformal,
    decision,
    intervals,
    parametric_bootstrap,
    reasons,
)
from churn.bundle.bundle import CODED, CODED_REASONS, FORMAT, REASONS, Bundle
from churn.bundle.contents import CHECKSUMS, EXTRA, list_checksums
from churn.bundle.graph import ServingGraph, input_names
from churn.bundle.intervals import Interval
from churn.bundle.light import COMPARED, require_parity, write_light
from churn.data.coded import frame_features, to_matrices
from churn.data.declared import declared_facts
from churn.data.experiment import Experiment
from churn.errors import UserError
from churn.files import write_text
from churn.network.trained import Trained
from churn.parallel import LAZY


def fit_interval(experiment: Experiment, trained: Trained, worker: Executor = LAZY) -> Interval:
    """The intervals of the model, calibrated on refits (see `churn.bundle.parametric_bootstrap`)."""
    _, uncertainty = trained.log_odds(experiment.part(trained.held_out_rows).frame)
    return intervals.fit_intervals(uncertainty, parametric_bootstrap.refit(experiment, trained, worker))


def export_bundle(experiment: Experiment, trained: Trained, interval: Interval | None, path: Path) -> Bundle:
    """Write the bundle and load it from disk, so that what is evaluated is what will be served.

    >>> bundle = export_bundle(experiment, trained, interval=None, path=Path("bundle"))
    """
    graph = _serving_graph(experiment, trained, interval)
    cfg = experiment.cfg.export
    write_saved_model(graph, path, cfg.reasons, cfg.light)
    seal(path, _bundle_facts(experiment, graph), profile={})
    bundle = Bundle.load(path)
    if cfg.light:
        rows = frame_features(experiment.train.frame[:COMPARED], bundle.schema)
        require_parity(bundle, *to_matrices(rows, bundle.schema, bundle.vocabulary))
    return bundle


def _serving_graph(experiment: Experiment, trained: Trained, interval: Interval | None) -> ServingGraph:
    """The graph with its temperature, threshold and prediction sets, all fitted on the held-out rows.

    Only a share to call (`decision.top_share`) is counted among the rows of the test part, without labels.
    """
    cfg, level = experiment.cfg, experiment.cfg.export.certainty
    held_out = experiment.part(trained.held_out_rows)
    churned, values = held_out.churned, decision.customer_values(held_out.frame, cfg.decision)
    temperature = calibration.fit_temperature(churned, trained.held_out_probability, cfg.seed)
    probability = calibration.apply_temperature(trained.held_out_probability, temperature)

    def final() -> np.ndarray:
        return calibration.apply_temperature(trained.predict(experiment.test.frame), temperature)

    return ServingGraph(
        experiment.data.schema,
        trained.model,
        temperature,
        threshold=decision.choose_threshold(cfg.decision, churned, probability, values, final),
        background=_reason_background(experiment, trained),
        interval=interval,
        prediction_sets=conformal.fit_prediction_sets(churned, probability, level) if level else None,
    )


def _bundle_facts(experiment: Experiment, graph: ServingGraph) -> dict[str, Any]:
    """The contents of bundle.json before the evaluation."""
    data, cfg = experiment.data, experiment.cfg
    return {
        "name": cfg.data.name,
        "model": cfg.model.name.value,
        "created": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "schema": asdict(data.schema),
        "inputs": describe_inputs(graph),
        "outputs": graph.outputs() | (reasons.reason_outputs(data.schema) if cfg.export.reasons else {}),
        "threshold": graph.threshold,
        "decision": asdict(cfg.decision),
        "horizon": cfg.data.horizon,
        "temperature": graph.temperature,
        "data": {
            "origin": data.origin,
            "fingerprint": data.fingerprint,
            "rows": experiment.splits.sizes(),
            "until": None if data.times is None else str(data.times.max().astype("datetime64[s]")),
        },
        "events": declared_facts(cfg.data).get("events"),  # what makes these columns of event tables, or none
        "versions": library_versions(),
        "git_commit": _git_commit(),
    }


def complete_bundle(bundle: Bundle, results: dict[str, Any], profile: dict[str, Any]) -> None:
    """Add what follows from the evaluation: metrics, fairness, and the profile of the training data."""
    facts = {"metrics": results["test"], "fairness": results.get("fairness")}
    seal(bundle.path, bundle.facts | facts, profile)


def add_files(path: Path, texts: Mapping[str, str]) -> None:
    """Add texts for people to a bundle, by their names in `assets.extra/`, and renew its checksums."""
    for name, text in texts.items():
        write_text(path / EXTRA / name, text)
    write_text(path / CHECKSUMS, list_checksums(path))


def _reason_background(experiment: Experiment, trained: Trained) -> background.Background | None:
    """The train rows that reasons compare with; None for a bundle without reasons."""
    cfg, train = experiment.cfg, experiment.train
    if cfg.export.background < 1:
        return None
    probability, size = trained.predict(train.frame), cfg.export.background
    chosen = background.choose_background(
        train.frame, probability, experiment.data.schema, size, cfg.seed, train.ids
    )
    return chosen.coded(trained.encoder)


def library_versions() -> dict[str, str]:
    """The versions of Python, churn and the libraries."""
    libraries = ("churn", "tensorflow", "keras", "catboost", "scikit-learn", "pandas", "numpy")
    return {"python": platform.python_version(), **{name: version(name) for name in libraries}}


def _git_commit() -> str | None:
    """The commit of the current directory, followed by "+" if files are changed; None outside git."""
    try:
        command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"]
        described = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # a machine without git
        return None
    return described.stdout.strip() or None


def write_saved_model(graph: ServingGraph, path: Path, reasons: bool = False, light: bool = True) -> None:
    """Write SavedModel and light model, which `seal` completes to a bundle.

    reasons: put reasons into every signature of named inputs. Raises `UserError` for reasons without a
    background.

    It saves functions that were traced once, and what they read; not the Keras model, which TensorFlow
    Serving cannot load, and whose export traces each function twice.
    """
    if reasons and not graph.background:
        raise UserError("reasons need customers to compare with", "export.background", "export.background=64")
    tf = tensorflow()
    named, coded = _named_functions(graph, reasons), _coded_functions(graph)
    owner = tf.Module()  # of what the functions read
    owner.weights = [variable.value for variable in graph.model.network.variables]
    owner.table = graph.model.encoder.lookup.lookup_table
    tf.saved_model.save(owner, str(path), signatures=named | coded)
    (path / EXTRA).mkdir()
    write_text(path / EXTRA / "words.json", json.dumps(graph.model.encoder.vocabulary))
    if light:
        write_light(coded, owner.weights, path / EXTRA)


def _named_functions(graph: ServingGraph, reasons: bool) -> dict[str, Any]:
    """The signatures that take named fields, traced."""
    signatures = {"serving_default": graph.with_reasons if reasons else graph}
    if graph.background:
        signatures[REASONS] = graph.with_reasons
    return {name: _traced(function, [graph.signature()]) for name, function in signatures.items()}


def _coded_functions(graph: ServingGraph) -> dict[str, Any]:
    """The signatures that take codes, traced."""
    functions = {CODED: _traced(graph.from_codes, graph.coded_signature())}
    if graph.background:
        functions[CODED_REASONS] = _traced(graph.reasons_from_codes, graph.coded_signature(rows=1))
    return functions


def _traced(function: Any, signature: list[Any]) -> Any:
    """A function as a concrete one, which nothing traces again.

    Autograph would rewrite Python's own `if` and `for`; no value of the graph decides one of them, and
    rewriting took half of the time.
    """
    return tensorflow().function(function, signature, autograph=False).get_concrete_function()


def describe_inputs(graph: ServingGraph) -> list[dict[str, str]]:
    """The inputs as bundle.json lists them: column of the table, tensor of the signature, kind."""
    names = input_names(graph.schema)
    kind = dict.fromkeys(graph.schema.numeric, "number") | dict.fromkeys(graph.schema.categorical, "category")
    return [
        {"column": column, "input": names[column], "kind": kind[column]} for column in graph.schema.features
    ]


def seal(path: Path, facts: dict[str, Any], profile: dict[str, Any]) -> None:
    """Write `assets.extra/`: the facts, the profile and, last, the checksums of all files."""
    extra = path / EXTRA
    extra.mkdir(exist_ok=True)
    write_text(extra / "bundle.json", json.dumps({"format": FORMAT, **facts}, indent=1))
    write_text(extra / "profile.json", json.dumps(profile))
    write_text(path / CHECKSUMS, list_checksums(path))
