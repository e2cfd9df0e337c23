"""From a trained network to a bundle: calibrated, with intervals, a threshold and what it is known by."""

from __future__ import annotations

import platform
import subprocess
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np

from churn import bundle, calibrate, certainty, decision, intervals, reasons, worlds
from churn.bundle import Bundle
from churn.config import Config
from churn.evaluate import Evaluation
from churn.graph import ServingGraph
from churn.intervals import Interval
from churn.profile import profile
from churn.schema import Dataset
from churn.split import Splits
from churn.train import Trained, tensors


def interval_of(trained: Trained, data: Dataset, cfg: Config) -> Interval:
    """Intervals for the network, calibrated on simulated worlds of the rows that it was fitted on."""
    inputs = trained.encoder(*tensors(data.frame.iloc[trained.held_out_rows], data.schema)).numpy()
    simulated = worlds.simulate(trained, data, cfg)
    return intervals.fit(inputs, trained.pool(trained.held_out_members), simulated)


def export(
    trained: Trained, interval: Interval | None, data: Dataset, parts: Splits, cfg: Config, path: Path
) -> Bundle:
    """The calibrated network as a bundle, loaded back from disk: what is evaluated is what will be served."""
    unseen, churned = data.frame.iloc[trained.held_out_rows], data.churned[trained.held_out_rows]
    temperature = calibrate.temperature(churned, trained.held_out_probability, cfg.seed)
    probability = calibrate.tempered(trained.held_out_probability, temperature)
    threshold = decision.threshold(cfg.decision, churned, probability, decision.values(unseen, cfg.decision))
    level = cfg.export.certainty
    graph = ServingGraph(
        data.schema,
        trained.encoder,
        trained.network,
        trained.pool,
        temperature,
        threshold,
        background_of(trained, data, parts, cfg),
        interval,
        certainty.fit(churned, probability, level) if level else None,
    )
    facts = {
        "name": cfg.data.name,
        "model": cfg.model.name.value,
        "created": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "schema": asdict(data.schema),
        "inputs": bundle.describe(graph),
        "outputs": graph.outputs() | (reasons.outputs(data.schema) if cfg.export.reasons else {}),
        "threshold": threshold,
        "decision": asdict(cfg.decision),
        "temperature": temperature,
        "data": {
            "origin": data.origin,
            "fingerprint": data.fingerprint,
            "rows": parts.sizes(),
            "until": None if data.times is None else str(data.times.max().astype("datetime64[s]")),
        },
        "versions": versions(),
        "git_commit": git_commit(),
    }
    bundle.export(graph, path, cfg.export.reasons)
    bundle.seal(path, facts, profile={})
    return Bundle.load(path)


def background_of(trained: Trained, data: Dataset, parts: Splits, cfg: Config) -> reasons.Background | None:
    """The train rows that reasons compare with, None where the bundle shall give no reasons."""
    if cfg.export.background < 1:
        return None
    rows = data.frame.iloc[parts.train]
    chosen = reasons.background(rows, trained.predict(rows), data.schema, cfg.export.background, cfg.seed)
    return chosen.coded(trained.encoder)


def complete(
    served: Bundle,
    probability: np.ndarray,
    data: Dataset,
    parts: Splits,
    evaluation: Evaluation,
    cfg: Config,
) -> None:
    """Put into the bundle what is known only after evaluation: its metrics and the training profile.

    The distribution of the [n] probabilities is the test part's. Held-out rows are judged by single members,
    whose answers spread more than the ensemble's: beside them every large window would seem to have drifted.
    """
    facts = served.facts | {"metrics": evaluation.to_json()["test"]}
    value = float(decision.values(data.frame, cfg.decision).mean())
    earned = partial(decision.earned, value=value, threshold=facts["threshold"], cfg=cfg.decision)
    train, unseen = data.frame.iloc[parts.train], data.frame.iloc[parts.test]
    seen = profile(train, data.schema, unseen, probability, earned, cfg.seed)
    bundle.seal(served.path, facts, seen)


def versions() -> dict[str, str]:
    """What computed the run."""
    libraries = ("churn", "tensorflow", "keras", "scikit-learn", "pandas", "numpy")
    return {"python": platform.python_version(), **{name: version(name) for name in libraries}}


def git_commit() -> str | None:
    """The commit of the current directory, "+" after it if files were changed; none outside git."""
    try:
        command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # a machine without git
        return None
    return done.stdout.strip() or None
