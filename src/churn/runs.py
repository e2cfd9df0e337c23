"""Run directories: they appear whole, and a killed run is resumed."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from omegaconf import OmegaConf

from churn.config.root import Config
from churn.errors import UserError

CHECKPOINTS = "checkpoints"  # inside an unfinished run only


@contextmanager
def new_run(cfg: Config, final: Path, fingerprint: str) -> Iterator[Path]:
    """The directory to write a run to; it becomes `final` if the block ends without error.

    After a kill, the same command on the same data gets the same directory again, with its checkpoints.
    After Ctrl-C or wrong input the directory is removed; after a bug it stays, so that a corrected program
    resumes the run.
    """
    unfinished = unfinished_run(cfg, final, fingerprint)
    with lock_run(unfinished):
        (unfinished / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
        try:
            yield unfinished
        except (KeyboardInterrupt, UserError):
            shutil.rmtree(unfinished)
            raise
        shutil.rmtree(unfinished / CHECKPOINTS)
        unfinished.replace(final)
    link_latest(Path(cfg.run.root) / "latest", final)


def unfinished_run(cfg: Config, final: Path, fingerprint: str) -> Path:
    """The directory of a run that is not finished."""
    return final.parent / f".unfinished-{_run_identity(cfg, fingerprint)}"


def choose_run_dir(cfg: Config) -> Path:
    """The directory for the run of this configuration; raises `UserError` if it is not empty."""
    if cfg.run.dir is None:
        stamp = f"{datetime.now():%Y-%m-%dT%H-%M-%S}-{cfg.data.name}"
        names = [stamp, *(f"{stamp}-{i}" for i in range(2, 1000))]
        return next(path for name in names if not (path := Path(cfg.run.root) / name).exists())
    path = Path(cfg.run.dir)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError("this path exists already", f"run.dir={path}", "name another directory, or remove it")
    return path


def _run_identity(cfg: Config, fingerprint: str) -> str:
    """A short hash of everything that determines a run: configuration, data and versions."""
    keys = OmegaConf.to_yaml(OmegaConf.structured({**vars(cfg), "run": None}))
    versions = f"{version('churn')} {version('tensorflow')}"
    return hashlib.sha256(f"{keys}{fingerprint}{versions}".encode()).hexdigest()[:12]


@contextmanager
def lock_run(directory: Path) -> Iterator[None]:
    """Refuse a second process with the same run; the lock ends with the process, even if it is killed."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    lock = directory.with_name(directory.name + ".lock")
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                "the same run is in progress in another process", str(directory), "wait for it"
            ) from None
        try:
            yield
        finally:
            lock.unlink()


def link_latest(link: Path, target: Path) -> None:
    """Make `link` a symbolic link to `target`; an old link is replaced in one step."""
    link.parent.mkdir(parents=True, exist_ok=True)
    temporary = link.with_name(f".{link.name}.{os.getpid()}")
    temporary.symlink_to(os.path.relpath(target.resolve(), link.parent.resolve()), target_is_directory=True)
    temporary.replace(link)
