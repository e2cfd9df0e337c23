"""Collects a window: one pass over the log, in which rows and outcomes are counted."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn.bundle.bundle import Bundle
from churn.config.root import Config
from churn.data.contract import CUSTOMER_KEY
from churn.data.features import DictionaryColumn, id_column, logged_column
from churn.errors import UserError
from churn.monitor import labels, source
from churn.monitor.labels import Labels
from churn.monitor.period import Period
from churn.monitor.window import Window
from churn.serve.log.read import filter_period

DIGEST = 64  # characters; Vertex AI's table has ids of deployed models instead
PROBABILITY = "outputs.churn_probability"


def collect_window(cfg: Config, bundle: Bundle, period: Period) -> tuple[Window, int]:
    """The window of a period, and how many of its rows other bundles answered; these are left out.

    Outcomes are those of all predictions that labels settle, from `monitor.label_days` before the end of the
    period on. Raises `UserError` for a bundle without a profile, and for a log or labels that cannot be read.
    """
    if "score" not in bundle.profile:
        raise UserError("the bundle has no profile to compare with", str(bundle.path), "train it again")
    window, others = Window.of(bundle.profile, cfg.seed), 0
    known, begin = configured_labels(cfg, bundle, period.until), period.since
    if known:
        begin = min(begin, period.until - timedelta(days=cfg.monitor.label_days))
    names = {field["column"]: f"inputs.{field['input']}" for field in bundle.facts["inputs"]}
    for chunk in source.read_predictions(cfg, begin, period.until):
        answered = _answered_by(chunk, bundle.digest)
        _check_columns(answered, names, source.log_location(cfg))
        rows = filter_period(answered, period.since, None)
        others += filter_period(chunk, period.since, None).num_rows - rows.num_rows
        if known:
            known.meet(_customers(chunk))
            _add_outcomes(window, answered, known, cfg.data.horizon)
        if rows.num_rows:
            window.summary.add(_inputs(rows, names, bundle), rows[PROBABILITY].to_numpy())
    if known:
        known.check_met(str(cfg.monitor.labels))
    return window, others


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
    """The labels of `monitor.labels` as they were known at `until`; None if none are configured."""
    path = cfg.monitor.labels
    if not path:
        return None
    in_bigquery = path.startswith(source.BIGQUERY)
    table = source.read_bigquery_table(path, cfg) if in_bigquery else labels.read_labels(path)
    return labels.labels_from_table(table, path, bundle.schema, until)


def _answered_by(chunk: pa.Table, digest: str) -> pa.Table:
    """The rows that this bundle answered; all rows if the log does not name bundles."""
    bundles = chunk["bundle"]
    if chunk.num_rows and len(bundles[0].as_py()) != DIGEST:
        return chunk
    return chunk.filter(pc.equal(bundles, digest))


def _check_columns(rows: pa.Table, names: dict[str, str], path: str) -> None:
    """Raise `UserError` if the log is that of another model."""
    missing = [column for column, name in names.items() if name not in rows.column_names]
    if rows.num_rows and (missing or PROBABILITY not in rows.column_names):
        columns = ", ".join(missing) or "churn_probability"
        do = "name the bundle that served: bundle=DIR"
        raise UserError(f"the log lacks columns that the bundle reads: {columns}", path, do)


def _customers(rows: pa.Table) -> np.ndarray:
    """[n] str: the customer of each prediction."""
    return id_column(rows[CUSTOMER_KEY]).texts.astype(str)


def _add_outcomes(window: Window, rows: pa.Table, known: Labels, horizon: int) -> None:
    """Add the predictions that are settled."""
    if rows.num_rows:
        outcome, treated = known.settle(_customers(rows), rows["time"].to_numpy(), horizon)
        window.outcomes.add(rows[PROBABILITY].to_numpy(), outcome, treated)
