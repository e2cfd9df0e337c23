"""The steps of a retraining, from files to files; `churn retrain` and the pipeline take them in order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
import pandas as pd

from churn import decision, pipeline, registry
from churn.bundle import Bundle
from churn.config import Config, Place, SplitMethod
from churn.data import load, name_of
from churn.errors import UserError
from churn.files import write_aside
from churn.monitor import moment
from churn.registry import CHAMPION, REFERENCE, bundle_with, find_bundle
from churn.retrain import cloud, gate, page
from churn.retrain.gate import CHALLENGER, Fresh, Verdict
from churn.retrain.rows import KEY, Rows, assemble, data_config, of_dataset, of_log, stamp, write
from churn.retrain.trigger import Trigger
from churn.runs import place

SEGMENT = "segment "  # before the name of its column in the file of predictions
LEAST = 200  # rows to train on, and fewest rows of a segment that is judged
PROMOTED, KEPT, ROLLED_BACK = "promoted", "promoted and kept", "rolled back"  # decisions: tags of a version


def models(cfg: Config) -> dict[str, Bundle]:
    """The champion and, where another one is remembered, the reference."""
    champion = find_bundle(cfg)
    path = None if cfg.bundle else bundle_with(REFERENCE, cfg)
    reference = Bundle.load(path) if path else champion
    found = {CHAMPION: champion, REFERENCE: reference}
    return found if reference.digest != champion.digest else {CHAMPION: champion}


def seen_until(bundle: Bundle) -> np.datetime64:
    """The time of the last row that a bundle knows, or when it was made where its table has no times."""
    known = bundle.facts["data"].get("until") or bundle.facts["created"].removesuffix("Z")
    return np.datetime64(known, "s")


def labelled(cfg: Config, champion: Bundle) -> Rows:
    """Rows whose outcome is known by now: of the table of `data` and, with `monitor.labels`, of the log."""
    data = load(cfg.data, cfg.seed)
    if data.schema.features != champion.schema.features:
        raise UserError(
            "the table does not have the features of the champion", data.origin, "churn train, churn promote"
        )
    rows = of_dataset(data, seen_until(champion))
    if cfg.monitor.labels:
        rows += logged(cfg, champion)
    settled = rows.times + np.timedelta64(cfg.data.horizon, "D") <= stamp(
        moment(cfg.retrain.now, "retrain.now")
    )
    return rows.take(np.asarray(settled))


def logged(cfg: Config, champion: Bundle) -> Rows:
    """Rows of the log that labels settle, whichever version answered them."""
    from churn.monitor import labels, source

    until = moment(cfg.retrain.now, "retrain.now")
    place = str(cfg.monitor.labels)
    table = source.table_of(place, cfg) if place.startswith(source.BIGQUERY) else labels.read(place)
    known = labels.of_table(table, place, champion.schema, until)
    found = []
    for chunk in source.predictions(cfg, until - timedelta(days=cfg.monitor.label_days), until):
        keys, times = chunk[KEY].to_numpy().astype(str), chunk["time"].to_numpy()
        found.append(of_log(chunk, *known.settle(keys, times, cfg.data.horizon), champion))
    if not found:
        raise UserError("the log has no rows", source.where(cfg), "see docs/monitoring.md")
    return reduce(add, found)


def ingest(cfg: Config, champion: Bundle, rows: Path, fresh: Path) -> None:
    """Write the rows to train on and the fresh rows to compare on."""
    now = stamp(moment(cfg.retrain.now, "retrain.now"))
    parts = assemble(labelled(cfg, champion), seen_until(champion), now, cfg.retrain, cfg.seed)
    for part, path in zip(parts, (rows, fresh), strict=True):
        with write_aside(path) as aside:
            write(part, champion.schema, aside)


def validate(cfg: Config, champion: Bundle, rows: Path, fresh: Path) -> dict[str, int]:
    """Rows of both files; raises `UserError` if they cannot be learnt from, or share a customer."""
    compared, count = pd.read_parquet(fresh), len(pd.read_parquet(rows))
    if count < LEAST:
        raise UserError(
            f"{count:,} labelled rows are too few to train on",
            "data, monitor.labels, retrain.window_days",
            f"wait for labels, or take a longer window: {LEAST:,} are the least",
        )
    data = load(data_config(cfg.data, champion.schema, rows), cfg.seed)
    assert data.ids is not None
    shared = set(data.ids) & set(compared[data.schema.id])
    if shared:
        raise UserError(f"{len(shared):,} customers are in both files", f"{rows}, {fresh}", "ingest again")
    return {"train": len(data), "fresh": len(compared)}


def train(cfg: Config, champion: Bundle, rows: Path) -> Path:
    """The challenger's run, made as `churn train` makes one, with the champion's columns."""
    cfg = replace(
        cfg,
        data=data_config(replace(cfg.data, name=champion.facts["name"]), champion.schema, rows),
        split=replace(cfg.split, method=SplitMethod.customer),
    )
    run = place(cfg)
    pipeline.run(replace(cfg, run=replace(cfg.run, dir=str(run))))
    return run


def evaluate(cfg: Config, bundles: Mapping[str, Bundle], fresh: Path, predictions: Path) -> None:
    """Write what each model says and decides about the fresh rows, beside what happened."""
    champion = bundles[CHAMPION]
    schema, rows = champion.schema, pd.read_parquet(fresh)
    config = data_config(cfg.data, schema, fresh)
    churned = (rows[schema.target] == schema.churned[0]).to_numpy(np.int8)
    assumed = decision.remembered(cfg.decision, champion.facts)
    table = pd.DataFrame(
        {
            "customer": rows[config.id],
            "churned": churned,
            "brings": decision.gain(churned, decision.values(rows, assumed), assumed),
        }
    )
    for name, bundle in bundles.items():
        probability = bundle.predict(rows)["churn_probability"].astype(float) if len(rows) else np.empty(0)
        table[name], table[f"{name} calls"] = probability, probability >= bundle.facts["threshold"]
    for column in cfg.retrain.segments:
        if column not in schema.categorical:
            raise UserError(
                f"'{column}' is no category of the champion",
                "retrain.segments",
                f"one of: {', '.join(schema.categorical)}",
            )
        table[SEGMENT + column] = rows[column]
    with write_aside(predictions) as aside:
        table.to_parquet(aside, index=False)


def decide(cfg: Config, predictions: Path, alarmed: bool) -> Verdict:
    """The gate's verdict on a file of predictions."""
    table = pd.read_parquet(predictions)
    names = [name for name in (CHAMPION, CHALLENGER, REFERENCE) if name in table]
    segments = {
        f"{column.removeprefix(SEGMENT)}={level}": (table[column] == level).to_numpy()
        for column in map(str, table)
        if column.startswith(SEGMENT)
        for level, count in table[column].value_counts().items()
        if count >= LEAST
    }
    fresh = Fresh(
        churned=table["churned"].to_numpy(),
        probability={name: table[name].to_numpy() for name in names},
        called={name: table[f"{name} calls"].to_numpy() for name in names},
        brings=table["brings"].to_numpy(),
        customers=table["customer"].to_numpy(object),
        segments=segments,
    )
    return gate.judge(fresh, alarmed, cfg.retrain.gate, cfg.seed)


def document(cfg: Config, verdict: Verdict, trigger: Trigger, page_file: Path, facts_file: Path) -> None:
    """Write the decision with its evidence, for people and for `register`."""
    decided = moment(cfg.retrain.now, "retrain.now")
    page.write(page_file, name_of(cfg.data), verdict, trigger, decided, cfg.retrain.gate.confidence)
    told = {"trigger": vars(trigger), "decided": decided.isoformat(), **verdict.to_json()}
    with write_aside(facts_file) as aside:
        aside.write_text(json.dumps(told, indent=1))


def register(cfg: Config, run: Path, page_file: Path, facts_file: Path) -> str:
    """Enter challenger and decision into the registry; gives its version."""
    name, told = Bundle.load(run / "bundle").facts["name"], json.loads(facts_file.read_text())
    version = registry.register(run, cfg.run.root)
    tags = {
        "decision": PROMOTED if told["promote"] else "kept out",
        "reason": told["reason"],
        "trigger": f"{told['trigger']['kind']}: {told['trigger']['reason']}",
        "decided": told["decided"],
    }
    registry.record_decision(cfg.run.root, name, version, tags, [page_file, facts_file])
    return version


def promote(cfg: Config, run: Path, version: str) -> str:
    """Let the challenger serve: alias, local servers, a canary with `target=vertex`. Says what was done."""
    bundle = Bundle.load(run / "bundle")
    name = bundle.facts["name"]
    told = registry.make_champion(cfg.run.root, name, version)
    if cfg.target.name is Place.vertex:
        cloud.give(cfg, bundle, cfg.retrain.canary)
        told += f" On Vertex AI it has {cfg.retrain.canary} % of the traffic."
    return f"Version {version} of '{name}' is the champion.{told}"
