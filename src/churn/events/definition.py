"""What a snapshot is made by: the configuration with all resolved, as it travels in files and bundles."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any, cast

from omegaconf import OmegaConf

from churn.config.events import ChurnConfig, ChurnKind, EventsConfig, EventTable, TableConfig
from churn.config.limits import check_bounds
from churn.errors import UserError, did_you_mean, missing_extra, user_error_of_many
from churn.events.calendar import check_zone
from churn.events.names import feature_names, slug

FORMAT = 1  # of the definition in files
BIGQUERY = "bq://"
NOT_STORED = (
    "cutoffs",
    "engine",
    "memory_gb",
    "threads",
    "scratch",
    "plan_only",
    "synthetic",
    "max_bad_rows",
)


def label_days(churn: ChurnConfig, horizon: int) -> int:
    """Days after the cut-off until it is known who churned."""
    return horizon + (churn.grace if churn.kind is ChurnKind.not_renewed else 0)


def reach(windows: list[int]) -> int:
    """Days before the cut-off that features look at: the longest window, and the one before it."""
    return 2 * max(windows)


def tables_of(cfg: EventsConfig) -> dict[str, TableConfig]:
    """All tables by name."""
    return {**cfg.tables, **cfg.contracts, **cfg.properties}


def columns_of(spec: TableConfig) -> dict[str, str]:
    """The columns of a table that are read, with the key that names each."""
    told = {name: key for key, name in _named_columns(spec)}
    return told | {name: "only" for name in spec.only if name not in told}


def _named_columns(spec: TableConfig) -> Iterator[tuple[str, str]]:
    """Key and column, for each column that a key names."""
    for key in ("customer", "arrival", "time", "begin", "end", "since"):
        if name := getattr(spec, key, None):
            yield key, name
    for key in ("values", "categories", "distinct", "numeric", "categorical", "dates"):
        for name in getattr(spec, key, []):
            yield key, name


def check_definition(cfg: EventsConfig) -> None:
    """Raise one `UserError` that lists all in which a definition is incomplete or contradicts itself."""
    if not tables_of(cfg):
        raise UserError(
            "no event tables are named",
            "events",
            "write configs/events/NAME.yaml (see docs/events.md), or try the made-up ones: events=synthetic",
        )
    check_bounds(cfg)
    check_zone(cfg.timezone)
    problems = [
        *_table_problems(cfg),
        *_churn_problems(cfg),
        *_name_problems(cfg),
    ]
    if problems:
        raise problems[0] if len(problems) == 1 else user_error_of_many("the definition of events:", problems)


def _table_problems(cfg: EventsConfig) -> Iterator[UserError]:
    """Keys of tables that are missing, or columns with two roles."""
    needed = {"tables": ("path", "customer", "time"), "contracts": ("path", "customer", "begin", "end"),
              "properties": ("path", "customer")}  # fmt: skip
    for group, keys in needed.items():
        for name, spec in getattr(cfg, group).items():
            place = f"events.{group}.{name}"
            if not re.fullmatch(r"[A-Za-z]\w*", name):
                yield UserError(f"'{name}' is no name of a table", place, "use letters, digits and _")
            for key in keys:
                if getattr(spec, key) is None:
                    yield UserError(f"{place}.{key} is not named")
            counts = Counter(column for _, column in _named_columns(spec))
            for column in (column for column, count in counts.items() if count > 1):
                yield UserError(f"column '{column}' has several roles", place)
            if cfg.engine.value == "bigquery" and spec.path and not spec.path.startswith(BIGQUERY):
                yield UserError(
                    "BigQuery reads its own tables only", f"{place}.path", "write bq://PROJECT.DATASET.TABLE"
                )
    for name, count in Counter([*cfg.tables, *cfg.contracts, *cfg.properties]).items():
        if count > 1:
            yield UserError(f"several tables are called '{name}'", "events")
    for name, spec in cfg.tables.items():
        for column in spec.levels.keys() - set(spec.categories):
            yield UserError(f"'{column}' is no category", f"events.tables.{name}.levels")


def _churn_problems(cfg: EventsConfig) -> Iterator[UserError]:
    """A definition of churn that names what is not there."""
    churn = cfg.churn
    known = [*cfg.tables] if churn.kind is ChurnKind.inactive else [*cfg.contracts]
    if churn.kind is ChurnKind.cancelled:
        known += cfg.tables
    if churn.table not in known:
        hint = did_you_mean(churn.table or "", known)
        yield UserError(
            f"churn.kind={churn.kind.value} needs a table, and there is no '{churn.table}' for it{hint}",
            "events.churn.table",
            f"one of: {', '.join(known) or 'none is defined'}",
        )
    elif churn.kind is ChurnKind.cancelled and churn.table in cfg.tables and churn.begin not in cfg.tables:
        yield UserError(
            "cancellations are events; with which events does somebody become a customer?",
            "events.churn.begin",
            f"one of: {', '.join(cfg.tables)}",
        )


def _name_problems(cfg: EventsConfig) -> Iterator[UserError]:
    """Features that would have the same name."""
    names = [name for name, spec in cfg.tables.items() for name in feature_names(name, spec, cfg.windows)]
    names += [
        f"{table}_{slug(column)}"
        for table, spec in cfg.properties.items()
        for column in _property_columns(spec)
    ]
    for name, count in Counter(names).items():
        if count > 1:
            yield UserError(f"two columns would be called '{name}'", "events", "rename a table or a column")


def _property_columns(spec: Any) -> list[str]:
    """The columns of a table of properties that become features."""
    return [*spec.numeric, *spec.categorical, *spec.dates]


def to_json(cfg: EventsConfig) -> dict[str, Any]:
    """What decides the features and the label, for JSON; where and how it is computed is left out."""
    told = cast("dict[str, Any]", OmegaConf.to_container(OmegaConf.structured(cfg), enum_to_str=True))
    return {"format": FORMAT, **{key: value for key, value in told.items() if key not in NOT_STORED}}


def from_json(told: dict[str, Any], cfg: EventsConfig) -> EventsConfig:
    """The definition that was stored, with the engine of `cfg`; and its places, if both have the same name.

    Raises `UserError` for a definition of another version.
    """
    told = dict(told)
    if (version := told.pop("format", None)) != FORMAT:
        raise UserError(
            f"the definition has format {version}, this program reads {FORMAT}", do="churn snapshot again"
        )
    made = OmegaConf.merge(OmegaConf.structured(EventsConfig), told)
    stored = cast("EventsConfig", OmegaConf.to_object(made))
    stored = replace(stored, **{key: getattr(cfg, key) for key in NOT_STORED})
    return _with_places(stored, cfg) if cfg.name == stored.name and tables_of(cfg) else stored


def _with_places(stored: EventsConfig, cfg: EventsConfig) -> EventsConfig:
    """The stored definition with the configuration's paths; raises `UserError` if they differ otherwise."""
    ours, theirs = _plain(stored), _plain(cfg)
    if differing := sorted(key for key in ours if ours[key] != theirs[key]):
        raise UserError(
            f"the definition '{cfg.name}' is not the one that the model learnt from; other: "
            f"{', '.join(differing)}",
            f"configs/events/{cfg.name}.yaml",
            "undo the change, or make the snapshots and the model anew",
        )
    changed: dict[str, Any] = {
        group: {
            name: replace(spec, path=getattr(cfg, group)[name].path)
            for name, spec in getattr(stored, group).items()
        }
        for group in ("tables", "contracts", "properties")
    }
    return replace(stored, folder=cfg.folder, **changed)


def _plain(cfg: EventsConfig) -> dict[str, Any]:
    """A definition without places, and without what is found in the data where it is left open."""
    told = asdict(cfg)
    for key in (*NOT_STORED, "folder", "until", "max_levels"):
        del told[key]
    for group in ("tables", "contracts", "properties"):
        for spec in told[group].values():
            for key in ("path", "levels", "drop_copies"):
                spec.pop(key, None)
    return told


def with_levels(cfg: EventsConfig, levels: dict[str, dict[str, list[str]]]) -> EventsConfig:
    """The definition with the levels of categories that were found, by table and column."""
    tables = {name: replace(spec, levels=levels[name] | spec.levels) for name, spec in cfg.tables.items()}
    return replace(cfg, tables=tables)


def with_copies_dropped(cfg: EventsConfig, dropped: dict[str, bool]) -> EventsConfig:
    """The definition with what is done about copies of events, by table."""
    tables: dict[str, EventTable] = {
        name: replace(spec, drop_copies=dropped[name] if spec.drop_copies is None else spec.drop_copies)
        for name, spec in cfg.tables.items()
    }
    return replace(cfg, tables=tables)


def require_engine() -> None:
    """Raise `UserError` where the packages of this stage are not installed."""
    from importlib.util import find_spec

    if find_spec("ibis") is None or find_spec("duckdb") is None:
        raise missing_extra("ibis-framework", "events")
