"""What is wrong with a configuration, as one message with the nearest key or choice."""

from __future__ import annotations

import re
from collections.abc import Sequence
from traceback import walk_tb

from hydra.errors import MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from churn.config.keys import is_chosen_by_user, keys_below, right_value, type_key, valid_keys, wrong_key
from churn.config.misread import typed_instead
from churn.config.root import REMOVED, RENAMED, Config
from churn.config.texts import null_among_texts
from churn.config.unfit import unfit_file
from churn.errors import UserError, did_you_mean


def explain(error: Exception, stage: str = "") -> str:
    """The message for the user of a stage, with the nearest valid key or choice if one is unknown."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MissingConfigException) and error.options:
        return str(_unknown_choice(str(error.missing_cfg_file), error.options))
    if explained := null_among_texts(str(error)) or unfit_file(error, stage):
        return str(explained)
    if suggestion := typed_instead(error):
        return f"this argument is not what it seems: {suggestion[0]}\n  do: type {suggestion[1]}"
    if several := re.search("Ambiguous value for argument '([^']*)'", str(error)):
        what = f"several values, or choices: {several[1]}"
        return str(UserError(what, do=f"-m {several[1]} runs the stage once for each"))
    causes = [error, error.__cause__]
    keyed = next((e for e in causes if isinstance(e, OmegaConfBaseException) and e.full_key), None)
    if keyed is None:
        return str(error).partition("\nSee https://hydra.cc")[0].replace("\n", "\n  ")
    key, problem = str(keyed.full_key), str(keyed).splitlines()[0]
    if key not in valid_keys() and (key in {**RENAMED, **REMOVED} or "not in" in problem):
        return str(wrong_key(key, stage))
    do = right_value(key, problem)
    return f"wrong value for configuration key '{key}'\n  {problem}" + (do and f"\n  do: {do}")


def _unknown_choice(file: str, options: Sequence[str]) -> UserError:
    """The error for GROUP=CHOICE, the file GROUP/CHOICE that Hydra did not find."""
    group, _, choice = file.partition("/")
    what, do = f"unknown choice '{group}={choice}'", f"one of: {', '.join(options)}"
    if group == "target":
        do = f"{type_key('data.target', choice)} names the column that says who left; target= is {do}"
        return UserError(what, do=do)
    if group == "data" and "." in choice:
        do = f"churn train data=csv data.path={choice} data.target=COLUMN"
        return UserError(f"data= chooses a kind of source, not a file: data={choice}", do=do)
    if group == "model" and "/" in choice:
        do = type_key("bundle", f"{choice.removesuffix('/').removesuffix('/bundle')}/bundle")
        return UserError(f"model= chooses a network, not a trained model: model={choice}", do=do)
    more = "; data=csv reads files of all kinds, also .xlsx" if group == "data" else ""
    return UserError(what + did_you_mean(choice, options), do=do + more)


def is_of_hydra(error: Exception) -> bool:
    """Whether Hydra raised an error while it composed the configuration."""
    last = list(walk_tb(error.__traceback__))[-1][0]
    return str(last.f_globals.get("__name__")).startswith("hydra.")


def refuse_added_keys(composed: DictConfig, stage: str) -> None:
    """Refuse undeclared keys that `+key=value` added: Hydra allows them."""
    known, declared = set(valid_keys()), OmegaConf.structured(Config)
    unknown = set(keys_below(composed)) - known
    if unknown := {key for key in unknown if not is_chosen_by_user(key, declared)}:
        raise wrong_key(min(unknown), stage)
