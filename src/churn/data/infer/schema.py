"""The schema of a table: roles that the configuration does not set are inferred."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import pandas as pd

from churn.config.data import DataConfig
from churn.data.dataset import Finding, Schema
from churn.data.infer.cells import MISSING_WORDS, is_typed_number
from churn.data.infer.number_format import check_number_format, check_points
from churn.data.infer.roles import MANY_VALUES, Role, id_rank, infer_role, missing_words, value_table
from churn.data.infer.target import find_target, format_counts
from churn.data.table import RawTable
from churn.errors import UserError, did_you_mean, shell_override, user_error_of_many


def infer_schema(raw: RawTable, cfg: DataConfig) -> tuple[Schema, tuple[Finding, ...]]:
    """The schema of a table, and findings about the inferred roles.

    What `cfg.drop` names is left out, whatever else it is listed as. Raises `UserError` for columns of the
    configuration that the table does not have, an unclear target, numbers whose format has to be set, and
    columns declared numeric that have none.
    """
    cfg = replace(
        cfg,
        numeric=[name for name in cfg.numeric if name not in cfg.drop],
        categorical=[name for name in cfg.categorical if name not in cfg.drop],
    )
    _check_configured_roles(list(map(str, raw.frame)), cfg)
    frame = raw.frame.drop(columns=cfg.personal)
    names = list(map(str, frame))
    target, churned, blank_stayed, stayers = find_target(frame, cfg, raw.count_values)
    roles = {name: Role(key) for key in ("numeric", "categorical", "drop") for name in getattr(cfg, key)}
    others = [name for name in names if name not in {target, cfg.id, cfg.time, *roles}]
    id_column = cfg.id or _find_id_column(frame[others])
    undecided = [name for name in others if name != id_column]
    ids = pd.factorize(frame[id_column])[0] if id_column else None
    values = {name: value_table(frame[name], cfg, ids) for name in [*undecided, *cfg.numeric]}
    _refuse_number_formats(values, undecided, cfg)
    _refuse_words({name: values[name] for name in cfg.numeric}, cfg.max_bad_rows)
    roles |= {name: infer_role(name, values[name], len(frame)) for name in undecided}
    numeric, categorical, dropped = (
        tuple(name for name in names if name in roles and roles[name].name == role)
        for role in ("numeric", "categorical", "drop")
    )
    words = {name: missing_words(values[name]) for name in numeric}
    schema = Schema(
        target=target,
        churned=churned,
        numeric=numeric,
        categorical=categorical,
        id=id_column,
        time=cfg.time,
        dropped=dropped,
        missing=tuple(cfg.missing),
        missing_numbers=tuple(dict.fromkeys(chain.from_iterable(words.values()))),
        decimal=cfg.decimal,
        thousands=cfg.thousands,
        blank_stayed=blank_stayed,
    )
    if not schema.features:
        raise UserError(
            "no column is left to predict from", raw.origin, "see data.numeric and data.categorical"
        )
    findings = [stayers] if stayers else []
    findings += [role.finding for role in roles.values() if role.finding]
    findings += [_missing_words_finding(name, values[name], texts) for name, texts in words.items() if texts]
    return schema, tuple(findings)


def _refuse_number_formats(values: dict[str, pd.DataFrame], undecided: list[str], cfg: DataConfig) -> None:
    """Raise `UserError` for numbers that are not, or perhaps not, written as the configuration says."""
    found = [check_number_format(name, table) for name, table in values.items()]
    found += [check_points(name, values[name], cfg) for name in undecided]
    problems = [problem for problem in found if problem]
    if problems:
        raise user_error_of_many("the format of some numbers has to be set", problems)


def _refuse_words(values: dict[str, pd.DataFrame], allowed: int) -> None:
    """Raise `UserError` for columns of `data.numeric` that hold words, more than allowed, and no number."""
    wordy = {name: table["rows"] for name, table in values.items() if table["number"].isna().all()}
    problems = [
        UserError(
            f"column '{name}' is to be numeric, and has no number: {format_counts(rows)}",
            "data.numeric",
            f"leave it out there; as a category: {shell_override('data.categorical', name)}; "
            "a text that means 'missing' belongs in data.missing",
        )
        for name, rows in wordy.items()
        if rows.sum() > allowed and not set(map(str.lower, rows.index)) <= MISSING_WORDS
    ]
    if problems:
        raise user_error_of_many("some columns have no numbers", problems)


def _check_configured_roles(present: list[str], cfg: DataConfig) -> None:
    """Raise `UserError` for columns that are not in the table or have two roles, and a wrong decimal mark."""
    roles = [(key, name) for key in ("target", "id", "time") if (name := getattr(cfg, key)) is not None]
    lists = ("numeric", "categorical", "drop", "personal")
    roles += [(key, name) for key in lists for name in getattr(cfg, key)]
    keys_of: dict[str, list[str]] = {}
    for key, name in roles:
        keys_of.setdefault(name, []).append(f"data.{key}")
    problems = [
        UserError(f"there is no column '{name}'{did_you_mean(name, present)}", ", ".join(keys))
        for name, keys in keys_of.items()
        if name not in present
    ]
    problems += [
        UserError(f"column '{name}' has several roles", ", ".join(keys))
        for name, keys in keys_of.items()
        if len(keys) > 1
    ]
    problems += _unusable_protected_columns(present, cfg)
    if len(cfg.decimal) != 1 or cfg.decimal == cfg.thousands:
        problems.append(
            UserError(
                "the decimal mark must be one character, and not the thousands separator", "data.decimal"
            )
        )
    if problems:
        columns = ", ".join(present[:30]) + ", ..." * (len(present) > 30)
        raise user_error_of_many(f"the roles do not fit the table, whose columns are: {columns}", problems)


def _unusable_protected_columns(present: list[str], cfg: DataConfig) -> list[UserError]:
    """What is wrong with `data.protected`: its columns are features, or left out by `data.drop`."""
    no_groups = "column '{}' is the target, the id, the time or personal: its values are no groups"
    faults = {
        name: f"there is no column '{name}'{did_you_mean(name, present)}"
        if name not in present
        else no_groups.format(name)
        for name in cfg.protected
        if name not in present or name in (cfg.target, cfg.id, cfg.time, *cfg.personal)
    }
    return [UserError(fault, "data.protected") for fault in faults.values()]


def _find_id_column(frame: pd.DataFrame) -> str | None:
    """The column that names the customer: the name is that of an id, and customers have few rows each.

    A customer may have 50 rows, on average, if the name speaks of customers; otherwise the values must be
    nearly unique.
    """
    candidates: list[tuple[int, int, int, str]] = []
    for name in map(str, frame):
        rank, distinct, known = id_rank(name), frame[name].nunique(), frame[name].notna().sum()
        if is_typed_number(frame[name]) and (frame[name].dropna() % 1 != 0).any():
            continue  # amounts are no ids
        repeated = rank == 0 and distinct > max(MANY_VALUES, 0.02 * known)
        if rank is not None and (repeated or distinct >= max(2, 0.95 * known)):
            candidates.append((rank, -distinct, len(candidates), name))
    return min(candidates)[-1] if candidates else None


def _missing_words_finding(name: str, values: pd.DataFrame, words: tuple[str, ...]) -> Finding:
    """The finding about words that count as missing in a column of numbers."""
    rows, known = values["rows"][list(words)].sum(), values["rows"].sum()
    return Finding(
        f"column '{name}': {', '.join(map(repr, words))} among the numbers counts as missing",
        f"{rows:,} of {known:,} cells ({rows / known:.0%})",
        f"to keep it as a level of a category: {shell_override('data.categorical', name)}",
    )
