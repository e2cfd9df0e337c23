"""The column that says who left, and its values that mean "left"."""

from __future__ import annotations

import pandas as pd

from churn.config.data import DataConfig
from churn.data.infer.cells import strip_point_zero
from churn.data.infer.roles import count_texts, split_words
from churn.errors import UserError, shell_override

WORDS = {"churn", "churned", "churner", "ischurn", "attrition", "attrited", "exited"}
LEFT = {"yes", "y", "1", "true", "t", "churn", "churned", "churner", "left", "exited", "lost"}
LEFT |= {"attrited customer", "attrited", "cancelled", "canceled", "leaver"}
STAYED = {"no", "n", "0", "-1", "false", "f", "no churn", "not churned", "stayed", "retained"}
STAYED |= {"existing customer", "existing", "active", "loyal", "current"}


def find_target(frame: pd.DataFrame, cfg: DataConfig) -> tuple[str, tuple[str, ...]]:
    """The target of a table, and its values that mean "left".

    Raises `UserError`, with candidates and counted values, if that is not clear.
    """
    target = cfg.target or _likely_target(frame, cfg)
    counts = count_texts(frame[target], cfg)
    churned = _configured_values(target, counts, cfg) if cfg.churned else _usual_values(counts)
    if not churned or len(churned) == len(counts):
        blank = len(frame) - int(counts.sum())
        example = next((value for value in counts.index if _normalise(value) in LEFT), "VALUE")
        raise UserError(
            f"the target does not show who left and who stayed; its values: {format_counts(counts, blank)}",
            f"column '{target}'",
            "it needs both kinds; if some of the values mean 'left', name them, e.g. "
            + shell_override("data.churned", example),
        )
    return target, churned


def _likely_target(frame: pd.DataFrame, cfg: DataConfig) -> str:
    """The only column with the name of a target; of several, the only one with the usual values.

    Raises `UserError`, with the candidates, if there is none.
    """

    def has_usual_values(name: str) -> bool:
        return bool(_usual_values(count_texts(frame[name], cfg)))

    columns = list(map(str, frame))
    named = [name for name in columns if _is_target_name(name) and name not in cfg.drop]
    if len(named) == 1:
        return named[0]
    usual = list(filter(has_usual_values, named))
    if len(usual) == 1:
        return usual[0]
    candidates = (usual or named or list(filter(has_usual_values, columns)))[:10]
    counts = [count_texts(frame[name], cfg) for name in candidates]
    lines = [
        f"'{name}': {format_counts(count, len(frame) - int(count.sum()))}"
        for name, count in zip(candidates, counts, strict=True)
    ]
    raise UserError(
        "it is not clear which column says who left",
        "candidates: " + ("\n    ".join(["", *lines]) if lines else ", ".join(columns)),
        "name it: data.target=COLUMN; leave out others that say the same: data.drop=[COLUMN]",
    )


def _is_target_name(name: str) -> bool:
    words = split_words(name)
    return not WORDS.isdisjoint(words) or words in (["left"], ["has", "left"])


def _usual_values(counts: pd.Series) -> tuple[str, ...]:
    """The values that mean "left"; none if not all values are usual spellings of "left" and "stayed"."""
    plain = {value: _normalise(value) for value in counts.index}
    left = tuple(value for value, text in plain.items() if text in LEFT)
    return left if all(text in LEFT | STAYED for text in plain.values()) and len(left) < len(plain) else ()


def _configured_values(target: str, counts: pd.Series, cfg: DataConfig) -> tuple[str, ...]:
    """The values of `data.churned`, spelled as in the table; raises `UserError` if one is not there."""
    wanted = set(map(_normalise, cfg.churned))
    values = tuple(value for value in counts.index if _normalise(value) in wanted)
    unknown = [text for text in cfg.churned if _normalise(text) not in set(map(_normalise, values))]
    if unknown:
        raise UserError(
            f"the target has no value {', '.join(map(repr, unknown))}, but {format_counts(counts)}",
            f"data.churned, column '{target}'",
        )
    return values


def _normalise(value: str) -> str:
    """A value in lower case, without the point that some programs write after True, and the ".0" after 1."""
    return strip_point_zero(value.strip().casefold()).rstrip(".")


def format_counts(counts: pd.Series, blank: int = 0) -> str:
    """The values with their numbers of rows, e.g. Yes 1,869, No 5,174, blank 11."""
    shown = [f"{value} {rows:,}" for value, rows in counts[:10].items()]
    shown += ["..."] * (len(counts) > 10) + [f"blank {blank:,}"] * (blank > 0)
    return ", ".join(shown) or "none"
