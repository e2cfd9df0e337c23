"""Arguments whose value Hydra reads as grammar, such as data.path=churn (1).csv, and what to type instead."""

from __future__ import annotations

import re
import shlex

from hydra.errors import OverrideParseException

from churn.config.keys import is_list, type_list, unquoted, valid_keys
from churn.config.root import Config
from churn.config.texts import kind_of
from churn.errors import shell_setting


def typed_instead(error: Exception) -> tuple[str, str] | None:
    """The argument that an error of Hydra is about, and what to type instead; None if nobody can tell."""
    ambiguous = re.search("Ambiguous value for argument '(.*)'", str(error))
    argument: str | None = (
        error.override if isinstance(error, OverrideParseException) else ambiguous and ambiguous[1]
    )
    typed = argument and (_several(argument) or _setting(argument))
    return (argument, typed) if argument and typed else None


def _several(argument: str) -> str:
    """The settings of an argument that joins several with commas, apart; "" for any other."""
    parts = re.split(r",(?=[\w.]+=)", argument)
    known = [part.partition("=")[0] in valid_keys() for part in parts]
    return " ".join(map(shlex.quote, parts)) if len(parts) > 1 and all(known) else ""


def _setting(argument: str) -> str:
    """What to type for KEY=VALUE; "" if no quotes and no other spelling help."""
    key, equals, value = argument.partition("=")
    known, valid = key.lstrip("+~"), valid_keys()
    if not equals or known not in valid or any(other.startswith(f"{known}.") for other in valid):
        return ""
    kind = kind_of(Config, known.split("."))
    if is_list(known):
        return type_list(key, value)
    if kind is str:
        return shell_setting(key, unquoted(value))
    number = _number(value, kind)
    return f"{key}={number}" if number else ""


def _number(value: str, kind: type) -> str:
    """A number as it is typed here: 300.50 for 300,50 €, and 100000 for 100,000; "" if it is none."""
    sign_and_digits = re.sub(r"[^\d.,+-]", "", value)
    if re.fullmatch(r"[1-9]\d{0,2}(,\d{3})+", sign_and_digits):
        return sign_and_digits.replace(",", "")
    number = sign_and_digits.replace(",", ".")
    decimals = r"(\.\d+)?" if kind is float else ""
    return number if kind in (int, float) and re.fullmatch(rf"[+-]?\d+{decimals}", number) else ""
