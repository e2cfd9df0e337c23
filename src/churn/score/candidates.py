"""The customers of a table with the bundle's answers, before anybody chooses whom to call."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from churn.bundle import decision
from churn.bundle.bundle import Bundle
from churn.bundle.model import model_of
from churn.config.serving import Runtime
from churn.config.training import DecisionConfig
from churn.data.coded import frame_features
from churn.data.dataset import Schema
from churn.data.infer.cells import as_written, to_ids, to_numbers
from churn.data.table import RawTable
from churn.data.validate import to_features
from churn.errors import UserError
from churn.score.output import sort_outputs

ROW = "row"  # takes the place of the id if the table has none: 1 for the first customer


def score_candidates(
    bundle: Bundle,
    raw: RawTable,
    assumed: DecisionConfig,
    keep: Sequence[str] = (),
    before: int = 0,
    runtime: Runtime = Runtime.litert,
) -> pd.DataFrame:
    """Columns ("id", ...), ("kept", ...), ("answer", ...), ("features", ...), ("value", ...), ("key", "key").

    The key is the id; a row without one is a customer of its own. The answers have no reasons: these are
    computed later, only for the customers on the list. `before` rows were read earlier. Raises `UserError`
    for rows that cannot be read.
    """
    frame = to_features(raw, bundle.schema)
    answers = model_of(bundle, runtime).answer(frame_features(frame, bundle.schema), reasons=False)
    outputs = {name: answers[name] for name in sort_outputs(answers)}
    name = bundle.schema.id if bundle.schema.id in raw.frame else None
    rows = pd.Series(np.arange(len(frame)) + before + 1)
    ids = to_ids(raw.frame[name] if name else rows)
    parts = {
        "id": pd.DataFrame({name or ROW: ids if name else rows}),
        "kept": _kept_columns(raw, keep, name),
        "answer": pd.DataFrame(outputs),
        "features": frame,
        "value": _own_value(raw, frame, bundle.schema, assumed.value_column),
        "key": pd.DataFrame({"key": ids.where(ids != "", rows.map("row {}".format))}),
    }
    return pd.concat(parts, axis=1)


def with_profit(scored: pd.DataFrame, assumed: DecisionConfig) -> pd.DataFrame:
    """The candidates with ("answer", "expected_profit"): what a call of each brings on average."""
    features = pd.DataFrame(scored["features"])
    if "value" in scored.columns.get_level_values(0):
        features = pd.concat([features, pd.DataFrame(scored["value"])], axis=1)
    decision.check_decision(assumed, features)
    probability = scored["answer", "churn_probability"].to_numpy(float)
    value = decision.customer_values(features, assumed)
    profit = decision.expected_profit(probability, value, assumed)
    valued = scored.copy()
    valued["answer", "expected_profit"] = profit
    return valued


def as_kept(column: pd.Series) -> pd.Series:
    """A column that is carried along: numbers as numbers, all others as they are written."""
    return column if pd.api.types.is_numeric_dtype(column) else as_written(column)


def _kept_columns(raw: RawTable, keep: Sequence[str], id_column: str | None) -> pd.DataFrame:
    columns = {name: as_kept(raw.frame[name]) for name in keep if name != id_column}
    return pd.DataFrame(columns, index=raw.frame.index)


def _own_value(raw: RawTable, frame: pd.DataFrame, schema: Schema, column: str | None) -> pd.DataFrame:
    """The column with the customers' values if it is no feature; no column otherwise."""
    if column is None or column in frame or column not in raw.frame:
        return pd.DataFrame(index=frame.index)
    value, *wrong = to_numbers(raw.frame[column], schema)
    if np.any(wrong):
        first = raw.frame[column][np.any(wrong, axis=0)].iloc[0]
        where = f"column '{column}' (decision.value_column)"
        raise UserError(f"'{first}' is not a number", where, "correct it")
    return pd.DataFrame({column: value}, index=frame.index)
