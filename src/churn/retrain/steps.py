"""The steps of a retraining: each reads files and writes files.

`churn retrain` takes them in order, and so does the pipeline in `deploy/pipeline/`, one container for each.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from churn import pipeline
from churn.bundle import decision, registry
from churn.bundle.approval import check_standing_approval, record_approval
from churn.bundle.bundle import Bundle
from churn.bundle.choice import check_data_set, choose_bundle
from churn.bundle.fairness_limits import broken_limit
from churn.bundle.registry import CHALLENGER, CHAMPION, REFERENCE, bundle_with_alias, describe_version
from churn.config.data import SplitMethod
from churn.config.root import Config
from churn.config.serving import Platform
from churn.data.load import dataset_name, load_dataset
from churn.errors import UserError
from churn.files import atomic_write, write_text
from churn.monitor.collect import label_horizon
from churn.monitor.period import parse_time
from churn.retrain import gate, page, traffic
from churn.retrain.gate import FreshRows, Verdict
from churn.retrain.labelled_rows import last_seen, settled_rows, to_datetime64
from churn.retrain.promote import make_champion
from churn.retrain.training_set import data_config, left_word, split_fresh, write_rows
from churn.retrain.trigger import Trigger
from churn.runs import reserve_run

UNFAIR = "unfair"  # attribute of the file of predictions: why limits of fairness keep the challenger out
NAMES = "names"  # attribute of the file of predictions: which version each model is
SEGMENT = "segment "  # prefix of the segments' columns in the file of predictions
MIN_ROWS = 200  # least rows to train on, and least rows of a segment that the gate checks
PROMOTED, KEPT, ROLLED_BACK = "promoted", "promoted and kept", "rolled back"  # values of the tag `decision`


def load_models(cfg: Config) -> dict[str, Bundle]:
    """The champion and, where it is another model, the reference."""
    champion = choose_bundle(cfg)
    check_data_set(champion, dataset_name(cfg.data), cfg)
    path = None if cfg.bundle else bundle_with_alias(REFERENCE, cfg)
    reference = Bundle.load(path) if path else champion
    models = {CHAMPION: champion}
    if reference.digest == champion.digest:
        return models
    if not can_answer(reference, champion):
        print("The reference reads columns that the champion does not: it is not compared.")
        return models
    return models | {REFERENCE: reference}


def can_answer(other: Bundle, champion: Bundle) -> bool:
    """Whether the rows of the champion have all columns that another version reads."""
    own = champion.schema
    return set(other.schema.numeric) <= set(own.numeric) and set(other.schema.categorical) <= set(
        own.categorical
    )


def ingest(cfg: Config, champion: Bundle, rows: Path, fresh: Path) -> None:
    """Write the rows to train on and the fresh rows to compare on; a wrong segment is refused here."""
    _check_segments(cfg.retrain.segments, champion.schema.categorical)
    now = to_datetime64(parse_time(cfg.retrain.now, "retrain.now"))
    parts = split_fresh(settled_rows(cfg, champion), last_seen(champion), now, cfg.retrain, cfg.seed)
    for part, path in zip(parts, (rows, fresh), strict=True):
        with atomic_write(path) as aside:
            write_rows(part, champion.schema, aside, champion.facts.get("events"))


def validate(cfg: Config, champion: Bundle, rows: Path, fresh: Path) -> dict[str, int]:
    """Number of rows in both files, and of churners among the fresh ones.

    Raises `UserError` if there are too few rows, or the files share a customer.
    """
    compared, count = pd.read_parquet(fresh), len(pd.read_parquet(rows))
    if count < MIN_ROWS:
        raise UserError(
            f"{count:,} labelled rows are too few to train on",
            "data, monitor.labels, retrain.window_days",
            f"wait for more labels, or choose a longer window: at least {MIN_ROWS:,} rows are needed",
        )
    data = load_dataset(data_config(cfg.data, champion.schema, rows), cfg.seed)
    assert data.ids is not None
    shared = set(data.ids) & set(compared[data.schema.id])
    if shared:
        raise UserError(f"{len(shared):,} customers are in both files", f"{rows}, {fresh}", "ingest again")
    churners = int((compared[data.schema.target] == left_word(champion.schema)).sum())
    return {"train": len(data), "fresh": len(compared), "churners": churners}


def train(cfg: Config, champion: Bundle, rows: Path) -> Path:
    """Train the challenger as `churn train` does, on the champion's columns; gives its run directory."""
    data = replace(cfg.data, name=champion.facts["name"], horizon=label_horizon(champion, cfg))
    cfg = replace(
        cfg,
        data=data_config(data, champion.schema, rows),
        split=replace(cfg.split, method=SplitMethod.customer),
    )
    with reserve_run(cfg) as run:
        pipeline.run_into(run, cfg)
    return run


def evaluate(cfg: Config, models: Mapping[str, Bundle], fresh: Path, predictions: Path) -> None:
    """Write the outcome of each fresh row beside each model's probability and decision."""
    schema, rows = models[CHAMPION].schema, pd.read_parquet(fresh)
    _check_segments(cfg.retrain.segments, schema.categorical)
    churned = (rows[schema.target] == left_word(schema)).to_numpy(np.int8)
    assumptions = decision.effective_assumptions(cfg.decision, models[CHAMPION].facts, cfg.overridden)
    value = decision.customer_values(rows, assumptions)
    table = pd.DataFrame(
        {
            "customer": rows[data_config(cfg.data, schema, fresh).id],
            "churned": churned,
            "brings": decision.call_gain(churned, value, assumptions),
        }
    )
    for name, bundle in models.items():
        probability = bundle.predict(rows)["churn_probability"].astype(float) if len(rows) else np.empty(0)
        table[name], table[f"{name} calls"] = probability, probability >= bundle.facts["threshold"]
    for column in cfg.retrain.segments:
        table[SEGMENT + column] = rows[column]
    table.attrs[NAMES] = {name: describe_version(bundle, cfg.run.root) for name, bundle in models.items()}
    table.attrs[UNFAIR] = broken_limit(_with_unknown(models[CHALLENGER], cfg), cfg.retrain.gate)
    with atomic_write(predictions) as aside:
        table.to_parquet(aside, index=False)


def _with_unknown(challenger: Bundle, cfg: Config) -> dict[str, Any]:
    """The facts of a challenger; the protected columns that its rows did not have are unknown, too."""
    fairness = challenger.facts.get("fairness") or {}
    lacking = [name for name in cfg.data.protected if name not in challenger.schema.features]
    return challenger.facts | {"fairness": fairness | {"unknown": [*fairness.get("unknown", []), *lacking]}}


def _check_segments(segments: list[str], categorical: tuple[str, ...]) -> None:
    for column in segments:
        if column not in categorical:
            raise UserError(
                f"'{column}' is not a category of the champion",
                "retrain.segments",
                f"one of: {', '.join(categorical)}",
            )


def decide(cfg: Config, predictions: Path, alarmed: bool) -> Verdict:
    """The gate's verdict on a file of predictions."""
    table = pd.read_parquet(predictions)
    names = [name for name in (CHAMPION, CHALLENGER, REFERENCE) if name in table]
    fresh = FreshRows(
        churned=table["churned"].to_numpy(),
        probability={name: table[name].to_numpy() for name in names},
        called={name: table[f"{name} calls"].to_numpy() for name in names},
        brings=table["brings"].to_numpy(),
        customers=table["customer"].to_numpy(object),
        segments=_segments(table),
    )
    verdict = gate.judge_challenger(fresh, alarmed, cfg.retrain.gate, cfg.seed)
    verdict = replace(verdict, models=table.attrs[NAMES])
    if verdict.promote and (unfair := table.attrs[UNFAIR]):
        return replace(verdict, promote=False, reason=unfair)
    return verdict


def _segments(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """[n] masks of the segments with enough rows, by name."""
    return {
        f"{column.removeprefix(SEGMENT)}={level}": (table[column] == level).to_numpy()
        for column in map(str, table)
        if column.startswith(SEGMENT)
        for level, count in table[column].value_counts().items()
        if count >= MIN_ROWS
    }


def document(cfg: Config, verdict: Verdict, trigger: Trigger, page_file: Path, facts_file: Path) -> None:
    """Write the decision and its evidence: a page for people, and the facts for `register`."""
    decided = parse_time(cfg.retrain.now, "retrain.now")
    page.write_decision_page(page_file, dataset_name(cfg.data), verdict, trigger, decided, cfg.retrain.gate)
    facts = {"trigger": vars(trigger), "decided": decided.isoformat(), **verdict.to_json()}
    write_text(facts_file, json.dumps(facts, indent=1))


def register(cfg: Config, run: Path, page_file: Path, facts_file: Path) -> str:
    """Register the challenger with its decision; gives its version."""
    name, facts = Bundle.load(run / "bundle").facts["name"], json.loads(facts_file.read_text())
    version = registry.register_run(run, cfg.run.root)
    tags = {
        "decision": PROMOTED if facts["promote"] else "kept out",
        "reason": facts["reason"],
        "trigger": f"{facts['trigger']['kind']}: {facts['trigger']['reason']}",
        "decided": facts["decided"],
    }
    registry.record_decision(cfg.run.root, name, version, tags, [page_file, facts_file])
    return version


def promote(cfg: Config, run: Path, version: str) -> str:
    """Let the challenger serve: on this machine, and as a canary with `target=vertex`.

    Gives the sentences that say so.
    """
    bundle = Bundle.load(run / "bundle")
    name = bundle.facts["name"]
    check_standing_approval(cfg)
    approved = record_approval(cfg, name, version)
    reload = make_champion(cfg.run.root, name, version)
    message = f"Version {version} of '{name}' is the champion.{approved}{reload}"
    if cfg.target.name is Platform.vertex:
        traffic.raise_share(cfg, bundle, cfg.retrain.canary)
        message += f" On Vertex AI it has {cfg.retrain.canary} % of the traffic."
    return message
