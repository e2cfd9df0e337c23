"""The exception for the user's mistakes, and the phrases of its messages."""

import re
import shlex
import sys
from collections.abc import Iterable


class UserError(Exception):
    """A wrong input or configuration: what is wrong, where, and what to do.

    The command line prints the message without a traceback and ends with exit code 2. Any other exception
    is a bug and keeps its traceback.

    >>> raise UserError("the file is empty", where="customers.csv", do="export it again")
    """

    def __init__(self, what: str, where: str = "", do: str = "") -> None:
        self.what, self.where, self.do = what, where, do
        lines = [what, where and f"  where: {where}", do and f"  do: {do}"]
        super().__init__("\n".join(line for line in lines if line))


def user_error_of_many(title: str, problems: Iterable[UserError]) -> UserError:
    """One error that lists all problems, so that the user can correct them at once."""
    listed = "\n".join("- " + str(problem).replace("\n", "\n  ") for problem in problems)
    return UserError(f"{title}\n{listed}")


def missing_extra(package: str, extra: str) -> UserError:
    """The error for a package that only the extra `extra` installs."""
    command = f"{sys.executable} -m pip install 'churn[{extra}]'"
    return UserError(f"the package {package} is not installed", do=command)


_EXTRAS = {  # the packages that an install for another stage does not have, by extra
    "train": "catboost fairlearn keras matplotlib pooch rich sklearn tensorflow threadpoolctl",
    "score": "charset_normalizer jinja2 pandas scipy",
    "registry": "alembic mlflow sqlalchemy",
    "serve": "httptools msgspec uvicorn uvloop",
}


def missing_package(error: ModuleNotFoundError) -> UserError | None:
    """The error for a package that another extra installs; None for any other module."""
    package = (error.name or "").partition(".")[0]
    extras = [extra for extra, packages in _EXTRAS.items() if package in packages.split()]
    return missing_extra(package, extras[0]) if extras else None


def shell_override(key: str, *values: str) -> str:
    """The text to type in a shell to set a list, e.g. 'data.drop=["Churn Score"]'."""
    return shlex.quote(f"{key}=[{','.join(map(_hydra_string, values))}]")


def shell_setting(key: str, value: str) -> str:
    """The text to type in a shell to set one value, e.g. 'data.path="churn (1).csv"'."""
    return shlex.quote(f"{key}={_hydra_string(value)}")


def _hydra_string(value: str) -> str:
    """A text as Hydra reads it from a command line, whatever characters it has."""
    escaped = re.sub(r"(\\*)(\"|$)", lambda found: found[1] * 2 + found[2].replace('"', '\\"'), value)
    return f'"{escaped}"'


def quoted(value: str) -> str:
    """A value in quotes, for a message."""
    return f"'{value}'"


def count(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: 1 row, 2 rows; the plural may be named."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def did_you_mean(word: str, choices: Iterable[str], dotted: bool = False, cutoff: float = 0.6) -> str:
    """`; did you mean 'x'?` for the choice nearest to `word`; empty if none is near.

    Case, blanks and underscores do not count. If `dotted`, the last part of a key is enough. `cutoff`: how
    alike they must be, from 0 to 1 (`difflib`).
    """
    from difflib import get_close_matches

    known = list(choices)[::-1]  # the first of two choices that look the same wins
    by_text = {_plain(choice): choice for choice in known}
    close = get_close_matches(_plain(word), by_text, n=1, cutoff=0.85 if dotted else cutoff)
    if not close and dotted:
        by_text = {_plain(choice.rpartition(".")[2]): choice for choice in known}
        close = get_close_matches(_plain(word.rpartition(".")[2]), by_text, n=1, cutoff=cutoff)
    return f"; did you mean '{by_text[close[0]]}'?" if close else ""


def _plain(name: str) -> str:
    """The letters, digits and dots of a name, in lower case."""
    return "".join(letter for letter in name.casefold() if letter.isalnum() or letter == ".")
