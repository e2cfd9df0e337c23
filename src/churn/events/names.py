"""What the columns of a snapshot are called."""

from __future__ import annotations

import re
from collections.abc import Iterator

from churn.config.events import EventsConfig, EventTable

CUSTOMER, CUTOFF, CHURNED = "customer", "cutoff", "churned"  # columns of a snapshot beside its features
TENURE = "days_as_customer"


def slug(text: str) -> str:
    """A text as part of a column's name, in letters that every engine takes."""
    return re.sub(r"[^0-9A-Za-z]+", "_", text).strip("_") or "x"


def level_names(levels: list[str]) -> list[str]:
    """Names for the levels of a category within columns' names; no two differ only in capitals."""
    names = [slug(level) for level in levels]
    if len({name.lower() for name in names}) == len(names):
        return names
    return [f"{name}_{number}" for number, name in enumerate(names)]


def named_features(table: str, spec: EventTable, windows: list[int]) -> Iterator[tuple[str, bool]]:
    """Each feature's name, and whether it is 0, and not missing, without any event."""
    yield f"{table}_recency", False
    for days in windows:
        for what in ("count", "count_change", "gap"):
            yield f"{table}_{what}_{days}d", what != "gap"
        for column in map(slug, spec.values):
            for what in ("sum", "sum_change", "mean", "std"):
                yield f"{table}_{column}_{what}_{days}d", what.startswith("sum")
        for column in spec.categories:
            for level in level_names(spec.levels.get(column, [])):
                yield f"{table}_{slug(column)}_share_{level}_{days}d", False
            yield f"{table}_{slug(column)}_levels_{days}d", True
        for column in map(slug, spec.distinct):
            yield f"{table}_{column}_distinct_{days}d", True


def feature_names(table: str, spec: EventTable, windows: list[int]) -> list[str]:
    """The columns that `window_features` makes, in order; levels as far as they are known."""
    return [name for name, _ in named_features(table, spec, windows)]


def feature_roles(cfg: EventsConfig) -> dict[str, list[str]]:
    """The features of a snapshot by their role: `numeric` and `categorical`."""
    numeric, categorical = [TENURE], []
    for name, spec in cfg.tables.items():
        numeric += feature_names(name, spec, cfg.windows)
    for name, held in cfg.properties.items():
        numeric += [f"{name}_{slug(column)}" for column in (*held.numeric, *held.dates)]
        categorical += [f"{name}_{slug(column)}" for column in held.categorical]
    return {"numeric": numeric, "categorical": categorical}
