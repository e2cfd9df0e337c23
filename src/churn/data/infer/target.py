"""Which column says who left, and which of its values mean it."""

from __future__ import annotations

import pandas as pd

from churn.config.data import DataConfig
from churn.data.dataset import shell_override
from churn.data.infer.cells import strip_point_zero
from churn.data.infer.roles import count_texts, split_words
from churn.errors import UserError

WORDS = {"churn", "churned", "churner", "ischurn", "attrition", "attrited", "exited"}
LEFT = {"yes", "y", "1", "true", "t", "churn", "churned", "churner", "left", "exited", "lost"}
LEFT |= {"attrited customer", "attrited", "cancelled", "canceled", "leaver"}
STAYED = {"no", "n", "0", "-1", "false", "f", "no churn", "not churned", "stayed", "retained"}
STAYED |= {"existing customer", "existing", "active", "loyal", "current"}


def find_target(frame: pd.DataFrame, cfg: DataConfig) -> tuple[str, tuple[str, ...]]:
    """The column that says who left, and its values that mean "left".

    Raises `UserError`, with candidates and counted values, where that is not clear.
    """
    target = cfg.target or _likely_target(frame, cfg)
    counts = count_texts(frame[target], cfg)
    churned = (
        _configured_churned_values(target, counts, cfg) if cfg.churned else _usual_churned_values(counts)
    )
    if not churned or len(churned) == len(counts):
        blank = len(frame) - int(counts.sum())
        example = shell_override(
            "data.churned", next((v for v in counts.index if _normalise(v) in LEFT), "VALUE")
        )
        raise UserError(
            f"the target does not tell who left from who stayed; its values: {format_counts(counts, blank)}",
            f"column '{target}'",
            f"it needs both kinds; if some of the values mean 'left', name them, e.g. {example}",
        )
    return target, churned


def _likely_target(frame: pd.DataFrame, cfg: DataConfig) -> str:
    """The only column that is called like a target, or the only one of several that has its usual values."""
    named = [name for name in map(str, frame) if _is_called_target(name) and name not in cfg.drop]
    if len(named) == 1:
        return named[0]
    clear = [name for name in named if _usual_churned_values(count_texts(frame[name], cfg))]
    if len(clear) == 1:
        return clear[0]
    likely = (
        clear
        or named
        or [name for name in map(str, frame) if _usual_churned_values(count_texts(frame[name], cfg))]
    )
    candidates = {name: count_texts(frame[name], cfg) for name in likely[:10]}
    listed = [
        f"'{name}': {format_counts(counts, len(frame) - int(counts.sum()))}"
        for name, counts in candidates.items()
    ]
    raise UserError(
        "it is not clear which column says who left",
        "candidates: " + ("\n    ".join(["", *listed]) if listed else ", ".join(map(str, frame.columns))),
        "name it: data.target=COLUMN, and leave out the others if they tell the same: data.drop=[COLUMN]",
    )


def _is_called_target(name: str) -> bool:
    """Whether a column is called like a target."""
    words = split_words(name)
    return not WORDS.isdisjoint(words) or words in (["left"], ["has", "left"])


def _usual_churned_values(counts: pd.Series) -> tuple[str, ...]:
    """The values that mean "left", if all values are usual spellings of "left" and "stayed"; else none."""
    plain = {value: _normalise(value) for value in counts.index}
    left = tuple(value for value, text in plain.items() if text in LEFT)
    return left if all(text in LEFT | STAYED for text in plain.values()) and len(left) < len(plain) else ()


def _configured_churned_values(target: str, counts: pd.Series, cfg: DataConfig) -> tuple[str, ...]:
    """The values of `data.churned` as the table spells them."""
    found = tuple(
        value for value in counts.index if _normalise(value) in {_normalise(text) for text in cfg.churned}
    )
    unknown = [text for text in cfg.churned if _normalise(text) not in {_normalise(value) for value in found}]
    if unknown:
        raise UserError(
            f"the target has no value {', '.join(map(repr, unknown))}, but {format_counts(counts)}",
            f"data.churned, column '{target}'",
        )
    return found


def _normalise(value: str) -> str:
    """A value in lower case, without the point that some programs put behind True, and the ".0" behind 1."""
    return strip_point_zero(value.strip().casefold()).rstrip(".")


def format_counts(counts: pd.Series, blank: int = 0) -> str:
    """Values with their rows: Yes 1,869, No 5,174, blank 11."""
    shown = [f"{value} {rows:,}" for value, rows in counts[:10].items()]
    shown += ["..."] * (len(counts) > 10) + [f"blank {blank:,}"] * (blank > 0)
    return ", ".join(shown) or "none"
