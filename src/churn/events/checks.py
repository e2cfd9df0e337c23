"""Whether a definition is complete, and does not contradict itself."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from churn.config.events import ChurnKind, Engine, EventsConfig, EventTable, TableConfig
from churn.config.limits import check_bounds
from churn.data.spelling import one_spelling
from churn.errors import UserError, did_you_mean, missing_extra, user_error_of_many
from churn.events.calendar import check_zone, to_day
from churn.events.definition import BIGQUERY, named_columns, tables_of
from churn.events.names import feature_roles

NEEDED = {  # keys without which a table cannot be read
    "tables": ("path", "customer", "time"),
    "contracts": ("path", "customer", "begin", "end"),
    "properties": ("path", "customer"),
}
ANEW = "if a model has learnt by it, make the snapshots and the model anew"


def check_definition(cfg: EventsConfig) -> None:
    """Raise one `UserError` that lists all in which a definition is incomplete or contradicts itself."""
    if not tables_of(cfg):
        raise UserError(
            "no event tables are named",
            "events",
            "write configs/events/NAME.yaml (see docs/events.md), or try the example: events=synthetic",
        )
    check_bounds(cfg)
    _check_times(cfg)
    problems = [*_table_problems(cfg), *_churn_problems(cfg), *_name_problems(cfg)]
    if problems:
        raise problems[0] if len(problems) == 1 else user_error_of_many("the definition of events:", problems)


def _check_times(cfg: EventsConfig) -> None:
    """Refuse a zone, dates or windows that are none."""
    check_zone(cfg.timezone)
    dates = {"cutoffs.first": cfg.cutoffs.first, "cutoffs.last": cfg.cutoffs.last, "until": cfg.until}
    for key, date in dates.items():
        if date is not None:
            to_day(date, f"events.{key}")
    if len(set(cfg.windows)) < max(len(cfg.windows), 1):
        what = "a window stands there twice" if cfg.windows else "there is no window"
        raise UserError(what, f"events.windows={cfg.windows}", "name days, for example [30,90]")


def _table_problems(cfg: EventsConfig) -> Iterator[UserError]:
    """Tables with keys that are missing, or with names or places that cannot be used."""
    for group, keys in NEEDED.items():
        for name, spec in getattr(cfg, group).items():
            place = f"events.{group}.{name}"
            if not re.fullmatch(r"[A-Za-z]\w*", name):
                yield UserError(f"'{name}' is no name of a table", place, "use letters, digits and _")
            yield from (
                UserError(f"{place}.{key} is not named") for key in keys if getattr(spec, key) is None
            )
            if cfg.engine is Engine.bigquery and spec.path and not spec.path.startswith(BIGQUERY):
                do = "write bq://PROJECT.DATASET.TABLE"
                yield UserError("BigQuery reads its own tables only", f"{place}.path", do)
            yield from _column_problems(spec, place)


def _column_problems(spec: TableConfig, place: str) -> Iterator[UserError]:
    """Columns with several roles, and levels of what is no category."""
    counts = Counter(column for _, column in named_columns(spec))
    for column in (column for column, count in counts.items() if count > 1):
        yield UserError(f"column '{column}' has several roles", place)
    yield from _missing_texts(spec.only, f"{place}.only")
    if isinstance(spec, EventTable):
        for column in spec.levels.keys() - set(spec.categories):
            yield UserError(f"'{column}' is no category", f"{place}.levels")
        yield from _missing_texts(spec.levels, f"{place}.levels")
        yield from _copied_levels(spec.levels, f"{place}.levels")


def _missing_texts(named: dict[str, list[str]], place: str) -> Iterator[UserError]:
    """Texts, by column, that no cell can have."""
    for column, texts in named.items():
        for text in (text for text in texts if not one_spelling(text)):
            yield UserError(f"'{text}', named for '{column}', means missing", place, "leave it out; " + ANEW)


def _copied_levels(named: dict[str, list[str]], place: str) -> Iterator[UserError]:
    """Levels, by column, that are several spellings of one."""
    for column, levels in named.items():
        for spelling, count in Counter(map(one_spelling, levels)).items():
            if count > 1:
                what = f"{count} levels named for '{column}' are one, spelled '{spelling}'"
                yield UserError(what, place, "name one of them; " + ANEW)


def _churn_problems(cfg: EventsConfig) -> Iterator[UserError]:
    """A definition of churn that names what is not there."""
    churn, events = cfg.churn, [*cfg.tables]
    known = {ChurnKind.inactive: events, ChurnKind.not_renewed: [*cfg.contracts]}.get(
        churn.kind, [*cfg.contracts, *events]
    )
    if churn.table not in known:
        hint = did_you_mean(churn.table or "", known)
        what = f"churn.kind={churn.kind.value} needs a table, and there is no '{churn.table}' for it{hint}"
        yield UserError(what, "events.churn.table", f"one of: {', '.join(known) or 'none is defined'}")
    elif churn.kind is ChurnKind.cancelled and churn.table in events and churn.begin not in events:
        what = "cancellations are events; with which events does somebody become a customer?"
        yield UserError(what, "events.churn.begin", f"one of: {', '.join(events)}")


def _name_problems(cfg: EventsConfig) -> Iterator[UserError]:
    """Tables, or features, that would have the same name."""
    tables = Counter(name.lower() for name in (*cfg.tables, *cfg.contracts, *cfg.properties))
    for name, count in tables.items():
        if count > 1:
            yield UserError(f"several tables are called '{name}', capitals or not", "events")
    names = Counter(name.lower() for names in feature_roles(cfg).values() for name in names)
    for name, count in names.items():
        if count > 1:
            what = f"two columns would be called '{name}', capitals or not"
            yield UserError(what, "events", "rename a table or a column")


def check_not_read(output: str, cfg: EventsConfig) -> None:
    """Raise `UserError` if the output would replace a table of a definition, or be among its files."""
    from churn.data.writers import check_unread
    from churn.events.reading import table_place

    for name, spec in tables_of(cfg).items():
        check_unread(output, table_place(cfg, spec), f"events, table '{name}'")


def require_engine() -> None:
    """Raise `UserError` where the packages of this stage are not installed."""
    from importlib.util import find_spec

    if find_spec("ibis") is None or find_spec("duckdb") is None:
        raise missing_extra("ibis-framework", "events")
