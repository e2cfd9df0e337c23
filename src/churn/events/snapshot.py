"""The snapshot itself: a row for each customer and cut-off, with what was known then and what came after."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import ibis
import ibis.expr.types as ir

from churn.config.events import EventsConfig, EventTable, PropertyTable
from churn.events.calendar import DAY
from churn.events.names import CHURNED, CUSTOMER, CUTOFF, TENURE, named_features, slug
from churn.events.outcome import population, with_outcome
from churn.events.windows import window_features

KEYS = [CUSTOMER, CUTOFF]


def snapshot(
    tables: Mapping[str, ir.Table],
    cfg: EventsConfig,
    ages: ir.Table,
    labelled: bool = True,
    whole: Mapping[str, Collection[str]] | None = None,
) -> ir.Table:
    """customer, cutoff (day), the features, and if `labelled` what became of the customer.

    `tables` by name as `churn.events.staging` makes them; `ages`: day, cutoff and age, for every day from the
    longest reach before each cut-off to the end of the horizon; `whole`: by table, the columns of which
    `churn.events.windows` may know that nothing is missing. The same expression makes training rows and the
    rows of today; only the label needs to know what comes after.
    """
    rows = population(tables, cfg, ages)
    features = [TENURE]
    made = with_outcome(rows, tables, cfg, ages) if labelled else rows
    for name, spec in cfg.tables.items():
        found = window_features(name, tables[name], ages, spec, cfg.windows, (whole or {}).get(name, ()))
        joined = made.left_join(found, KEYS)
        filled = _fill_missing(joined, name, spec, cfg.windows)
        made = joined.select(*made.columns, **filled)
        features += filled
    for name, properties in cfg.properties.items():
        found = _properties_as_of(name, tables[name], rows, properties)
        joined = made.left_join(found, KEYS)
        features += [column for column in found.columns if column not in KEYS]
        made = joined.select(*made.columns, *found.columns[len(KEYS) :])
    return made.select(*KEYS, *features, *([CHURNED] if labelled else []))


def _fill_missing(joined: ir.Table, table: str, spec: EventTable, windows: list[int]) -> dict[str, ir.Value]:
    """The same columns of a table in which some customers have no event: their counts and sums are 0."""
    return {
        name: ibis.coalesce(joined[name], 0.0) if is_zero else joined[name]
        for name, is_zero in named_features(table, spec, windows)
    }


def _properties_as_of(table: str, held: ir.Table, rows: ir.Table, spec: PropertyTable) -> ir.Table:
    """Customer, cut-off and the properties that held, and were known, before it: those of the newest row."""
    pairs = rows.select(*KEYS).join(held, CUSTOMER)
    before = pairs.filter((pairs.since < pairs[CUTOFF] * DAY) & (pairs.known < pairs[CUTOFF]))
    order = [before.since.desc(), before.known.desc(), *_tie_break(before, spec)]
    newest = before.mutate(place=ibis.row_number().over(group_by=KEYS, order_by=order))
    newest = newest.filter(newest.place == 0)
    columns = {f"{table}_{slug(name)}": newest[f"number_{slug(name)}"] for name in spec.numeric}
    columns |= {f"{table}_{slug(name)}": newest[f"text_{slug(name)}"] for name in spec.categorical}
    columns |= {
        f"{table}_{slug(name)}": (newest[CUTOFF] - newest[f"date_{slug(name)}"]).cast("float64")
        for name in spec.dates
    }
    return newest.select(*KEYS, **columns)


def _tie_break(held: ir.Table, spec: PropertyTable) -> list[ir.Value]:
    """An order of rows from the same moment that is the same in every engine: no value is missing in it."""
    numbers = [f"number_{slug(name)}" for name in spec.numeric] + [
        f"date_{slug(name)}" for name in spec.dates
    ]
    texts = [f"text_{slug(name)}" for name in spec.categorical]
    return [ibis.coalesce(held[name], 0) for name in numbers] + [
        ibis.coalesce(held[name], "") for name in texts
    ]
