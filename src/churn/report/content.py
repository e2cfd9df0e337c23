"""What a report is made of: exactly what the page shows, gathered by the train stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from churn.config import DecisionConfig
from churn.dependence import Dependence
from churn.doubt import Doubt
from churn.evaluate import Evaluation
from churn.importance import Importance
from churn.profit import Profit
from churn.schema import Dataset, Finding
from churn.segments import Segment
from churn.split import Splits


@dataclass(frozen=True)
class Column:
    """One feature over all rows."""

    name: str
    role: str  # "number" or "category"
    missing: float  # share of the rows
    values: str  # least, median and greatest; or the number of levels and the commonest


@dataclass(frozen=True)
class Part:
    """One part of the split."""

    name: str
    rows: int
    churn_rate: float


@dataclass(frozen=True)
class DataSummary:
    """The table that was trained on."""

    name: str
    origin: str
    rows: int
    churn_rate: float
    columns: tuple[Column, ...]
    parts: tuple[Part, ...]
    roles: Mapping[str, str]  # of the columns that are no features: target, id, time, dropped
    facts: Mapping[str, int]  # counts of what was done to the rows


@dataclass(frozen=True)
class ReportContent:
    """Everything that the page shows."""

    data: DataSummary
    evaluation: Evaluation
    churned: np.ndarray  # [n] of the test part, 1 = left
    predictions: Mapping[str, np.ndarray]  # [n] probabilities of the test part, by the names in `evaluation`
    assumed: DecisionConfig  # what a call costs and brings
    profit: Profit
    doubt: Doubt
    importance: Sequence[Importance]
    dependence: Sequence[Dependence]
    segments: Sequence[Segment]
    history: Mapping[str, Sequence[float]]  # per epoch: "loss" on train rows, "val_loss" on validation rows
    findings: Sequence[Finding]
    seconds: Mapping[str, float]  # by stage
    versions: Mapping[str, str]  # by package
    config: str  # resolved, as YAML
    created: str  # date and time, for people


def summarize(data: Dataset, splits: Splits) -> DataSummary:
    """The data section of the page."""
    schema = data.schema
    roles = {
        "target": f"{schema.target} (churned: {', '.join(schema.churned)})",
        "id": schema.id or "",
        "time": schema.time or "",
        "dropped": ", ".join(schema.dropped),
    }
    return DataSummary(
        name=data.name,
        origin=data.origin,
        rows=len(data),
        churn_rate=float(data.churned.mean()),
        columns=(
            *(number(data.frame[name]) for name in schema.numeric),
            *(category(data.frame[name]) for name in schema.categorical),
        ),
        parts=tuple(part(field.name, data.churned[getattr(splits, field.name)]) for field in fields(splits)),
        roles={role: names for role, names in roles.items() if names},
        facts=data.facts,
    )


def part(name: str, churned: np.ndarray) -> Part:
    """Size and churn rate of a part, which may be empty."""
    return Part(name, len(churned), float(churned.mean()) if len(churned) else np.nan)


def number(values: pd.Series) -> Column:
    """A number's least, median and greatest value."""
    known = values.dropna()
    points = known.quantile([0, 0.5, 1]).tolist() if len(known) else []
    shown = " … ".join(f"{point:,.6g}" for point in points).replace("-", "−") or "no values"
    return Column(str(values.name), "number", float(values.isna().mean()), shown)


def category(values: pd.Series) -> Column:
    """A category's number of levels and its commonest one; the empty string is missing."""
    counts = values[values != ""].value_counts()
    missing = float((values == "").mean())
    if len(counts) == 0:
        return Column(str(values.name), "category", missing, "no values")
    shown = (
        f"{len(counts):,} levels, most often “{counts.index[0]}” ({100 * counts.iloc[0] / len(values):.0f} %)"
    )
    return Column(str(values.name), "category", missing, shown)
