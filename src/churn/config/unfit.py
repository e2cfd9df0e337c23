"""What is wrong with a YAML file that does not fit the declared keys: its name, the key and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, get_origin

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from churn.config.keys import LIST_KEYS, right_value, wrong_key
from churn.config.root import Config, config_directory
from churn.config.texts import keys_above, kind_of
from churn.errors import UserError

_WRONG_FORM = "the value of '{}' has the wrong form"


def unfit_file(error: Exception, stage: str = "") -> UserError | None:
    """What is wrong with the file that an error of composing is about; None for any other error."""
    found = re.match(r"In '(.+)': \w+ raised while composing config:", str(error))
    cause = error.__context__
    if found is None or not isinstance(cause, OmegaConfBaseException):
        return None
    file, problem = f"{found[1]}.yaml", str(cause).splitlines()[0]
    if not cause.full_key:
        return _wrong_form(file, problem)
    key = str(cause.full_key)
    if "not in" in problem:
        return wrong_key(key, stage, where=file)
    names_types = "Config" in problem  # of OmegaConf, which say nothing to a user
    what = _WRONG_FORM.format(key) if names_types else problem
    return UserError(what, f"{file}, key {key}", right_value(key, problem, in_file=True))


def _wrong_form(file: str, problem: str) -> UserError:
    """The first key of a file with keys below it in place of a list, or the reverse."""
    path = config_directory() / file
    if not path.is_file():
        return UserError(f"the value of a key has the wrong form: {problem}", file, LIST_KEYS)
    above = keys_above(path.read_text(encoding="utf-8"), file.rpartition("/")[0])
    read = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    key, takes = next(_wrong_forms(read, above), (".".join(above), f"something else: {problem}"))
    return UserError(_WRONG_FORM.format(key), f"{file}, key {key}", f"it takes {takes}")


def _wrong_forms(read: Any, path: list[str]) -> Iterator[tuple[str, str]]:
    """Each key with a value of the wrong form, and what it takes."""
    kind, key = kind_of(Config, path), ".".join(path)
    if is_dataclass(kind) and not isinstance(read, dict):
        yield key, f"keys of its own, such as {fields(kind)[0].name}:"
    elif get_origin(kind) is list and isinstance(read, dict):
        yield key, f"a list: {path[-1]}: [{', '.join(map(str, read))}]"
    elif isinstance(read, dict):
        for name, value in read.items():
            yield from _wrong_forms(value, [*path, str(name)])
