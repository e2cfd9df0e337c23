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

from churn import pipeline
from churn.bundle import decision, registry
from churn.bundle.bundle import Bundle
from churn.bundle.registry import CHAMPION, REFERENCE, bundle_with_alias, find_bundle
from churn.config.data import SplitMethod
from churn.config.root import Config
from churn.config.serving import Platform
from churn.data.dataset import CUSTOMER_KEY
from churn.data.features import id_column
from churn.data.load import dataset_name, load_dataset
from churn.errors import UserError
from churn.files import atomic_write
from churn.monitor.period import parse_time
from churn.retrain import gate, page, traffic
from churn.retrain.gate import CHALLENGER, FreshRows, Verdict
from churn.retrain.promote import make_champion
from churn.retrain.training_set import (
    LabelledRows,
    data_config,
    rows_of_dataset,
    rows_of_log,
    split_fresh,
    to_datetime64,
    write_rows,
)
from churn.retrain.trigger import Trigger
from churn.runs import choose_run_dir

SEGMENT = "segment "  # before the name of its column in the file of predictions
MIN_ROWS = 200  # rows to train on, and fewest rows of a segment that is judged
PROMOTED, KEPT, ROLLED_BACK = "promoted", "promoted and kept", "rolled back"  # decisions: tags of a version


def load_models(cfg: Config) -> dict[str, Bundle]:
    """The champion and, where another one is remembered, the reference."""
    champion = find_bundle(cfg)
    path = None if cfg.bundle else bundle_with_alias(REFERENCE, cfg)
    reference = Bundle.load(path) if path else champion
    found = {CHAMPION: champion, REFERENCE: reference}
    return found if reference.digest != champion.digest else {CHAMPION: champion}


def _seen_until(bundle: Bundle) -> np.datetime64:
    """The time of the last row that a bundle knows, or when it was made where its table has no times."""
    known = bundle.facts["data"].get("until") or bundle.facts["created"].removesuffix("Z")
    return np.datetime64(known, "s")


def settled_rows(cfg: Config, champion: Bundle) -> LabelledRows:
    """Rows whose outcome is known by now: of the table of `data` and, with `monitor.labels`, of the log."""
    data = load_dataset(cfg.data, cfg.seed)
    if data.schema.features != champion.schema.features:
        raise UserError(
            "the table does not have the features of the champion", data.origin, "churn train, churn promote"
        )
    rows = rows_of_dataset(data, _seen_until(champion))
    if cfg.monitor.labels:
        rows += _rows_of_prediction_log(cfg, champion)
    settled = rows.times + np.timedelta64(cfg.data.horizon, "D") <= to_datetime64(
        parse_time(cfg.retrain.now, "retrain.now")
    )
    return rows.take(np.asarray(settled))


def _rows_of_prediction_log(cfg: Config, champion: Bundle) -> LabelledRows:
    """Rows of the log that labels settle, whichever version answered them."""
    from churn.monitor import labels, source

    until = parse_time(cfg.retrain.now, "retrain.now")
    place = str(cfg.monitor.labels)
    table = (
        source.read_bigquery_table(place, cfg)
        if place.startswith(source.BIGQUERY)
        else labels.read_labels(place)
    )
    known = labels.labels_from_table(table, place, champion.schema, until)
    found = []
    for chunk in source.read_predictions(cfg, until - timedelta(days=cfg.monitor.label_days), until):
        keys, times = id_column(chunk[CUSTOMER_KEY]).texts.astype(str), chunk["time"].to_numpy()
        known.meet(keys)
        found.append(rows_of_log(chunk, *known.settle(keys, times, cfg.data.horizon), champion))
    if not found:
        raise UserError("the log has no rows", source.log_location(cfg), "see docs/monitoring.md")
    known.check_met(place)
    return reduce(add, found)


def ingest(cfg: Config, champion: Bundle, rows: Path, fresh: Path) -> None:
    """Write the rows to train on and the fresh rows to compare on."""
    now = to_datetime64(parse_time(cfg.retrain.now, "retrain.now"))
    parts = split_fresh(settled_rows(cfg, champion), _seen_until(champion), now, cfg.retrain, cfg.seed)
    for part, path in zip(parts, (rows, fresh), strict=True):
        with atomic_write(path) as aside:
            write_rows(part, champion.schema, aside)


def validate(cfg: Config, champion: Bundle, rows: Path, fresh: Path) -> dict[str, int]:
    """Rows of both files; raises `UserError` if they cannot be learnt from, or share a customer."""
    compared, count = pd.read_parquet(fresh), len(pd.read_parquet(rows))
    if count < MIN_ROWS:
        raise UserError(
            f"{count:,} labelled rows are too few to train on",
            "data, monitor.labels, retrain.window_days",
            f"wait for labels, or take a longer window: {MIN_ROWS:,} are the least",
        )
    data = load_dataset(data_config(cfg.data, champion.schema, rows), cfg.seed)
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
    run = choose_run_dir(cfg)
    pipeline.run(replace(cfg, run=replace(cfg.run, dir=str(run))))
    return run


def evaluate(cfg: Config, bundles: Mapping[str, Bundle], fresh: Path, predictions: Path) -> None:
    """Write what each model says and decides about the fresh rows, beside what happened."""
    champion = bundles[CHAMPION]
    schema, rows = champion.schema, pd.read_parquet(fresh)
    config = data_config(cfg.data, schema, fresh)
    churned = (rows[schema.target] == schema.churned[0]).to_numpy(np.int8)
    assumed = decision.effective_assumptions(cfg.decision, champion.facts)
    table = pd.DataFrame(
        {
            "customer": rows[config.id],
            "churned": churned,
            "brings": decision.call_gain(churned, decision.customer_values(rows, assumed), assumed),
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
    with atomic_write(predictions) as aside:
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
        if count >= MIN_ROWS
    }
    fresh = FreshRows(
        churned=table["churned"].to_numpy(),
        probability={name: table[name].to_numpy() for name in names},
        called={name: table[f"{name} calls"].to_numpy() for name in names},
        brings=table["brings"].to_numpy(),
        customers=table["customer"].to_numpy(object),
        segments=segments,
    )
    return gate.judge_challenger(fresh, alarmed, cfg.retrain.gate, cfg.seed)


def document(cfg: Config, verdict: Verdict, trigger: Trigger, page_file: Path, facts_file: Path) -> None:
    """Write the decision with its evidence, for people and for `register`."""
    decided = parse_time(cfg.retrain.now, "retrain.now")
    page.write_decision_page(
        page_file, dataset_name(cfg.data), verdict, trigger, decided, cfg.retrain.gate.confidence
    )
    told = {"trigger": vars(trigger), "decided": decided.isoformat(), **verdict.to_json()}
    with atomic_write(facts_file) as aside:
        aside.write_text(json.dumps(told, indent=1))


def register(cfg: Config, run: Path, page_file: Path, facts_file: Path) -> str:
    """Enter challenger and decision into the registry; gives its version."""
    name, told = Bundle.load(run / "bundle").facts["name"], json.loads(facts_file.read_text())
    version = registry.register_run(run, cfg.run.root)
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
    told = make_champion(cfg.run.root, name, version)
    if cfg.target.name is Platform.vertex:
        traffic.raise_share(cfg, bundle, cfg.retrain.canary)
        told += f" On Vertex AI it has {cfg.retrain.canary} % of the traffic."
    return f"Version {version} of '{name}' is the champion.{told}"
