"""Which words mean "left": those of everybody, or those of the training table. Only one of both is used."""

from __future__ import annotations

from churn.errors import UserError

YES, NO = {"1", "1.0", "true", "yes", "y"}, {"0", "0.0", "false", "no", "n"}
DIGITS = {"1", "1.0", "true", "0", "0.0", "false"}  # the others are letters: a table uses one kind


def check_one_meaning(words: set[str], churned: set[str], where: str) -> None:
    """Raise `UserError` where a column of words could be read by either vocabulary, with different results.

    churned: the words for "left" in the training table, in lower case like `words`. A table whose leavers are
    0 makes 1 and 0 ambiguous; one whose leavers are 2 makes 1 ambiguous beside 2.
    """
    reversed_words = churned & NO
    ambiguous = {word for word in words & (YES | NO) if _same_kind(word, reversed_words)}
    if words & churned - YES:
        ambiguous |= (words & YES) - churned
    if ambiguous:
        own = ", ".join(sorted(churned))
        do = "write yes and no" if ambiguous <= DIGITS else "write 1 and 0"
        shown = ", ".join(sorted(ambiguous))
        raise UserError(
            f"it is not clear whether {shown} means 'left': in the training table that is {own}", where, do
        )


def _same_kind(word: str, others: set[str]) -> bool:
    return any((word in DIGITS) == (other in DIGITS) for other in others)
