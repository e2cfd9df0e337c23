"""The roles of a table's columns, from what the configuration says and, for the rest, from the table."""

from __future__ import annotations

from itertools import chain

import pandas as pd

from churn.config.data import DataConfig
from churn.data.dataset import Finding, Schema, shell_override
from churn.data.infer.number_format import check_number_format
from churn.data.infer.roles import MANY_VALUES, Role, id_rank, infer_role, missing_words, value_table
from churn.data.infer.target import find_target
from churn.data.table import RawTable
from churn.errors import UserError, did_you_mean, user_error_of_many


def infer_schema(raw: RawTable, cfg: DataConfig) -> tuple[Schema, tuple[Finding, ...]]:
    """The schema of a table, and what was decided about columns that a reader must know.

    Raises `UserError` if the configuration names columns that are not there, if it is not clear what the
    target is, or if numbers are written in a way that has to be named.
    """
    frame, names = raw.frame, list(map(str, raw.frame))
    _check_configured_roles(names, cfg)
    target, churned = find_target(frame, cfg)
    roles = {name: Role(key) for key in ("numeric", "categorical", "drop") for name in getattr(cfg, key)}
    others = [name for name in names if name not in {target, cfg.id, cfg.time, *roles}]
    id_column = cfg.id or _find_id_column(frame[others])
    undecided = [name for name in others if name != id_column]
    values = {name: value_table(frame[name], cfg) for name in [*undecided, *cfg.numeric]}
    _refuse_number_formats(values)
    roles |= {name: infer_role(name, values[name], cfg) for name in undecided}

    def having(role: str) -> tuple[str, ...]:
        return tuple(name for name in names if name in roles and roles[name].name == role)

    words = {name: missing_words(values[name]) for name in having("numeric")}
    schema = Schema(
        target=target,
        churned=churned,
        numeric=having("numeric"),
        categorical=having("categorical"),
        id=id_column,
        time=cfg.time,
        dropped=having("drop"),
        missing=tuple(cfg.missing),
        missing_numbers=tuple(dict.fromkeys(chain.from_iterable(words.values()))),
        decimal=cfg.decimal,
        thousands=cfg.thousands,
    )
    if not schema.features:
        raise UserError(
            "no column is left to predict from", raw.origin, "see data.numeric and data.categorical"
        )
    findings = [role.finding for role in roles.values() if role.finding]
    findings += [_missing_words_finding(name, values[name], found) for name, found in words.items() if found]
    return schema, tuple(findings)


def _refuse_number_formats(values: dict[str, pd.DataFrame]) -> None:
    """Refuse numbers that are not written as the configuration says."""
    problems = [check_number_format(name, contents) for name, contents in values.items()]
    if found := [problem for problem in problems if problem]:
        raise user_error_of_many("some numbers are written in a way that has to be named", found)


def _check_configured_roles(present: list[str], cfg: DataConfig) -> None:
    """Refuse columns in the configuration that the table has not, or that have two roles."""
    told = [(key, name) for key in ("target", "id", "time") if (name := getattr(cfg, key)) is not None]
    told += [(key, name) for key in ("numeric", "categorical", "drop") for name in getattr(cfg, key)]
    keys: dict[str, list[str]] = {}
    for key, name in told:
        keys.setdefault(name, []).append(f"data.{key}")
    problems = [
        UserError(f"there is no column '{name}'{did_you_mean(name, present)}", ", ".join(places))
        for name, places in keys.items()
        if name not in present
    ]
    problems += [
        UserError(f"column '{name}' has several roles", ", ".join(places))
        for name, places in keys.items()
        if len(places) > 1
    ]
    if len(cfg.decimal) != 1 or cfg.decimal == cfg.thousands:
        problems.append(UserError("the decimal mark is not one character of its own", "data.decimal"))
    if problems:
        columns = ", ".join(present[:30]) + ", ..." * (len(present) > 30)
        raise user_error_of_many(f"the roles do not fit the table, whose columns are: {columns}", problems)


def _find_id_column(frame: pd.DataFrame) -> str | None:
    """The column that names the customer: called like an id, and with few rows of the same customer.

    Called after a customer, it may have up to 50 rows of each; else it must be all but unique.
    """
    ranked: list[tuple[int, int, int, str]] = []
    for name in map(str, frame):
        rank, kinds, known = id_rank(name), frame[name].nunique(), frame[name].notna().sum()
        repeated = rank == 0 and kinds > max(MANY_VALUES, 0.02 * known)
        if rank is not None and (repeated or kinds >= max(2, 0.95 * known)):
            ranked.append((rank, -kinds, len(ranked), name))
    return min(ranked)[-1] if ranked else None


def _missing_words_finding(name: str, values: pd.DataFrame, words: tuple[str, ...]) -> Finding:
    """What was taken as missing in a column of numbers."""
    rows, known = values["rows"][list(words)].sum(), values["rows"].sum()
    return Finding(
        f"column '{name}': {', '.join(map(repr, words))} among the numbers counts as missing",
        f"{rows:,} of {known:,} cells ({rows / known:.0%})",
        f"to keep it as a level of a category: {shell_override('data.categorical', name)}",
    )
