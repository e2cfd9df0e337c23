"""Run directories: written aside, published whole, taken up again after a kill."""

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
    """The directory to write a run to; when the block ends without error it becomes `final`.

    After a kill the same command on the same data is given the same directory again, checkpoints
    included. Ctrl-C and wrong input leave nothing; a bug leaves it, to be taken up when mended.
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
    """Where a run lies until it is whole."""
    return final.parent / f".unfinished-{_run_identity(cfg, fingerprint)}"


def choose_run_dir(cfg: Config) -> Path:
    """Where the run of this configuration will lie; raises `UserError` if something lies there."""
    if cfg.run.dir is None:
        stamp = f"{datetime.now():%Y-%m-%dT%H-%M-%S}-{cfg.data.name}"
        names = [stamp, *(f"{stamp}-{i}" for i in range(2, 1000))]
        return next(path for name in names if not (path := Path(cfg.run.root) / name).exists())
    path = Path(cfg.run.dir)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(
            "there is something already", f"run.dir={path}", "name another directory, or remove it"
        )
    return path


def _run_identity(cfg: Config, fingerprint: str) -> str:
    """Short hash of all that decides what a run will be."""
    keys = OmegaConf.to_yaml(OmegaConf.structured({**vars(cfg), "run": None}))
    versions = f"{version('churn')} {version('tensorflow')}"
    return hashlib.sha256(f"{keys}{fingerprint}{versions}".encode()).hexdigest()[:12]


@contextmanager
def lock_run(directory: Path) -> Iterator[None]:
    """Refuse a second process that does the same work; the lock goes with the process, however it ends."""
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
    """Make `link` a symbolic link to `target`, replacing an old one in one step."""
    link.parent.mkdir(parents=True, exist_ok=True)
    aside = link.with_name(f".{link.name}.{os.getpid()}")
    aside.symlink_to(os.path.relpath(target.resolve(), link.parent.resolve()), target_is_directory=True)
    aside.replace(link)
