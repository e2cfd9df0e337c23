"""The models that the page can use: registered versions, runs, their reports, and rows to try them with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from omegaconf import OmegaConf

from churn.bundle.bundle import Bundle
from churn.bundle.choice import NoBundleError, describe_model, find_bundle, unclear_choice
from churn.bundle.contents import EXTRA, read_facts
from churn.bundle.database import database_file, mlflow_client, on_server
from churn.bundle.money import format_amount
from churn.bundle.registry import CHAMPION, PREVIOUS
from churn.config.root import Config
from churn.data.experiment import Experiment
from churn.data.forgotten import Forgotten, forgotten_file, without_forgotten
from churn.data.load import load_dataset
from churn.data.stream.rows import open_stream
from churn.errors import UserError
from churn.lines import read_lines
from churn.monitor.history import monitor_dir, read_history
from churn.scratch import SCRATCH

EXAMPLE_ROWS = 2_000  # test rows that are taken as an example, at most


@dataclass(frozen=True)
class Version:
    """A registered version of a model."""

    name: str
    number: str
    alias: str  # champion, previous, or ""
    auc: float | None


def list_models(cfg: Config) -> dict[str, str]:
    """The bundles to choose from, by path: what they are, the one that a command would take first.

    What keeps a command from taking one has the path "" and comes first: nobody gets another model by chance.
    """
    found = {}
    try:
        first = find_bundle(cfg)
        if unclear_choice(first, cfg):  # of several data sets: the person says which is meant
            found[""] = "choose a model: there are several data sets"
        found[str(first.path)] = f"{describe_model(first.facts)}, in use"
    except NoBundleError:
        pass
    except (UserError, OSError) as error:  # a damaged registry or bundle
        found = {"": str(error)}
    for bundle in _bundles_of_runs(cfg.run.root):
        if facts := _facts_of(bundle):
            found.setdefault(str(bundle), f"{describe_model(facts)}, {bundle.parent.name}")
    return found


def _facts_of(bundle: Path) -> dict[str, Any]:
    """bundle.json; empty if the bundle is damaged or not finished."""
    with suppress(UserError, OSError):
        return read_facts(bundle / EXTRA / "bundle.json")
    return {}


def _bundles_of_runs(root: str) -> list[Path]:
    paths = [path for path in Path(root).glob("*/bundle") if not path.parent.is_symlink()]
    return sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)


def _run_of(bundle: Bundle, root: str) -> Path | None:
    """The directory of the run that made a bundle; None if it is gone."""
    for path in [bundle.path, *_bundles_of_runs(root)]:
        made_it = (path.parent / "metrics.json").exists()
        if made_it and _facts_of(path) == bundle.facts:
            return path.parent
    return None


def _list_versions(cfg: Config, name: str) -> list[Version]:
    """The registered versions of a data set's model, newest first."""
    if not on_server() and not database_file(cfg.run.root).exists():
        return []
    client = mlflow_client(cfg.run.root)
    models = [model for model in client.search_registered_models(f"name = '{name}'") if model.name == name]
    named = models[0].aliases if models else {}
    aliases = {str(named[alias]): alias for alias in (PREVIOUS, CHAMPION) if alias in named}
    versions = sorted(client.search_model_versions(f"name = '{name}'"), key=lambda one: -int(one.version))
    return [
        Version(name, str(one.version), aliases.get(str(one.version), ""), _auc(client, one))
        for one in versions
    ]


def _auc(client: Any, version: Any) -> float | None:
    return client.get_run(version.run_id).data.metrics.get("test.roc_auc") if version.run_id else None


@dataclass(frozen=True)
class Training:
    """The rows that a model was made with."""

    test: pd.DataFrame  # as a table to score: features, and the id if there is one
    frame: pd.DataFrame  # features of all rows
    churned: np.ndarray  # [n] 1 = left
    ids: np.ndarray | None  # [n] the customer of each row


def training_of(bundle: Bundle, root: str) -> Training:
    """The rows of a bundle's run, read again from their source, without customers forgotten since.

    Raises `UserError` if the rows are gone, or are others now: then it is unknown which were test rows.
    """
    run = _run_of(bundle, root)
    if run is None:
        raise UserError("the run that made this model is gone", do="train it again, or drop a file")
    cfg = _config_of(run, root)
    if SCRATCH in str(cfg.data.path):  # of a retraining: its rows are removed when it ends
        what = "the rows that a retrained model learnt from are not kept"
        raise UserError(what, do="drop a file, or choose the model before")
    forgotten = Forgotten.of(cfg)
    if stream := open_stream(cfg):  # each row's own hash says its part, whatever else the table has now
        return _training(Experiment(stream.sample, stream.split.splits_of(stream.sample), cfg), forgotten)
    then = _forgotten_before(bundle.facts["created"], forgotten, cfg)
    data = without_forgotten(load_dataset(cfg.data, cfg.seed), then)
    if data.fingerprint != bundle.facts["data"]["fingerprint"]:
        raise UserError("the table has changed since the training", do="drop a file, or train again")
    return _training(Experiment.split(data, cfg), forgotten)


def _config_of(run: Path, root: str) -> Config:
    """The configuration of a run, below the `root` that the page has."""
    merged = OmegaConf.merge(OmegaConf.structured(Config), OmegaConf.load(run / "config.yaml"))
    cfg = cast("Config", OmegaConf.to_object(merged))
    return replace(cfg, run=replace(cfg.run, root=root))


def _forgotten_before(created: str, forgotten: Forgotten, cfg: Config) -> Forgotten:
    """Those of the list whom a training left out that ended at `created`."""
    if not forgotten.hashes:
        return forgotten
    lines = map(json.loads, read_lines(forgotten_file(cfg)))
    return replace(forgotten, hashes=frozenset(one["customer"] for one in lines if one["at"] <= created))


def _training(experiment: Experiment, forgotten: Forgotten) -> Training:
    data, rows = experiment.data, experiment.splits.test
    kept = np.ones(len(data), bool) if data.ids is None else ~forgotten.rows_of(data.ids)
    rows = rows[kept[rows]]
    test = data.frame.iloc[rows]
    if data.schema.id and data.ids is not None:
        test = pd.concat([pd.Series(data.ids[rows], test.index, name=data.schema.id), test], axis=1)
    example = test[:EXAMPLE_ROWS].reset_index(drop=True)
    return Training(example, data.frame[kept], data.churned[kept], data.ids_of(kept))


def _metrics_of(bundle: Bundle, root: str) -> Mapping[str, Any]:
    """metrics.json of the run that made a bundle; empty if it is gone."""
    run = _run_of(bundle, root)
    return json.loads((run / "metrics.json").read_text()) if run else {}


def _statements(facts: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Number, text and detail of the main results on the test part."""
    found = []
    own = facts.get("metrics", {})
    if "captured_at_10" in own:
        reached, lift = own["captured_at_10"], own["lift_at_10"]["value"]
        text = "of those who left are reached by calling the 10 % of the customers who are most at risk"
        found.append((f"{100 * reached['value']:.0f} %", text, f"{lift:.1f} times as many as at random"))
    if "roc_auc" in own:
        text = "ROC AUC: the share of pairs in which the one who left has the higher risk"
        found.append((f"{own['roc_auc']['value']:.3f}", text, _interval(own["roc_auc"], 3)))
    if coverage := metrics.get("coverage"):
        text = "of the customers have a field unlike any in training"
        found.append((f"{100 * coverage['unseen']:.0f} %", text, "in the test part"))
    return found


def _interval(estimate: Mapping[str, Any], digits: int) -> str:
    if estimate.get("low") is None:
        return ""
    return f"95 % interval {estimate['low']:.{digits}f} to {estimate['high']:.{digits}f}"


def _in_money(facts: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """What the decision earned on the test part, beside calling everyone; "" if that is unknown."""
    rules = {rule["name"]: rule for rule in metrics.get("profit", {}).get("rules", [])}
    if not rules:
        return ""
    currency = facts.get("decision", {}).get("currency")
    chosen, everyone = next(iter(rules.values())), rules.get("everyone")
    text = (
        f"for 1,000 customers of the test part, {format_amount(1000 * chosen['profit']['value'], currency)}"
    )
    text += f" by calling {100 * chosen['called']:.0f} % of them"
    return text + (
        f"; {format_amount(1000 * everyone['profit']['value'], currency)} by calling all."
        if everyone
        else "."
    )


def _weakest(metrics: Mapping[str, Any]) -> str:
    """Where the probabilities are worst; "" if no segment is known."""
    segments = metrics.get("segments") or []
    if not segments:
        return ""
    one = segments[0]
    return (
        f"{one['feature']} {one['group']}: ROC AUC {one['roc_auc']['value']:.3f} on {one['rows']:,} test rows"
    )


def _newest_alarms(cfg: Config, name: str) -> dict[str, Any] | None:
    """The newest report of the monitor: status, end, changed features, address; None if there is none."""
    folder = monitor_dir(cfg, name)
    history = read_history(folder) if folder.exists() else []
    if not history or not folder.is_relative_to(cfg.run.root):
        return None
    now = history[-1]
    changed = [
        feature for feature, drift in now["features"].items() if drift["status"] in ("warning", "alarm")
    ]
    page = f"files/{folder.relative_to(cfg.run.root)}/report.html"
    return {"status": now["status"], "until": now["until"], "changed": changed, "page": page}


def standing(bundle: Bundle, cfg: Config) -> tuple[Any, ...]:
    """What section 4 shows of a model."""
    root, name = cfg.run.root, bundle.facts["name"]
    metrics, run = _metrics_of(bundle, root), _run_of(bundle, root)
    report = f"files/{run.relative_to(root)}/report.html" if run and run.is_relative_to(root) else ""
    return (
        describe_model(bundle.facts),
        _statements(bundle.facts, metrics),
        _in_money(bundle.facts, metrics),
        _weakest(metrics),
        _list_versions(cfg, name),
        report,
        _newest_alarms(cfg, name),
    )
