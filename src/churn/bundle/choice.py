"""The model that a command takes: named in words, and refused where another was probably meant."""

from __future__ import annotations

import re
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from churn.bundle.bundle import Bundle
from churn.bundle.contents import EXTRA, read_facts
from churn.bundle.registry import champion_path
from churn.config.data import Source
from churn.config.root import Config
from churn.data.dataset import Schema
from churn.data.spelling import number_example
from churn.errors import UserError, shell_setting


class NoBundleError(UserError):
    """Nothing was trained yet."""


def find_bundle(cfg: Config) -> Bundle:
    """The bundle of `cfg.bundle`; else the champion of the named data set.

    If no data set is named: the champion of the configuration's, else that of the newest run's data set, else
    the newest run's bundle. Raises `UserError` if there is none.
    """
    return Bundle.load(Path(cfg.bundle) if cfg.bundle else champion_path(cfg) or _path_by_newest_run(cfg))


def choose_bundle(cfg: Config) -> Bundle:
    """The bundle of `find_bundle`, after a line that names it.

    Raises `UserError` if nobody named a model or a data set, and the newest run is another data set's: then
    the champion is the right model only by chance.
    """
    bundle = find_bundle(cfg)
    if unclear := unclear_choice(bundle, cfg):
        raise unclear
    print(f"Model: {describe_model(bundle.facts)}, {bundle.path}", flush=True)
    return bundle


def unclear_choice(bundle: Bundle, cfg: Config) -> UserError | None:
    """Why a bundle of `find_bundle` is the right one only by chance; None if it is not."""
    newest = Path(cfg.run.root) / "latest" / "bundle"
    if cfg.bundle or _named_data(cfg) or not newest.exists():
        return None
    facts = read_facts(newest / EXTRA / "bundle.json")
    return None if facts["name"] == bundle.facts["name"] else _unclear(bundle, facts, newest)


def check_data_set(bundle: Bundle, name: str, cfg: Config) -> None:
    """Raise `UserError` if the data set `name`, of which a model is to learn, is not the bundle's own.

    Who names the bundle says that it is.
    """
    own = bundle.facts["name"]
    if own != name and not cfg.bundle:
        raise UserError(
            f"the champion is {describe_model(bundle.facts)}, but the table to learn from is '{name}'",
            do=f"name its table: data=csv data.path=FILE {_setting('data.name', own)}; or train and promote "
            f"a first model of '{name}'",
        )


def describe_model(facts: dict[str, Any]) -> str:
    """The data set, the day and the AUC of a bundle, whose bundle.json is `facts`.

    >>> describe_model(bundle.facts)
    "'telco' of 2026-11-30, ROC AUC 0.847"
    """
    day = f" of {facts['created'][:10]}" if "created" in facts else ""
    auc = facts.get("metrics", {}).get("roc_auc", {}).get("value")
    return f"'{facts.get('name', 'unnamed')}'{day}" + ("" if auc is None else f", ROC AUC {auc:.3f}")


def check_columns(bundle: Bundle, columns: Collection[str], origin: str, cfg: Config) -> None:
    """Raise `UserError` if a table lacks columns of the model; the error names a model that can read it."""
    if {*bundle.schema.features} <= {*columns}:
        return
    from churn.data.validate import missing_columns

    if error := missing_columns(columns, bundle.schema, origin):
        do = f"this model is {describe_model(bundle.facts)}; for another one: bundle=DIR"
        if able := _able_to_read(columns, cfg.run.root):
            do = f"this model is {describe_model(bundle.facts)}; to take a model with these columns: {able}"
        raise UserError(error.what, do=do)


def _path_by_newest_run(cfg: Config) -> Path:
    """The champion of the newest run's data set, else the newest run's bundle."""
    newest = Path(cfg.run.root) / "latest" / "bundle"
    if not newest.exists():
        do = "churn train, or name one: bundle=DIR"
        raise NoBundleError("there is no bundle yet", f"bundle={newest}", do)
    name = read_facts(newest / EXTRA / "bundle.json")["name"]
    if _named_data(cfg) not in ("", name):
        what = f"there is no champion of '{_named_data(cfg)}'; the newest run is one of '{name}'"
        do = f"{_setting('data.name', name)}, or bundle=DIR; or make one: churn promote run=DIR"
        raise UserError(what, do=do)
    return champion_path(replace(cfg, data=replace(cfg.data, name=name))) or newest


def _named_data(cfg: Config) -> str:
    """The data set that the command names; "" if it names none, as with data=csv alone."""
    from churn.data.load import dataset_name

    nameless = cfg.data.source is Source.file and not cfg.data.name and not cfg.data.path
    named = {"data", "data.name", "data.path", "data.source"} & {*cfg.overridden}
    return dataset_name(cfg.data) if named and not nameless else ""


def _unclear(bundle: Bundle, newest: dict[str, Any], path: Path) -> UserError:
    name = bundle.facts["name"]
    what = (
        f"it is not clear which model is meant: the newest run is {describe_model(newest)}, "
        f"the champion of the default data set is {describe_model(bundle.facts)}"
    )
    do = f"{_setting('bundle', path)} for the newest, {_setting('data.name', name)} for the champion"
    return UserError(what, do=do)


def _able_to_read(columns: Collection[str], root: str) -> str:
    """How to name the newest run whose model needs no other columns; "" if there is none."""
    for bundle in sorted(Path(root).glob("*/bundle"), key=lambda path: path.stat().st_mtime, reverse=True):
        with suppress(UserError, OSError):  # a damaged bundle is no remedy
            schema = read_facts(bundle / EXTRA / "bundle.json")["schema"]
            if {*schema["numeric"], *schema["categorical"]} <= {*columns}:
                return _setting("bundle", bundle)
    return ""


def _setting(key: str, value: object) -> str:
    """What to type, in quotes only where a shell or Hydra needs them."""
    return f"{key}={value}" if re.fullmatch(r"[\w./+-]+", str(value)) else shell_setting(key, str(value))


def check_reading(schema: Schema, cfg: Config) -> None:
    """Raise `UserError` for keys that would read cells otherwise than the model's table was read."""
    keys = [key for key in ("decimal", "thousands") if f"data.{key}" in cfg.overridden]
    if other := [f"data.{key}" for key in keys if getattr(cfg.data, key) != getattr(schema, key)]:
        what = f"this model reads numbers like {number_example(schema)}, as those that it learnt from"
        raise UserError(what, ", ".join(other), "leave the keys out, and write the file's numbers alike")
    if "data.missing" in cfg.overridden and {*cfg.data.missing} != {*schema.missing}:
        words = ", ".join(map(repr, schema.missing)) or "no text"
        what = f"in the table that this model learnt from, {words} means 'missing', beside blank"
        raise UserError(what, "data.missing", "leave the key out, and such cells blank")
