"""What a snapshot is made by: the configuration with all resolved, as it travels in files and bundles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any, cast

from omegaconf import OmegaConf

from churn.config.events import ChurnConfig, ChurnKind, EventsConfig, EventTable, TableConfig
from churn.errors import UserError

FORMAT = 1  # of the definition in files
BIGQUERY = "bq://"
GROUPS = ("tables", "contracts", "properties")
CONTINUES = 1  # days after the end of a contract on which the next may begin for the two to be one
NOT_STORED = (  # keys that say where, how and until when it is computed
    "cutoffs", "until", "engine", "memory_gb", "threads", "scratch", "plan_only", "synthetic", "max_bad_rows",
)  # fmt: skip


def label_days(churn: ChurnConfig, horizon: int) -> int:
    """Days after the cut-off until it is known who churned."""
    return horizon + (churn.grace if churn.kind is ChurnKind.not_renewed else 0)


def days_to_hold(churn: ChurnConfig, horizon: int) -> int:
    """Days after the cut-off that the data must hold: after its last day a contract may go on the next."""
    return label_days(churn, horizon) + (CONTINUES if churn.kind is ChurnKind.cancelled else 0)


def reach(windows: list[int]) -> int:
    """Days before the cut-off that features look at: the longest window, and the one before it."""
    return 2 * max(windows)


def tables_of(cfg: EventsConfig) -> dict[str, TableConfig]:
    """All tables by name."""
    return {**cfg.tables, **cfg.contracts, **cfg.properties}


def table_keys(cfg: EventsConfig, name: str) -> str:
    """Where the keys of a table stand."""
    group = next(group for group in GROUPS if name in getattr(cfg, group))
    return f"events.{group}.{name}"


def columns_of(spec: TableConfig) -> dict[str, str]:
    """The columns of a table that are read, with the key that names each."""
    columns = {name: key for key, name in named_columns(spec)}
    return columns | {name: "only" for name in spec.only if name not in columns}


def named_columns(spec: TableConfig) -> Iterator[tuple[str, str]]:
    """Key and column, for each column that a key names."""
    for key in ("customer", "arrival", "time", "begin", "end", "since"):
        if name := getattr(spec, key, None):
            yield key, name
    for key in ("values", "categories", "distinct", "numeric", "categorical", "dates"):
        for name in getattr(spec, key, []):
            yield key, name


def to_json(cfg: EventsConfig) -> dict[str, Any]:
    """What decides the features and the label, for JSON; where and how it is computed is left out."""
    content = cast("dict[str, Any]", OmegaConf.to_container(OmegaConf.structured(cfg), enum_to_str=True))
    return {"format": FORMAT, **{key: value for key, value in content.items() if key not in NOT_STORED}}


def from_json(content: dict[str, Any], cfg: EventsConfig) -> EventsConfig:
    """The definition that was stored, with the engine and the places of `cfg`, where that names some.

    Raises `UserError` for a definition of another version, and if `cfg` defines something else.
    """
    content = dict(content)
    if (version := content.pop("format", None)) != FORMAT:
        raise UserError(
            f"the definition has format {version}, this program reads {FORMAT}", do="churn snapshot again"
        )
    merged = OmegaConf.merge(OmegaConf.structured(EventsConfig), content)
    stored = cast("EventsConfig", OmegaConf.to_object(merged))
    stored = replace(stored, **{key: getattr(cfg, key) for key in NOT_STORED})
    if not tables_of(cfg):
        _refuse_other(EventsConfig(), cfg)
        return replace(stored, folder=cfg.folder or stored.folder)
    _refuse_other(stored, cfg)
    return _with_places(stored, cfg)


def _refuse_other(ours: EventsConfig, cfg: EventsConfig) -> None:
    """Raise `UserError` if a configuration differs from a definition in more than its places and its name."""
    expected, given = _plain(ours), _plain(cfg)
    differing = sorted(key for key in expected if expected[key] != given[key] and key != "name")
    if differing:
        raise UserError(
            f"the definition is not the one that the model learnt from; other: {', '.join(differing)}",
            "the file of events=, and the keys events.*",
            "undo the change, or make the snapshots and the model anew",
        )


def _with_places(stored: EventsConfig, cfg: EventsConfig) -> EventsConfig:
    changed: dict[str, Any] = {}
    for group in GROUPS:
        places = {name: spec.path for name, spec in getattr(cfg, group).items()}
        specs = getattr(stored, group).items()
        changed[group] = {name: replace(spec, path=places[name]) for name, spec in specs}
    return replace(stored, folder=cfg.folder, **changed)


def _plain(cfg: EventsConfig) -> dict[str, Any]:
    """A definition without places, and without what is found in the data where it is left open."""
    settings = asdict(cfg)
    for key in (*NOT_STORED, "folder", "max_levels"):
        del settings[key]
    for group in GROUPS:
        for spec in settings[group].values():
            for key in ("path", "levels", "drop_copies"):
                spec.pop(key, None)
    return settings


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
