"""Training from the page: what the columns are, and the command that trains, with its progress."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path, PureWindowsPath

from churn.app.upload import READING, describe_error
from churn.config.data import DataConfig
from churn.config.keys import type_key, type_keys
from churn.config.root import Config
from churn.data.dataset import Finding
from churn.data.infer.schema import infer_schema
from churn.data.infer.target import find_target, format_counts
from churn.data.sources import files
from churn.data.table import RawTable
from churn.errors import UserError, shell_override
from churn.files import PERSONAL, atomic_write
from churn.refusals import refusal_of

SAMPLE_ROWS = 100_000  # that roles are looked at, at most; the training reads all
FEW_VALUES = 10  # of a column that may say who left
LIMITS = ("run.root", "retrain.gate")  # keys passed on to a promotion
OWN = (  # ... and to a training
    "model", "train", "evaluate", "export", "split", "decision", "seed",
    "data.protected", "data.personal", "card", "privacy", "robustness", *READING, *LIMITS,
)  # fmt: skip
TYPED = (  # ... if they were typed, and are not those of a data set of configs/data
    "data.id", "data.time", "data.numeric", "data.categorical", "data.horizon", "data.drop_copies",
    "data.influence",
)  # fmt: skip


@dataclass(frozen=True)
class Draft:
    """What a person chose for a training."""

    path: Path
    target: str = ""
    churned: str = ""
    left_out: tuple[str, ...] = ()
    name: str = "mine"  # of the data set
    file: str = "table.csv"  # the name of the file
    digest: str = ""  # sha256 of its bytes


@dataclass(frozen=True)
class Roles:
    """What the columns would be taken for."""

    by_column: dict[str, str] = field(default_factory=dict)  # "number", "category", "id", "left out"
    findings: tuple[Finding, ...] = ()
    problem: str = ""


def read_sample(path: Path, cfg: Config) -> RawTable:
    """The first rows of a file."""
    return next(files.raw_tables(str(path), cfg.data, SAMPLE_ROWS))


def possible_targets(raw: RawTable) -> dict[str, list[str]]:
    """The columns with few values, which may say who left, and their values."""
    counted = {str(name): raw.frame[name].dropna().astype(str).value_counts() for name in raw.frame}
    return {
        name: [str(value) for value in values.index if str(value)]
        for name, values in counted.items()
        if 1 < len(values) <= FEW_VALUES
    }


def likely_target(raw: RawTable, cfg: Config) -> tuple[str, str]:
    """The column that `churn train` takes for the target if none is named, or "" and why it takes none."""
    frame = raw.frame.drop(columns=cfg.data.personal, errors="ignore")
    try:
        return find_target(frame, _data_config(Draft(Path()), cfg), raw.count_values).name, ""
    except UserError as error:  # what to type is left out: the page has fields for it
        return "", str(UserError(error.what, error.where))


def _data_config(draft: Draft, cfg: Config) -> DataConfig:
    """The configuration of a table: roles that were not typed are those of another one."""
    churned = [draft.churned] if draft.churned else []
    data = replace(cfg.data, target=draft.target, churned=churned, drop=list(draft.left_out), name=draft.name)
    default, roles = DataConfig(), ("id", "time", "numeric", "categorical")
    of_no_table = [role for role in roles if f"data.{role}" not in cfg.overridden]
    return replace(data, **{role: getattr(default, role) for role in of_no_table})


def infer_roles(raw: RawTable, draft: Draft, cfg: Config) -> Roles:
    """The roles of the columns for a target and columns to leave out."""
    try:
        schema, findings = infer_schema(raw, _data_config(draft, cfg))
    except UserError as error:
        return Roles(problem=describe_error(error, draft.path, draft.file))
    kinds = dict.fromkeys(schema.numeric, "number") | dict.fromkeys(schema.categorical, "category")
    kinds |= dict.fromkeys(schema.dropped, "left out") | {schema.target: "says who left"}
    if schema.id:
        kinds[schema.id] = "names the customer"
    return Roles({str(name): kinds[str(name)] for name in raw.frame if str(name) in kinds}, findings)


def describe_values(raw: RawTable, column: str) -> str:
    """The values of a column with their numbers of rows."""
    counts = raw.frame[column].dropna().astype(str).value_counts()
    return format_counts(counts, int(raw.frame[column].isna().sum()))


def run_directory(draft: Draft, cfg: Config) -> Path:
    """The directory of a training that begins now."""
    return Path(cfg.run.root) / f"{datetime.now():%Y-%m-%dT%H-%M-%S}-{draft.name}"


def training_command(draft: Draft, cfg: Config, run: Path) -> list[str]:
    """The arguments of `churn` that train as the page does, in the directory `run`."""
    settings = ["data=csv", _setting("data.path", str(_kept_path(draft, cfg)))]
    settings += [_setting("data.target", draft.target), _setting("data.name", draft.name)]
    settings += [_setting("run.dir", str(run))]
    settings += [_listed("data.churned", [draft.churned])] if draft.churned else []
    settings += [_listed("data.drop", draft.left_out)] if draft.left_out else []
    typed = [key for key in TYPED if any(f"{one}.".startswith(f"{key}.") for one in cfg.overridden)]
    return ["train", *settings, *map(_unquoted, type_keys(cfg, [*OWN, *typed]))]


def promotion(run: Path, cfg: Config) -> list[str]:
    """The arguments of `churn` that make a run's model the champion."""
    return ["promote", _setting("run", str(run)), *map(_unquoted, type_keys(cfg, LIMITS))]


def keep_table(draft: Draft, cfg: Config) -> None:
    """Copy the table beside the runs: a model can be compared and retrained only with its data.

    Raises `UserError` if the system refuses it: the disk may be full.
    """
    target = _kept_path(draft, cfg)
    if not target.exists():
        try:
            with atomic_write(target, PERSONAL) as aside:
                shutil.copyfile(draft.path, aside)
        except OSError as error:
            raise refusal_of(error) or error from None


def _kept_path(draft: Draft, cfg: Config) -> Path:
    name = PureWindowsPath(draft.file).name  # knows both separators: the browser says the name
    return Path(cfg.run.root) / "uploads" / draft.digest[:12] / (name if name.strip(". ") else "table.csv")


def _setting(key: str, value: str) -> str:
    return _unquoted(type_key(key, value))


def _listed(key: str, values: Sequence[str]) -> str:
    return _unquoted(shell_override(key, *values))


def _unquoted(text: str) -> str:
    """An argument as a shell passes it on."""
    return shlex.split(text)[0]


async def run_churn(arguments: Sequence[str]) -> AsyncIterator[str]:
    """The lines that `churn *arguments` prints, as they come; raises `UserError` if it fails."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "churn", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout
    lines = []
    try:
        async for line in process.stdout:
            lines.append(line.decode(errors="replace").rstrip())
            yield lines[-1]
        if await process.wait():
            raise UserError("\n".join(lines[-8:]))
    finally:
        if process.returncode is None:
            process.terminate()
