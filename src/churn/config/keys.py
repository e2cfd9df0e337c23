"""The keys of the configuration: which there are, the one nearest to a word, and what to type to set one."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from functools import cache
from typing import get_args, get_origin

from omegaconf import DictConfig, ListConfig, OmegaConf

from churn.config.describe import SHOWN
from churn.config.root import REMOVED, RENAMED, Config, flatten
from churn.config.texts import kind_of
from churn.errors import UserError, did_you_mean, shell_override, shell_setting

LIST_KEYS = "churn STAGE --help explains the most important keys, docs/keys.md all of them"


def nearest_key(word: str, stage: str = "") -> str | None:
    """The full key that a word probably means, one of the stage's own if it can be; None if none is near.

    >>> nearest_key("port", "app")
    'app.port'
    """
    for key in (f"{stage}.{word}", word):
        if key in valid_keys():
            return key
    own = [key for key in valid_keys() if key.startswith(f"{stage}.")] + SHOWN.get(stage, "").split()
    return _nearest(word, own, 0.6) or _nearest(word, _of_no_other_stage(stage), 0.8)


def _nearest(word: str, keys: list[str], cutoff: float) -> str | None:
    found = re.search("'(.*)'", did_you_mean(word, keys, dotted=True, cutoff=cutoff))
    return found[1] if found else None


def _of_no_other_stage(stage: str) -> list[str]:
    """The keys outside the groups that have the name of another stage: these would change nothing."""
    others = {*SHOWN} - {stage}
    return [key for key in valid_keys() if key.partition(".")[0] not in others]


def type_key(key: str, value: str) -> str:
    """What to type to set a key, in quotes where a shell or Hydra needs them."""
    if is_list(key) and not value.startswith("["):
        return shell_override(key, value)
    return f"{key}={value}" if re.fullmatch(r"[\w./+-]+", value, re.ASCII) else shell_setting(key, value)


def type_list(key: str, value: str) -> str:
    """What to type to set a key that takes a list, from a list that was typed without the quotes it needs."""
    inner = value[1:-1] if value[:1] + value[-1:] in ("[]", "()") else value
    items = [unquoted(item.strip()) for item in inner.split(",") if item.strip()]
    texts = get_args(kind_of(Config, key.split("."))) == (str,)
    return shell_override(key, *items) if texts else shlex.quote(f"{key}=[{','.join(items)}]")


def unquoted(text: str) -> str:
    """A text without the pair of quotes around it, if there is one."""
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def type_keys(cfg: Config, keys: Sequence[str]) -> list[str]:
    """What to type to set these keys, and those below them, as in `cfg`, where that is not the default."""
    own, default = OmegaConf.structured(cfg), OmegaConf.structured(Config())
    typed, defaults = [], flatten(default)
    for key, text in flatten(own).items():
        if text != defaults.get(key) and any(key == one or key.startswith(f"{one}.") for one in keys):
            value = OmegaConf.select(own, key)
            name = f"+{key}" if is_chosen_by_user(key, default) else key
            if isinstance(value, ListConfig) and all(isinstance(item, str) for item in value):
                typed.append(shell_override(name, *value))
            elif isinstance(value, ListConfig):
                typed.append(shlex.quote(f"{name}=[{','.join(map(str, value))}]"))
            else:
                typed.append(type_key(name, "null" if value is None else text))
    return typed


def is_chosen_by_user(key: str, declared: DictConfig) -> bool:
    """Whether a key lies in a node whose keys the user chooses, as in `data.influence`."""
    above = key.rpartition(".")[0]
    node = OmegaConf.select(declared, above) if above else None
    return isinstance(node, DictConfig) and node._metadata.object_type is dict


def default_of(key: str) -> str:
    """The default of a key as it is typed; 10 for a number without one."""
    default = OmegaConf.select(OmegaConf.structured(Config), key)
    return "10" if default is None else str(default).lower() if isinstance(default, bool) else f"{default}"


def is_list(key: str) -> bool:
    """Whether a key takes a list."""
    return get_origin(kind_of(Config, key.split("."))) is list


@cache
def valid_keys() -> list[str]:
    """Every full key of the configuration, e.g. `train.epochs`."""
    return keys_below(OmegaConf.structured(Config))


def keys_below(node: DictConfig, prefix: str = "") -> list[str]:
    """Full keys below a node; a node whose keys the user chooses counts as one key."""
    keys = []
    for name in node:
        keys.append(f"{prefix}{name!s}")
        child = node._get_node(name)
        if isinstance(child, DictConfig) and not child._is_none() and child._metadata.object_type is not dict:
            keys += keys_below(child, f"{prefix}{name!s}.")
    return keys


def wrong_key(key: str, stage: str, where: str = "") -> UserError:
    """The error for a key that there is not, or not any more, with the nearest one that there is."""
    if key in RENAMED:
        return UserError(f"the configuration key '{key}' is now called {RENAMED[key]}", where)
    if key in REMOVED:
        return UserError(f"there is no configuration key '{key}' any more: {REMOVED[key]}", where)
    if is_chosen_by_user(key, OmegaConf.structured(Config)):
        what = f"'{key.rpartition('.')[2]}' is to be added to a configuration key"
        return UserError(what, key.rpartition(".")[0], f"begin with a plus sign: +{key}=...")
    near = nearest_key(key, stage)
    hint = f"; did you mean '{near}'?" if near else ""
    return UserError(f"unknown configuration key '{key}'{hint}", where, LIST_KEYS)


def right_value(key: str, problem: str, in_file: bool = False) -> str:
    """What to write in place of a value of the wrong type, typed or in a file; "" if unknown."""
    setting = f"{key.rpartition('.')[2]}: " if in_file else f"{key}="
    if "is not a ListConfig" in problem:
        return f"it takes a list: {setting}[VALUE]"
    if "to string" in problem:
        return f"it takes one text: {setting}TEXT"
    if "is not Optional" in problem:
        return "give it a value, or remove the key"
    kinds = {"to Integer": "a whole number", "to Float": "a number", "a valid bool": "true or false"}
    for kind, words in kinds.items():
        if kind in problem:
            return f"it takes {words}, such as {setting}{default_of(key)}"
    return ""
