"""The column that says who left, and its values that mean "left"."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from churn.config.data import DataConfig
from churn.data.dataset import Finding, Schema
from churn.data.infer.cells import MISSING_WORDS, as_written
from churn.data.infer.roles import MANY_VALUES, split_words
from churn.data.spelling import one_spelling, spell_alike, spell_all, spelling_steps
from churn.data.table import IN_MEMORY
from churn.errors import UserError, count, quoted, shell_override

WORDS = {"churn", "churned", "churner", "ischurn", "attrition", "attrited", "exited"}
LEAVER = {"churn", "churned", "churner", "left", "exited", "lost", "leave", "leaver", "leaving"}
LEAVER |= {"attrited customer", "attrited", "cancelled", "canceled", "terminated", "deactivated"}
YES = {"yes", "y", "1", "t", "ja", "oui", "sí", "si", "sì", "sim", "tak", "ano", "áno", "da", "да", "evet"}
YES |= {"igen", "kyllä", "jah", "ναι", "так", "是", "はい", "예"}
STAYER = {"no churn", "not churned", "non-churn", "non-churner", "stayed", "stay", "stayer", "retained"}
STAYER |= {"kept", "existing customer", "existing", "active", "loyal", "current", "not left", "not exited"}
NO = {"no", "n", "0", "-1", "f", "nej", "nein", "nee", "nei", "non", "não", "nao", "nie", "ne", "нет", "нi"}
NO |= {"nu", "nem", "ei", "όχι", "hayır", "ні", "否", "いいえ", "아니요", "아니오"}
# Words in the names of columns such as "IsActive" or "not churned", and those beside them that say nothing.
STAYING = {word for word in STAYER if word.isalpha()} | {"stays", "staying", "retention", "renewed"}
STAYING |= {"remained", "still", "aktiv", "actif", "activo", "ativo", "attivo"}
LEAVING = WORDS | {word for word in LEAVER if word.isalpha()}
NOT = {"not", "no", "non", "never", "un"}
BESIDE = {"is", "has", "was", "yet", "a", "an", "flag", "customer", "client", "member", "user", "account"}
BESIDE |= {
    "subscriber",
    "status",
    "indicator",
    "ind",
    "yn",
    "currently",
    "subscription",
    "policy",
    "employee",
}
BESIDE |= {
    "contract",
    "service",
    "plan",
    "with",
    "us",
    "bank",
    "will",
    "did",
    "ist",
    "est",
    "kunde",
    "target",
}
BESIDE |= {"label", "y", "months", "d", "m"}  # of 30d and 12m
ANY = "*"  # in data.churned: every cell that is filled
SHOWN = 10  # candidates, and values, that a message lists
FEW = 3  # values beside those that are understood: so many may mean "not known"


class Target(NamedTuple):
    """The target of a table."""

    name: str
    churned: tuple[str, ...]  # as in `Schema`
    blank_stayed: bool  # as in `Schema`
    finding: Finding | None = None  # the values that count as stayed without saying so


def find_target(
    frame: pd.DataFrame, cfg: DataConfig, count_values: Callable[[str], pd.Series] | None = None
) -> Target:
    """The target of a table; raises `UserError`, with candidates and counted values, if it is not clear.

    count_values: where `frame` is a sample, the rows of each value of a column in the whole table.
    """
    name = cfg.target or _likely_target(frame, cfg)
    counts, blank = _filled(count_values(name), cfg) if count_values else _count_values(frame[name], cfg)
    churned = _configured_values(name, counts, blank, cfg) if cfg.churned else _usual_values(counts)
    all_filled = ANY in churned or set(counts.index) <= set(churned)
    blank_stayed = bool(cfg.churned) and all_filled and blank > 0 and "" not in churned
    unknown = _suggest_missing(counts, blank, cfg)
    if unknown and count_values:
        unknown += f", and {IN_MEMORY}"
    if not churned or (all_filled and not blank_stayed):
        raise UserError(
            f"the target does not show who left and who stayed; its values: {format_counts(counts, blank)}",
            f"column '{name}'",
            _suggest_values(counts, blank, unknown, cfg),
        )
    if not cfg.churned:
        _refuse_name_of_stayers(name, counts, churned)
    return Target(name, churned, blank_stayed, _find_silent_stayers(name, churned, counts, unknown, cfg))


def _refuse_name_of_stayers(name: str, counts: pd.Series, yes: tuple[str, ...]) -> None:
    """Raise `UserError` if the column says who stayed, by yes and no: yes would count as "left"."""
    others = [value for value in counts.index if value not in yes]
    if _says_who_stayed(name) and set(map(_plain, counts.index)) <= YES | NO:
        is_left = shell_override("data.churned", *others)
        raise UserError(
            f"the target's name says who stayed, its values only yes and no: {format_counts(counts)}",
            f"column '{name}'",
            f"name those that mean 'left': {is_left}, or {shell_override('data.churned', *yes)}",
        )


def _says_who_stayed(name: str) -> bool:
    """Whether a column's name says that somebody stayed, and nothing else: "IsActive" or "not churned"."""
    words = [word for word in split_words(name) if word.isalpha() and word not in BESIDE]
    first, *others = [word.removeprefix("is") for word in words] or [""]
    if first in NOT:
        return bool(others) and {*others} <= LEAVING
    opposite = re.sub("^(?:un|non)", "", first)  # unchurned
    if opposite != first and opposite in LEAVING:
        return not others
    return {first, *others} <= STAYING


def left_and_blank(spelled: np.ndarray, schema: Schema) -> tuple[np.ndarray, np.ndarray]:
    """[n] which cells of the target, in their one spelling, mean "left"; [n] which are blank, and wrong."""
    left = np.isin(spelled, list(spell_all(schema.churned, schema)))
    if ANY in schema.churned:
        left |= spelled != ""
    wrong = "" not in schema.churned and not schema.blank_stayed
    return left, (spelled == "") & wrong


def _count_values(column: pd.Series, cfg: DataConfig) -> tuple[pd.Series, int]:
    """The rows of each value as written in the table, and the blank ones."""
    return _filled(as_written(column).value_counts(), cfg)


def _filled(counts: pd.Series, cfg: DataConfig) -> tuple[pd.Series, int]:
    """The counts of the filled values, and the number of blank rows."""
    filled = counts[(spell_alike(counts.index.to_series(), spelling_steps(cfg)) != "").to_numpy()]
    return filled, int(counts.sum() - filled.sum())


def _suggest_values(counts: pd.Series, blank: int, unknown: str, cfg: DataConfig) -> str:
    """What to type if the target's values do not speak for themselves; `unknown`: if some are not known."""
    example = next((value for value in counts.index if _plain(value) in LEAVER | YES), "VALUE")
    do = f"if some of the values mean 'left', name them, e.g. {shell_override('data.churned', example)}"
    if blank and len(counts):
        do += f"; if every filled cell means it, and blank 'stayed': {shell_override('data.churned', ANY)}"
    return do if cfg.churned or not unknown else f"{do}; {unknown}"


def _suggest_missing(counts: pd.Series, blank: int, cfg: DataConfig) -> str:
    """What to type if values beside words for both "left" and "stayed" mean "not known"; empty if many do."""
    plain = list(map(_plain, counts.index))
    left, stayed = LEAVER | YES | set(map(_plain, cfg.churned)), STAYER | NO
    others = counts[[text not in left | stayed for text in plain]]
    few = 0 < len(others) <= FEW and 2 * others.sum() < counts.sum()
    if not few or left.isdisjoint(plain) or stayed.isdisjoint(plain):
        return ""
    means = "means" if len(others) == 1 else "mean"
    return (
        f"if {' and '.join(map(quoted, others.index))} {means} 'not known', in every column: "
        f"{shell_override('data.missing', *cfg.missing, *others.index)} "
        f"data.max_bad_rows={max(cfg.max_bad_rows, blank) + others.sum()}"
    )


def _find_silent_stayers(
    name: str, churned: tuple[str, ...], counts: pd.Series, unknown: str, cfg: DataConfig
) -> Finding | None:
    """The finding about values that count as stayed because `data.churned` does not name them.

    There is none if all are words for "stayed", or if there is one only: it is the other of two.
    """
    stayed = counts[[value not in churned for value in counts.index]]
    unclear = [text for text in map(_plain, stayed.index) if text not in STAYER | NO]
    if not cfg.churned or {ANY, ""} & set(churned) or not unclear:
        return None
    if len(stayed) == 1 and MISSING_WORDS.isdisjoint(unclear):
        return None
    return Finding(
        f"column '{name}': every value that data.churned does not name counts as 'stayed'",
        f"counted as stayed: {format_counts(stayed)}",
        unknown or "name in data.churned all values that mean 'left'",
    )


def _likely_target(frame: pd.DataFrame, cfg: DataConfig) -> str:
    """The only column with the name of a target; of several, the only one with the usual values.

    Raises `UserError`, with the candidates, if there is none, or if the values of another one speak for it.
    """
    others = {*cfg.drop, *cfg.numeric, *cfg.categorical, cfg.id, cfg.time}
    columns = [name for name in map(str, frame) if name not in others]
    named = [name for name in columns if _is_target_name(name)]
    usual = [name for name in named if _usual_values(_count_values(frame[name], cfg)[0])]
    if len(usual) == 1:
        return usual[0]
    if len(named) == 1 and cfg.churned:
        return named[0]
    counted = {name: _count_values(frame[name], cfg) for name in usual or columns}
    candidates = usual or _candidates(counted, named)
    columns = [name for name, (counts, _) in counted.items() if 1 < len(counts) <= MANY_VALUES] or columns
    if candidates == named and len(named) == 1:
        return named[0]
    lines = [f"'{name}': {format_counts(*counted[name])}" for name in candidates[:SHOWN]]
    lines += [f"and {len(candidates) - SHOWN} more"] * (len(candidates) > SHOWN)
    raise UserError(
        "it is not clear which column says who left",
        "candidates: " + ("\n    ".join(["", *lines]) if lines else ", ".join(columns) or "none"),
        "name it: data.target=COLUMN; leave out others that say the same: data.drop=[COLUMN]",
    )


def _candidates(counted: dict[str, tuple[pd.Series, int]], named: list[str]) -> list[str]:
    """The columns that may say who left: first those with a word for it or for staying, then those named so.

    If no column has such a name, then those of yes and no.
    """
    words = LEAVER if named else LEAVER | STAYER
    few = {name: counts for name, (counts, _) in counted.items() if 0 < len(counts) <= MANY_VALUES}
    speaking = [name for name, counts in few.items() if not words.isdisjoint(map(_plain, counts.index))]
    others = named or [name for name, counts in few.items() if _usual_values(counts)]
    return list(dict.fromkeys(speaking + others))


def _is_target_name(name: str) -> bool:
    words = split_words(name)
    return not WORDS.isdisjoint(words) or words in (["left"], ["has", "left"])


def _usual_values(counts: pd.Series) -> tuple[str, ...]:
    """The values that mean "left"; none if not all values are usual spellings of "left" and "stayed"."""
    plain = {value: _plain(value) for value in counts.index}
    left = tuple(value for value, text in plain.items() if text in LEAVER | YES)
    known = all(text in LEAVER | YES | STAYER | NO for text in plain.values())
    return left if known and len(left) < len(plain) else ()


def _configured_values(target: str, counts: pd.Series, blank: int, cfg: DataConfig) -> tuple[str, ...]:
    """The values of `data.churned`, spelled as in the table; raises `UserError` if one is not there."""
    wanted = set(map(_plain, cfg.churned))
    special = tuple(text for text in cfg.churned if text == ANY or (text == "" and blank))
    values = tuple(value for value in map(str, counts.index) if _plain(value) in wanted)
    known = {*special, *map(_plain, values)}
    unknown = [text for text in cfg.churned if text not in known and _plain(text) not in known]
    if unknown:
        raise UserError(
            f"the target has no value {', '.join(map(quoted, unknown))}, but {format_counts(counts, blank)}",
            f"data.churned, column '{target}'",
        )
    return special + values


def _plain(value: str) -> str:
    """A value in its one spelling, in lower case, without the mark that some programs write after True."""
    return one_spelling(one_spelling(value).casefold().rstrip(".,;"))


def format_counts(counts: pd.Series, blank: int = 0) -> str:
    """The values with their numbers of rows, e.g. 'Yes' 1,869, 'No' 5,174, blank 11."""
    shown = [f"{quoted(str(value))} {rows:,}" for value, rows in counts[:SHOWN].items()]
    shown += [f"and {count(len(counts) - SHOWN, 'other value')}"] * (len(counts) > SHOWN)
    return ", ".join(shown + [f"blank {blank:,}"] * (blank > 0)) or "none"
