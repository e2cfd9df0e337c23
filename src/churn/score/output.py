"""The columns of scores for people in their order; and scores are not written over what is read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from churn.config.root import Config
from churn.data.sources.paths import list_files
from churn.errors import UserError

# The columns that come first; the others follow by name.
FIRST = ("churn_probability", "churn_probability_low", "churn_probability_high", "churn", "certainty")


def sort_outputs(names: Iterable[str]) -> list[str]:
    """The names of outputs in the order of a table for people: the probability with its interval first."""
    return sorted(names, key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), name))


def check_output(cfg: Config) -> None:
    """Raise `UserError` if the output is what is read, by whatever name, or would be among it."""
    output = str(cfg.output)
    for key, path in (("input", cfg.input), ("score.do_not_contact", cfg.score.do_not_contact)):
        if path is None:
            continue
        do = "name another file: output=scores.csv"
        if _same(path, output):
            raise UserError(f"the scores would replace what is read: {key}", f"output={output}", do)
        if "://" not in path + output and any(_same(file, output) for file in _files(path)):
            raise UserError(f"the scores would be read as customers: {key}={path}", f"output={output}", do)


def _files(path: str) -> list[str]:
    """The files that a path stands for, and the folder that a new file in it would join."""
    try:
        return list_files(str(Path(path).expanduser()))
    except UserError:  # the reader says what is wrong, where it is about to read
        return []


def _same(path: str, output: str) -> bool:
    """Whether two names mean the same file or folder, through links and spellings."""
    if "://" in path or "://" in output:
        return path.rstrip("/") == output.rstrip("/")
    first, second = Path(path).expanduser(), Path(output).expanduser()
    if first.exists() and second.exists():
        return first.samefile(second)
    inside = first.is_dir() and second.suffix and second.parent.resolve() == first.resolve()
    return bool(inside) or first.resolve() == second.resolve()
