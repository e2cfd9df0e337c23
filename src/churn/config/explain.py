"""What is wrong with a configuration, as one message with the nearest key or choice."""

from __future__ import annotations

import re
from functools import cache
from traceback import walk_tb
from typing import get_origin

from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from churn.config.root import REMOVED, RENAMED, Config
from churn.config.texts import kind_of, null_among_texts
from churn.errors import UserError, did_you_mean, shell_override, shell_setting

LIST_KEYS = "churn STAGE --help explains the most important keys, docs/keys.md all of them"


def explain(error: Exception) -> str:
    """The message for the user, with the nearest valid key or choice if one is unknown."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MissingConfigException) and error.options:
        group, _, choice = str(error.missing_cfg_file).rpartition("/")
        if group == "data" and "." in choice:
            do = f"churn train data=csv data.path={choice} data.target=COLUMN"
            return str(UserError(f"data= chooses a kind of source, not a file: data={choice}", do=do))
        hint = did_you_mean(choice, error.options)
        return f"unknown choice '{group}={choice}'{hint}\n  do: one of: {', '.join(error.options)}"
    if explained := null_among_texts(str(error)):
        return str(explained)
    if suggestion := _quoted_override(error):
        return f"this argument is not what it seems: {suggestion[0]}\n  do: type {suggestion[1]}"
    if several := re.search("Ambiguous value for argument '([^']*)'", str(error)):
        what = f"several values, or choices: {several[1]}"
        return str(UserError(what, do=f"-m {several[1]} runs the stage once for each"))
    causes = [error, error.__cause__]
    keyed = next((e for e in causes if isinstance(e, OmegaConfBaseException) and e.full_key), None)
    if keyed is None:
        return str(error).replace("\n", "\n  ")
    key, problem = str(keyed.full_key), str(keyed).splitlines()[0]
    if key in RENAMED:
        return f"the configuration key '{key}' is now called {RENAMED[key]}"
    if key in REMOVED:
        return f"there is no configuration key '{key}' any more: {REMOVED[key]}"
    if key not in _valid_keys() and "not in" in problem:
        return str(_unknown_key(key))
    return f"wrong value for configuration key '{key}'\n  {problem}{_right_value(key, problem)}"


def is_of_hydra(error: Exception) -> bool:
    """Whether Hydra raised an error while it composed the configuration."""
    last = list(walk_tb(error.__traceback__))[-1][0]
    return str(last.f_globals.get("__name__")).startswith("hydra.")


def refuse_added_keys(composed: DictConfig) -> None:
    """Refuse undeclared keys that `+key=value` added: Hydra allows them."""
    known, declared = set(_valid_keys()), OmegaConf.structured(Config)
    unknown = set(_keys_below(composed)) - known
    if unknown := {key for key in unknown if not _is_chosen_by_user(key, declared)}:
        raise _unknown_key(min(unknown))


def _is_chosen_by_user(key: str, declared: DictConfig) -> bool:
    """Whether a key lies in a node whose keys the user chooses, as in `data.influence`."""
    above = key.rpartition(".")[0]
    node = OmegaConf.select(declared, above) if above else None
    return isinstance(node, DictConfig) and node._metadata.object_type is dict


def _unknown_key(key: str) -> UserError:
    if _is_chosen_by_user(key, OmegaConf.structured(Config)):
        what = f"'{key.rpartition('.')[2]}' is to be added to a configuration key"
        return UserError(what, key.rpartition(".")[0], f"begin with a plus sign: +{key}=...")
    hint = did_you_mean(key, _valid_keys(), dotted=True)
    return UserError(f"unknown configuration key '{key}'{hint}", do=LIST_KEYS)


def _quoted_override(error: Exception) -> tuple[str, str] | None:
    """An argument whose value Hydra reads as grammar, such as data.path=churn (1).csv, and what to type."""
    ambiguous = re.search("Ambiguous value for argument '(.*)'", str(error))
    argument: str | None = (
        error.override if isinstance(error, OverrideParseException) else ambiguous and ambiguous[1]
    )
    if not argument:
        return None
    key, equals, value = argument.partition("=")
    known, valid = key.lstrip("+~"), _valid_keys()
    if not equals or known not in valid or any(other.startswith(f"{known}.") for other in valid):
        return None
    if _is_list(known) and not value.startswith("["):
        value = f"[{value}]"
    if value.startswith("[") and value.endswith("]"):
        return argument, shell_override(key, *(item.strip().strip("\"'") for item in value[1:-1].split(",")))
    return argument, shell_setting(key, value.strip("\"'"))


def nearest_key(word: str) -> str | None:
    """The full key that a word probably means: `train.epochs` for `epoch`; None if none is near.

    >>> nearest_key("port")
    'serve.port'
    """
    found = re.search("'(.*)'", did_you_mean(word, _valid_keys(), dotted=True))
    return word if word in _valid_keys() else found[1] if found else None


def type_key(key: str, value: str) -> str:
    """What to type to set a key, in quotes where a shell or Hydra needs them."""
    if _is_list(key) and not value.startswith("["):
        return shell_override(key, value)
    return f"{key}={value}" if re.fullmatch(r"[\w./+-]+", value, re.ASCII) else shell_setting(key, value)


def _right_value(key: str, problem: str) -> str:
    """What to write in place of a value of the wrong type, with the line break before it."""
    if "is not a ListConfig" in problem:
        return f"\n  do: it takes a list: {key}=[VALUE]"
    kinds = {"to Integer": "a whole number", "to Float": "a number", "a valid bool": "true or false"}
    for kind, words in kinds.items():
        if kind in problem:
            return f"\n  do: it takes {words}, such as {key}={_default_of(key)}"
    return ""


def _default_of(key: str) -> str:
    default = OmegaConf.select(OmegaConf.structured(Config), key)
    return "10" if default is None else str(default).lower() if isinstance(default, bool) else f"{default}"


def _is_list(key: str) -> bool:
    return get_origin(kind_of(Config, key.split("."))) is list


@cache
def _valid_keys() -> list[str]:
    """Every full key of the configuration, e.g. `train.epochs`."""
    return _keys_below(OmegaConf.structured(Config))


def _keys_below(node: DictConfig, prefix: str = "") -> list[str]:
    """Full keys below a node; a node whose keys the user chooses counts as one key."""
    keys = []
    for name in node:
        keys.append(f"{prefix}{name!s}")
        child = node._get_node(name)
        if isinstance(child, DictConfig) and not child._is_none() and child._metadata.object_type is not dict:
            keys += _keys_below(child, f"{prefix}{name!s}.")
    return keys
