"""One customer on the page: where each field lies, the reasons, what if, and customers like this one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from churn.app.models import Training
from churn.bundle.bundle import Bundle
from churn.bundle.decision import (
    customer_values,
    effective_assumptions,
    expected_profit,
    worth_a_call,
)
from churn.bundle.model import model_of
from churn.bundle.reasons import TOP, reason_in_words, value_in_words
from churn.config.training import DecisionConfig
from churn.data.coded import frame_features
from churn.data.infer.cells import to_numbers
from churn.score.call_list import most_profitable
from churn.score.candidates import with_profit

ALIKE = 50  # customers that are looked at


@dataclass(frozen=True)
class Answer:
    """What the model expects of one customer."""

    probability: float
    low: float | None
    high: float | None
    call: bool
    certainty: str
    profit: float
    unseen: int


@dataclass(frozen=True)
class Step:
    """A bar of the waterfall, in shares from 0 to 1."""

    label: str
    change: float
    begin: float
    end: float


def answer(bundle: Bundle, row: pd.DataFrame, assumed: DecisionConfig) -> Answer:
    """The answer for one row [1] from `find`; whether to call is decided as on the list."""
    rows = frame_features(row, bundle.schema)
    out = {name: values[0] for name, values in model_of(bundle).answer(rows, reasons=False).items()}
    probability = np.array([out["churn_probability"]], float)
    profit = expected_profit(probability, customer_values(row, assumed), assumed)
    own = effective_assumptions(DecisionConfig(), bundle.facts)
    call = worth_a_call(probability, np.array([out["churn"] == 1]), profit, assumed, own)
    return Answer(
        float(probability[0]),
        float(out["churn_probability_low"]) if "churn_probability_low" in out else None,
        float(out["churn_probability_high"]) if "churn_probability_high" in out else None,
        bool(call[0]),
        str(out.get("certainty", "")),
        float(profit[0]),
        int(out["unseen_inputs"]),
    )


def find(scored: pd.DataFrame | None, key: str, assumed: DecisionConfig) -> pd.DataFrame | None:
    """The row [1] of a customer by id, or by the number of the row; None if there is none.

    It has the features, and the customer's own value where another column has it (`decision.value_column`).
    Of several rows of a customer it is the most profitable one, as on the list.
    """
    if scored is None or not key.strip():
        return None
    names = (key.strip(), f"row {key.strip()}")  # a row without an id has its number
    rows = next((found for name in names if len(found := scored[scored["key", "key"] == name])), None)
    if rows is None:
        return None
    best = most_profitable(with_profit(rows, assumed), 1)
    parts = [part for part in ("features", "value") if part in best.columns.get_level_values(0)]
    return pd.concat([pd.DataFrame(best[part]) for part in parts], axis=1)


def changed_row(bundle: Bundle, row: pd.DataFrame, field: str, value: str) -> pd.DataFrame:
    """The row with another value in one field; a number that is none counts as missing.

    A browser writes numbers with a point, whatever the decimal mark of the table.
    """
    schema, changed = bundle.schema, row.copy()
    if field in schema.numeric:
        number = pd.to_numeric(pd.Series([value]), errors="coerce").astype(float)
        changed[field] = to_numbers(number, schema)[0]
    else:
        changed[field] = value
    return changed


def fields(bundle: Bundle, row: pd.DataFrame) -> list[dict[str, Any]]:
    """The fields of a customer: name, value, levels of a category, and where it lies."""
    described, levels = [], bundle.profile.get("categorical", {})
    for name in bundle.schema.features:
        value = row[name].iloc[0]
        known = sorted({value, *levels.get(name, {})}) if name in bundle.schema.categorical else None
        shown = value if known else "" if pd.isna(value) else repr(float(value)).removesuffix(".0")
        place = _place_of(bundle, name, value)
        described.append({"name": name, "value": shown, "levels": known, "place": place})
    return described


def waterfall(bundle: Bundle, row: pd.DataFrame) -> list[Step]:
    """From the average customer's probability to this one's; empty if the bundle gives no reasons."""
    model, rows = model_of(bundle), frame_features(row, bundle.schema)
    if not model.gives_reasons:
        return []
    out = {name: values[0] for name, values in model.answer(rows, reasons=True).items()}
    at = float(out["average_probability"])
    steps = [Step("average customer", at, 0.0, at)]
    for i in range(1, TOP + 1):
        if name := out.get(f"reason_{i}"):
            change = float(out[f"contribution_{i}"])
            label = reason_in_words(name, row[name].iloc[0], change).rpartition(" (")[0]
            steps.append(Step(label, change, at, at + change))
            at += change
    others = float(out["other_contributions"])
    steps.append(Step("all other fields", others, at, at + others))
    return [*steps, Step("this customer", at + others, 0.0, at + others)]


def _place_of(bundle: Bundle, column: str, value: Any) -> str:
    """Where a value lies in the training data, in words."""
    profile = bundle.profile
    if number := profile.get("numeric", {}).get(column):
        if number["lowest"] is None:
            return "no values in training"
        if pd.isna(value):
            return "missing" + ("" if number["missing"] else ", as never in training")
        if not number["lowest"] <= value <= number["highest"]:
            return f"outside training: {number['lowest']:,.6g} to {number['highest']:,.6g}"
        counts = np.array(number["counts"], float)
        below = counts[: int(np.searchsorted(number["edges"], value, side="left"))].sum() / max(
            counts.sum(), 1
        )
        return f"higher than about {100 * below:.0f} % of the customers"
    levels = profile.get("categorical", {}).get(column, {})
    rows = sum(levels.values())
    if not rows:
        return ""
    share = levels.get(str(value), 0) / rows
    return f"{100 * share:.0f} % of the customers" if share else "not in training"


def alike(row: pd.DataFrame, key: str, training: Training) -> tuple[int, int, pd.DataFrame]:
    """Of the others most like this one: how many, how many left, and the nearest five with their outcome.

    The distance is Gower's (1971): numbers by their range, categories by equality.
    """
    others = np.ones(len(training.frame), bool) if training.ids is None else training.ids != key
    frame, churned = training.frame[others], training.churned[others]
    distance = np.zeros(len(frame))
    for name in frame:
        column, own = frame[name], row[name].iloc[0]
        if pd.api.types.is_numeric_dtype(column):
            scale = float(np.nanmax(column) - np.nanmin(column)) or 1.0
            distance += np.nan_to_num(np.abs(column.to_numpy(float) - float(own)) / scale, nan=1.0)
        else:
            distance += (column.to_numpy(object) != own).astype(float)
    nearest = np.argsort(distance, kind="stable")[:ALIKE]
    shown = frame.iloc[nearest[:5]].map(value_in_words)
    shown = shown.assign(outcome=np.where(churned[nearest[:5]] == 1, "left", "stayed"))
    return len(nearest), int(churned[nearest].sum()), shown
