"""Collects a window: one pass over the log, in which rows and outcomes are counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from churn.bundle.bundle import Bundle
from churn.config.root import Config
from churn.data.coded import DictionaryColumn
from churn.data.contract import CUSTOMER_KEY
from churn.data.features import logged_column
from churn.data.id_hash import id_hash
from churn.errors import UserError
from churn.monitor import source
from churn.monitor.closed_windows import ClosedWindows
from churn.monitor.label_files import read_labels
from churn.monitor.labels import Labels, labels_from_table
from churn.monitor.period import Period
from churn.monitor.weekdays import leave_out_weekdays
from churn.monitor.window import Window
from churn.serve.log.read import filter_period
from churn.vertex.cloud.deployment import Deployment

PROBABILITY = "outputs.churn_probability"


@dataclass
class Collected:
    """A window, and what the report says about the rows that are not in it."""

    window: Window
    closed: ClosedWindows | None  # None without labels
    other_bundles: int = 0  # answers of other bundles
    repeated: int = 0  # further requests about the same customers
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain values for the report."""
        found = {"other_bundles": self.other_bundles, "repeated": self.repeated, "notes": self.notes}
        if self.closed is None:
            return found | {"labels": None}
        stayed, left = self.window.outcomes.counts.sum(axis=(0, 2))
        outcomes = {"settled": int(stayed + left), "left": int(left)}
        return found | {"labels": self.closed.to_json() | outcomes}


def collect_window(cfg: Config, bundle: Bundle, period: Period) -> Collected:
    """The window of a period: each customer's first request, and the newest outcomes that are known.

    Outcomes are those of predictions with closed windows (`churn.monitor.closed_windows`); the oldest were
    closed `monitor.label_days` before the end of the period. Raises `UserError` for a bundle without a
    profile, and for a log or labels that cannot be read.
    """
    if "score" not in bundle.profile:
        raise UserError("the bundle has no profile to compare with", str(bundle.path), "train it again")
    known, begin = configured_labels(cfg, bundle, period.until), period.since
    closed = None if known is None else ClosedWindows(known, label_horizon(bundle, cfg))
    if closed:
        begin = min(begin, oldest_labelled(cfg, bundle, period.until))
    profile, notes = leave_out_weekdays(bundle.profile, period)
    found, seen = Collected(Window.of(profile, cfg.seed), closed, notes=notes), set[str]()
    names = {field["column"]: f"inputs.{field['input']}" for field in bundle.facts["inputs"]}
    own, answered_by = [bundle.digest, Deployment.from_config(cfg).deployed_id(bundle)], set[str]()
    for chunk in source.read_predictions(cfg, begin, period.until):
        answered = _answered_by(chunk, own)
        answered_by.update(chunk["bundle"].unique().drop_null().to_pylist())
        _check_columns(answered, names, source.log_location(cfg))
        rows = filter_period(answered, period.since, None)
        found.other_bundles += filter_period(chunk, period.since, None).num_rows - rows.num_rows
        if closed:
            closed.labels.meet(closed.labels.customers_of(chunk))
        if closed and answered.num_rows:
            _add_outcomes(closed, answered)
        first = rows.filter(_first_requests(rows, seen))
        found.repeated += rows.num_rows - first.num_rows
        if first.num_rows:
            found.window.summary.add(_inputs(first, names, bundle), first[PROBABILITY].to_numpy())
    _check_deployed(answered_by, own[1], source.log_location(cfg))
    if closed:
        closed.labels.check_met(str(cfg.monitor.labels))
        found.window.add_settled(closed)
    return found


def _inputs(rows: pa.Table, names: dict[str, str], bundle: Bundle) -> dict[str, Any]:
    """The logged inputs by the names of the training table, in the meaning of the bundle."""
    numbers = set(bundle.schema.numeric)
    read = {
        column: logged_column(rows[name], column in numbers, bundle.schema) for column, name in names.items()
    }
    return {
        name: column.arrow if isinstance(column, DictionaryColumn) else column
        for name, column in read.items()
    }


def configured_labels(cfg: Config, bundle: Bundle, until: datetime) -> Labels | None:
    """The labels of `monitor.labels` as they were known at `until`; None if none are configured.

    Raises `UserError` also for a horizon of 0 days, in which nobody leaves.
    """
    path = cfg.monitor.labels
    if not path:
        return None
    if label_horizon(bundle, cfg) == 0:
        what = "with a horizon of 0 days nobody leaves, and everybody has stayed"
        raise UserError(what, "data.horizon", "type the days in which a customer leaves: data.horizon=30")
    in_bigquery = path.startswith(source.BIGQUERY)
    table = source.read_bigquery_table(path, cfg) if in_bigquery else read_labels(path)
    return labels_from_table(table, path, bundle.schema, until, id_hash(cfg))


def label_horizon(bundle: Bundle, cfg: Config) -> int:
    """Days until an outcome is known, as the bundle was trained; else by `data.horizon`, if that is typed.

    A definition of churn in the bundle comes first.
    """
    facts = bundle.facts
    own = facts.get("events") or "data.horizon" not in cfg.overridden
    return int(facts["horizon"]) if own and "horizon" in facts else cfg.data.horizon


def oldest_labelled(cfg: Config, bundle: Bundle, until: datetime) -> datetime:
    """When the oldest prediction was made whose window was closed no longer ago than `monitor.label_days`."""
    return until - timedelta(days=cfg.monitor.label_days + label_horizon(bundle, cfg))


def _answered_by(chunk: pa.Table, own: list[str]) -> pa.Table:
    """The rows that this bundle answered: its digest and its id on an endpoint are `own`.

    Rows count also if they name no bundle: in Vertex AI's table a model that was not deployed by
    `churn deploy` has an id of another length.
    """
    bundles, lengths = chunk["bundle"].cast(pa.string()), [len(name) for name in own]
    named = pc.is_in(pc.utf8_length(bundles), pa.array(lengths, pa.int32()))
    return chunk.filter(pc.or_(pc.invert(named), pc.is_in(bundles, pa.array(own))))


def _check_deployed(answered_by: set[str], deployed: str, path: str) -> None:
    """Raise `UserError` if only other deployed models answered: the container is a part of the id."""
    if answered_by and all(len(name) == len(deployed) and name != deployed for name in answered_by):
        what = "none of the deployed models that answered is this bundle in this container"
        raise UserError(what, path, "name both as they were deployed: bundle=DIR serving=NAME")


def _check_columns(rows: pa.Table, names: dict[str, str], path: str) -> None:
    """Raise `UserError` if the log is that of another model."""
    missing = [column for column, name in names.items() if name not in rows.column_names]
    if rows.num_rows and (missing or PROBABILITY not in rows.column_names):
        columns = ", ".join(missing) or "churn_probability"
        do = "name the bundle that served: bundle=DIR"
        raise UserError(f"the log lacks columns that the bundle reads: {columns}", path, do)


def _add_outcomes(closed: ClosedWindows, rows: pa.Table) -> None:
    """Add the outcomes that are known."""
    keys = closed.labels.customers_of(rows)
    closed.add(keys, rows["time"].to_numpy(), rows[PROBABILITY].to_numpy())
    closed.compact()


def _first_requests(rows: pa.Table, seen: set[str]) -> pa.Array:
    """[n] whether each row is the first about its customer; requests without a key are all the first."""
    first = []
    for key in rows[CUSTOMER_KEY].to_pylist():
        first.append(not key or key not in seen)
        seen.add(key)
    return pa.array(first, pa.bool_())
