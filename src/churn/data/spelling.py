"""What a text means: one spelling for all the ways in which programs write the same level.

A spreadsheet writes TRUE, pandas True, a database true or 1; 1, 1.0 and 1.000 are one number; blanks around a
text mean nothing. The steps here are applied to training tables, to files that are scored, to requests, and
inside the graph of the bundle, so that a level is the same on every way in.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pandas as pd

# What str.strip, Arrow and TensorFlow's `\s` and `\p{Z}` together take for blanks.
_BLANK = "[\\s\x0b\x1c-\x1f\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+"
FEW = 200  # texts up to which a loop is faster than pandas
# Never a level: the null of databases' exports, and the errors of spreadsheets.
NULL_MARKS = (r"\N", "#N/A", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#NULL!")


class TextRules(Protocol):
    """How the texts of a table are written; `Schema` and `DataConfig` say it."""

    @property
    def missing(self) -> Sequence[str]:
        """Texts that mean "missing" in every column, beside blank."""

    @property
    def decimal(self) -> str:
        """Decimal mark of numbers in text."""

    @property
    def thousands(self) -> str | None:
        """Thousands separator of numbers in text."""


def number_example(rules: TextRules) -> str:
    """A number as a table with these rules writes it, such as 1.234,56."""
    return f"1{rules.thousands or ''}234{rules.decimal}56"


def spelling_steps(rules: TextRules | None = None) -> tuple[tuple[str, str], ...]:
    r"""Regular expressions and replacements that, in this order, give a text its one spelling.

    Python's `re`, Arrow and TensorFlow (both RE2) understand them alike.

    >>> spelling_steps()[1]
    ('^(-?[0-9]+)[.]0+$', '\\1')
    """
    marks = "." if rules is None else "".join(sorted({rules.decimal, "."} - {rules.thousands}))
    steps = [
        (f"^{_BLANK}|{_BLANK}$", ""),
        (f"^(-?[0-9]+)[{re.escape(marks)}]0+$", r"\1"),
        ("^(?i:true)$", "1"),
        ("^(?i:false)$", "0"),
    ]
    words = {apply_steps(word, steps) for word in (rules.missing if rules else ())} | set(NULL_MARKS)
    return (*steps, (f"^(?:{'|'.join(map(re.escape, sorted(words)))})$", ""))


def level_steps(rules: TextRules | None = None) -> tuple[tuple[str, str], ...]:
    """The same for levels of a category: 1,5 in a table with commas is 1.5, as a typed number is written."""
    steps = spelling_steps(rules)
    if rules is None or rules.decimal == ".":
        return steps
    return (*steps, (f"^(-?[0-9]+){re.escape(rules.decimal)}([0-9]+)$", r"\1.\2"))


def one_spelling(text: str, rules: TextRules | None = None) -> str:
    r"""The spelling that stands for this text; "" if it means "missing".

    >>> one_spelling(" TRUE"), one_spelling("2.000"), one_spelling("\\N")
    ('1', '2', '')
    """
    return apply_steps(text, spelling_steps(rules))


def spell_alike(texts: pd.Series, steps: Sequence[tuple[str, str]]) -> pd.Series:
    """[n] str: the one spelling of each text, by these steps."""
    if len(texts) <= FEW:
        import pandas as pd

        return pd.Series([apply_steps(text, steps) for text in texts], texts.index, "str")
    for pattern, replacement in steps:
        texts = texts.str.replace(pattern, replacement, regex=True)
    return texts


def spell_all(texts: Iterable[str], rules: TextRules | None = None) -> Collection[str]:
    """The spellings of several texts, without repeats, in order."""
    steps = spelling_steps(rules)
    return dict.fromkeys(apply_steps(text, steps) for text in texts)


def apply_steps(text: str, steps: Iterable[tuple[str, str]]) -> str:
    """The text after the steps of `spelling_steps`, for callers with many texts."""
    for pattern, replacement in steps:
        text = re.sub(pattern, replacement, text)
    return text
