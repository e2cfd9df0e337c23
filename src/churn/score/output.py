"""The columns of scores for people in their order; and scores are not written over what is read."""

from __future__ import annotations

from collections.abc import Iterable

from churn.config.root import Config
from churn.data.writers import check_unread

# The columns that come first; the others follow by name.
FIRST = ("churn_probability", "churn_probability_low", "churn_probability_high", "churn", "certainty")


def sort_outputs(names: Iterable[str]) -> list[str]:
    """The names of outputs in the order of a table for people: the probability with its interval first."""
    return sorted(names, key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), name))


def check_output(cfg: Config) -> None:
    """Raise `UserError` if the output is what is read, by whatever name, or would be among it."""
    for key, path in (("input", cfg.input), ("score.do_not_contact", cfg.score.do_not_contact)):
        if path is not None:
            check_unread(str(cfg.output), path, key)
