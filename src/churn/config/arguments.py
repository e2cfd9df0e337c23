"""Arguments that are no KEY=VALUE, or are not read: what was probably meant, before Hydra reads them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path

from churn.config.keys import default_of, is_list, nearest_key, type_key, type_list, valid_keys
from churn.errors import UserError, did_you_mean

ALSO_CALLED = {  # what other tools call a stage, or a command beside them
    "predict": "churn score",
    "batch": "churn score",
    "fit": "churn train",
    "evaluate": "churn train, which writes report.html",
    "report": "churn train, which writes report.html",
    "start": "churn serve",
    "drift": "churn monitor",
    "dashboard": "churn app",
    "ui": "make ui",
    "install": "make train, which installs what it needs",
    "test": "make test",
}
_EXAMPLES = {  # what a file alone was probably meant as
    "train": "churn train data=csv data.path={0} data.target=COLUMN",
    "score": "churn score input={0} output={1}",
    "promote": "churn promote run={0}",
    "monitor": "churn monitor monitor.labels={0}",
    "snapshot": "churn snapshot events={0} output={1}",
    "synthesize": "churn synthesize output={0}",
    "serve": "churn serve bundle={0}",
    "app": "churn app bundle={0}",
    "deploy": "churn deploy bundle={0}",
    "forget": "churn forget id={0}",
}
_READ_BY = {  # keys that are of some stages only
    "input": ("score", "export"),
    "output": ("score", "synthesize", "snapshot", "loop", "export"),
    "top": ("score",),
    "to": ("export",),
    "id": ("forget",),
    "events.plan_only": ("snapshot",),
    "deploy.plan_only": ("deploy",),
    "bundle": ("score", "serve", "app", "monitor", "retrain", "deploy", "export", "snapshot"),
    "run": ("train", "promote", "retrain"),
    "run.dir": ("train", "promote", "retrain"),
}
_SECOND = {"score": "scores.csv", "snapshot": "snapshots.parquet"}  # a file to write, where none was named
_CHOICES = ("data", "model", "events", "serving", "target")
_HYDRAS = re.compile(  # flags that are passed on
    r"-(h|c|m|p|r|i|cp|cn|cd|sc)|--(help|hydra-help|cfg|resolve|package|run|multirun|shell-completion"
    r"|config-path|config-name|config-dir|experimental-rerun|info)(=.*)?"
)
_TAKE_A_WORD = re.compile(
    r"-(c|p|sc|cp|cn|cd)|--(cfg|package|shell-completion|config-path|config-name|config-dir)"
)


def unknown_stage(word: str, stages: Sequence[str]) -> UserError:
    """The error for a first word that is no stage."""
    if word.casefold() in ALSO_CALLED:
        return UserError(f"there is no stage '{word}'", do=ALSO_CALLED[word.casefold()])
    if "=" in word:
        return UserError(f"the stage comes first, then {word}", do=f"churn STAGE {shlex.quote(word)}")
    hint = did_you_mean(word, stages)
    return UserError(f"unknown stage '{word}'{hint}", do=f"one of: {', '.join(stages)}")


def check_arguments(stage: str, arguments: Sequence[str]) -> None:
    """Raise `UserError` for an argument that is neither KEY=VALUE nor a flag of Hydra."""
    if "=" in arguments:
        joined = re.sub(r" = ", "=", " ".join(arguments))
        raise UserError("there are blanks around =", do=f"churn {stage} {joined}")
    taken = False
    for number, argument in enumerate(arguments):
        if taken or argument.startswith("~"):  # the word of the flag before it; or Hydra's sign for "without"
            taken = False
        elif argument.startswith("-"):
            _check_flag(stage, arguments, number)
            taken = bool(_TAKE_A_WORD.fullmatch(argument))
        elif "=" not in argument:
            raise _no_key(stage, arguments, number)
        elif argument.endswith("="):
            key = argument[:-1]
            raise UserError(f"{key} has no value", do=f"{key}=VALUE, or {key}=null for none")
        else:
            _check_reader(stage, *argument.split("=", 1))
    if stage == "synthesize" and any(argument.startswith("events=") for argument in arguments):
        _check_folder(arguments)


def _check_reader(stage: str, key: str, value: str) -> None:
    """Raise `UserError` for a key that the stage would not read: it would be left aside in silence."""
    stages = _READ_BY.get(key)
    if stages and stage not in stages:
        do = _instead(stage, key, value) or f"leave it out; it is for churn {', '.join(stages)}"
        raise UserError(f"churn {stage} does not read '{key}'", do=do)
    if stage == "promote" and key in ("run", "run.dir") and value.rstrip("/") != _run(value):
        do = f"churn promote {type_key('run', _run(value))}"
        raise UserError("this is not the folder of a run", f"{key}={value}", do)


def _check_folder(arguments: Sequence[str]) -> None:
    """Raise `UserError` for `output`, which the several tables of synthetic events would leave aside."""
    if any(argument.startswith("output=") for argument in arguments):
        raise UserError("event tables go to a folder", "output", "leave it out, or events.folder=DIR")


def _instead(stage: str, key: str, value: str) -> str:
    """What to type instead of a key that the stage does not read; "" if there is nothing."""
    if key == "input" and stage in _EXAMPLES:
        return _EXAMPLES[stage].format(shlex.quote(value), _SECOND.get(stage, ""))
    if key == "bundle" and stage == "promote":
        return f"churn promote {type_key('run', _run(value))}"
    if key in ("run", "run.dir") and stage in _READ_BY["bundle"]:
        return type_key("bundle", f"{_run(value)}/bundle")
    return ""


def _run(path: str) -> str:
    """The folder of a run that is named by its bundle, or by its name alone."""
    run = path.rstrip("/").removesuffix("/bundle")
    return f"runs/{run}" if "/" not in run and not Path(run).exists() else run


def _check_flag(stage: str, arguments: Sequence[str], number: int) -> None:
    """Raise `UserError` for a flag that is not Hydra's, as keys have no dashes, or lacks its word."""
    flag, following = arguments[number], arguments[number + 1 :]
    if not _HYDRAS.fullmatch(flag):
        typed = " ".join(_without_dashes(stage, arguments))
        raise UserError(f"keys have no dashes: {flag}", do=f"churn {stage} {typed}")
    if flag in ("-c", "--cfg") and following[:1] not in (["job"], ["hydra"], ["all"]):
        raise UserError(f"{flag} needs one of: job, hydra, all", do=f"churn {stage} {flag} job")


def _without_dashes(stage: str, arguments: Sequence[str]) -> Iterator[str]:
    """What to type instead of arguments with --KEY VALUE; raises `UserError` for a flag that is no key."""
    words = [*arguments]
    while words:
        word = words.pop(0)
        if not word.startswith("-") or _HYDRAS.fullmatch(word):
            yield shlex.quote(word)
            continue
        key, equals, value = word.lstrip("-").partition("=")
        key = nearest_key(key.replace("-", "_"), stage) or (key if key in _CHOICES else "")
        if not key:
            do = f"churn {stage} --help".replace("churn STAGE", "churn")
            raise UserError(f"there is no flag {word}", do=do)
        if not equals:
            value = words.pop(0) if words and not re.search("^-|=", words[0]) else _example_of(key)
        _check_reader(stage, key, value)
        yield type_key(key, value)


def _example_of(key: str) -> str:
    return "true" if default_of(key) == "false" else "VALUE"


def _no_key(stage: str, arguments: Sequence[str], number: int) -> UserError:
    """The error for an argument without a key."""
    word = arguments[number]
    if word in ("help", "?"):
        return UserError(f"'{word}' is no KEY=VALUE", do=f"churn {stage} --help")
    if number and "=" in arguments[number - 1]:
        key, _, value = arguments[number - 1].partition("=")
        whole = " ".join([value, *takewhile(lambda following: "=" not in following, arguments[number:])])
        what = f"'{word}' is no KEY=VALUE; if it belongs to {key}, the value needs quotes"
        known = key in valid_keys() and is_list(key)
        return UserError(what, do=f"type {type_list(key, whole) if known else type_key(key, whole)}")
    files = [one for one in arguments[number:] if "=" not in one and not one.startswith("-")]
    if stage == "promote":
        files[0] = _run(files[0])
    files = [*map(shlex.quote, files), _SECOND.get(stage, "")]
    example = _EXAMPLES.get(stage, f"churn {stage} KEY={{0}}")
    return UserError(f"'{word}' is no KEY=VALUE", do=example.format(*files))
