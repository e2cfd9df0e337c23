"""The features of customers as they are today, by the definition and the code that a model learnt by."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from churn.bundle.bundle import Bundle
from churn.config.events import Engine, EventsConfig
from churn.config.root import Config
from churn.errors import UserError
from churn.events.calendar import to_date, to_day, today
from churn.events.checks import check_definition, check_not_read, require_engine
from churn.events.definition import from_json, reach
from churn.events.writing import write_snapshot
from churn.scratch import scratch_folder

if TYPE_CHECKING:
    from churn.events.workspace import Workspace

INPUT = "events"  # what `input` is called where the features are made of event tables


def definition_of(bundle: Bundle, cfg: Config) -> EventsConfig:
    """The definition inside a bundle, run by the configuration's engine; raises `UserError` if none is."""
    definition = bundle.facts.get("events")
    if definition is None:
        raise UserError(
            "the bundle's model did not learn from a snapshot of event tables",
            str(bundle.path),
            "bundle=RUN/bundle names the one of a run that did; to make one: churn snapshot output=FILE, "
            "then churn train data=parquet data.path=FILE",
        )
    return from_json(definition, cfg.events)


@contextmanager
def scoring_features(bundle: Bundle, cfg: Config) -> Iterator[Config]:
    """The configuration with a file of today's features in place of `input=events`, for a while."""
    if cfg.input != INPUT:
        yield cfg
        return
    events = definition_of(bundle, cfg)
    check_definition(events)
    require_engine()
    check_not_read(str(cfg.output), events)
    cutoff = _cutoff(cfg.score.cutoff, events)
    with scratch_folder(Path(events.scratch) if events.scratch else None) as folder:
        file = folder / "today.parquet"
        contents = write_snapshot(_rows_at(events, cfg, cutoff), events, file, 0, cfg.seed)
        print(
            f"{contents.rows:,} customers as they were known at the beginning of {to_date(cutoff)}",
            flush=True,
        )
        yield replace(cfg, input=str(file))


def _cutoff(text: str | None, events: EventsConfig) -> int:
    """The day of the question: the one named, else today on the clock of the definition."""
    if text is not None:
        return to_day(text, "score.cutoff")
    return today(events.timezone)


def _rows_at(events: EventsConfig, cfg: Config, cutoff: int) -> Iterator[pa.Table]:
    """The rows of one cut-off, without labels."""
    if events.engine is Engine.bigquery:
        from churn.events.bigquery import snapshot_parts as by_bigquery

        yield from by_bigquery(events, cfg, [cutoff], labelled=False)
        return
    from churn.events.duck import snapshot_parts
    from churn.events.workspace import open_workspace

    with open_workspace(events, cfg.data.bigquery) as work:
        _check_freshness(work, cutoff)
        yield from snapshot_parts(work, [cutoff], labelled=False)


def _check_freshness(work: Workspace, cutoff: int) -> None:
    """Refuse a cut-off that no window reaches back from; warn of tables that end some days before it."""
    from churn.events.history import ended_tables

    before = f"WHERE day < {cutoff}"  # what is booked for later does not make the tables fresh
    newest = [work.one(f"SELECT max(day) FROM all_{name} {before}") for name in work.cfg.tables]
    days = [day for day in newest if day is not None]
    if days and (age := cutoff - max(days)) > reach(work.cfg.windows):
        raise UserError(
            f"the newest event is of {to_date(max(days))}, {age:,} days before the cut-off {to_date(cutoff)}",
            "score.cutoff",
            f"name newer tables, or ask at another date: score.cutoff={to_date(max(days) + 1)}",
        )
    for name, day in ended_tables(work, cutoff):
        what = f"'{name}' has no event"
        if day is not None:
            what = f"the newest event of '{name}' is of {to_date(day)}, {cutoff - day} days"
        print(f"! {what} before the cut-off {to_date(cutoff)}", flush=True)
    for name in work.cfg.properties:
        if not work.one(f"SELECT count(*) FROM all_{name}"):
            print(f"! '{name}' has no row that can be used", flush=True)
