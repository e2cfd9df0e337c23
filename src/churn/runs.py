"""Run directories: their names are reserved, they appear whole, and a killed run is resumed.

A finished run is noted in `run.root` before it gets its name, until it is registered. Whatever a kill leaves
undone after that is done by the next command (`unregistered_runs`).
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from omegaconf import OmegaConf

from churn.config.root import Config
from churn.errors import UserError
from churn.files import LOCK, PARTIAL, exclusive, make_folder, sync_tree, write_text

CHECKPOINTS = "checkpoints"  # inside an unfinished run only
UNFINISHED = ".unfinished-"
UNREGISTERED = ".unregistered-"  # notes in `run.root`
KEPT_DAYS = 30  # of an unfinished run, for the same command to resume it


@contextmanager
def reserve_run(cfg: Config) -> Iterator[Path]:
    """The path for the run of this configuration, which no other process gets while the block runs.

    It does not exist yet, or is empty. Raises `UserError` if the directory that `run.dir` names holds
    something, or another process writes a run there.
    """
    with ExitStack() as stack:
        if cfg.run.dir is None:
            stamp = f"{datetime.now():%Y-%m-%dT%H-%M-%S}-{cfg.data.name}"
            names = [stamp, *(f"{stamp}-{i}" for i in range(2, 1000))]
            paths = (Path(cfg.run.root) / name for name in names)
            yield next(path for path in paths if _is_reserved(path, stack) and not path.exists())
            return
        path = Path(cfg.run.dir)
        _check_empty(path)
        if not _is_reserved(path, stack):
            raise UserError(
                "another process writes its run there", f"run.dir={path}", "name another directory"
            )
        _check_empty(path)  # it may have finished in between
        yield path


def _is_reserved(path: Path, stack: ExitStack) -> bool:
    """Lock the name of a run until the stack closes; False if another process has it."""
    return stack.enter_context(exclusive(_lock_of(path), wait=False))


def _lock_of(path: Path) -> Path:
    return path.with_name(f".{path.name}{LOCK}")


def _check_empty(path: Path) -> None:
    """Raise `UserError` unless the path is free for a run: absent, or an empty directory."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError("this path exists already", f"run.dir={path}", "name another directory, or remove it")


@contextmanager
def new_run(cfg: Config, final: Path, fingerprint: str) -> Iterator[Path]:
    """The directory to write a run to; it becomes `final` if the block ends without error.

    After a kill, the same command on the same data gets the same directory again, with its checkpoints only.
    After Ctrl-C or wrong input the directory is removed; after a bug, or when the system refused something,
    it stays, so that a corrected program resumes the run.
    """
    unfinished = unfinished_run(cfg, final, fingerprint)
    _remove_old(final.parent)
    with exclusive(unfinished.with_name(unfinished.name + LOCK), wait=False) as ours:
        if not ours:
            what = "the same run is in progress in another process"
            do = f"wait for it; for another run beside it, choose another seed: seed={cfg.seed + 1}"
            raise UserError(what, str(unfinished), do)
        _prepare(unfinished)
        try:
            yield unfinished
        except (KeyboardInterrupt, UserError):
            shutil.rmtree(unfinished)
            raise
        sync_tree(unfinished)
        note_unregistered(Path(cfg.run.root), final)
        unfinished.replace(final)
        shutil.rmtree(final / CHECKPOINTS)  # not before: without them a kill would lose the training
    link_latest(Path(cfg.run.root) / "latest", final)


def note_unregistered(root: Path, run: Path) -> None:
    """Note a run that is about to get its name; `forget_unregistered` removes the note."""
    write_text(_note_of(root, run), _from_root(root, run))


def forget_unregistered(root: Path, run: Path) -> None:
    """Remove the note of a run that is registered."""
    _note_of(root, run).unlink(missing_ok=True)


def has_unregistered(root: Path) -> bool:
    """Whether there is such a note, in a folder that can be written."""
    return os.access(root, os.W_OK) and any(root.glob(f"{UNREGISTERED}*"))


def _note_of(root: Path, run: Path) -> Path:
    return root / f"{UNREGISTERED}{hashlib.sha256(_from_root(root, run).encode()).hexdigest()[:12]}"


def _from_root(root: Path, run: Path) -> str:
    """The path of a run from `root` on, so that both can be moved."""
    return os.path.relpath(run.resolve(), root.resolve())


def unregistered_runs(root: Path) -> Iterator[Path]:
    """Finished runs that a process which has ended left unregistered; nobody else gets them meanwhile."""
    for note in sorted(root.glob(f"{UNREGISTERED}*")):
        run = root / note.read_text()
        if not run.parent.is_dir():
            note.unlink()
            continue
        with exclusive(_lock_of(run), wait=False) as ours:
            if ours and run.is_dir():
                _finish(root, run)
                yield run
            elif ours:  # it did not get its name: the same command resumes it
                note.unlink()


def _finish(root: Path, run: Path) -> None:
    """Do what follows when a run has its name."""
    shutil.rmtree(run / CHECKPOINTS, ignore_errors=True)
    latest = root / "latest"
    if not latest.exists() or latest.stat().st_mtime < run.stat().st_mtime:
        link_latest(latest, run)


def unfinished_run(cfg: Config, final: Path, fingerprint: str) -> Path:
    """The directory of a run that is not finished."""
    return final.parent / f"{UNFINISHED}{_run_identity(cfg, fingerprint)}"


def _prepare(unfinished: Path) -> None:
    """Make the directory of a run; what a killed process left there, but for its checkpoints, is removed."""
    make_folder(unfinished / CHECKPOINTS)
    for left in unfinished.iterdir():
        if left.name != CHECKPOINTS:
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def _remove_old(folder: Path) -> None:
    """Remove unfinished runs of dead processes that no one has resumed for long."""
    oldest = datetime.now().timestamp() - KEPT_DAYS * 86_400
    for left in folder.glob(f"{UNFINISHED}*/"):
        with exclusive(left.with_name(left.name + LOCK), wait=False) as ours:
            if ours and left.exists() and _changed(left) < oldest:
                shutil.rmtree(left)


def _changed(folder: Path) -> float:
    """When something in a folder was last written."""
    return max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))


def _run_identity(cfg: Config, fingerprint: str) -> str:
    """A short hash of everything that determines a run: configuration, data and versions.

    The data count by their content, wherever they lie: a retraining writes them to a new folder each time.
    """
    data = replace(cfg.data, path=None)
    keys = OmegaConf.to_yaml(OmegaConf.structured({**vars(cfg), "data": data, "run": None}))
    versions = f"{version('churn')} {version('tensorflow')}"
    return hashlib.sha256(f"{keys}{fingerprint}{versions}".encode()).hexdigest()[:12]


def link_latest(link: Path, target: Path) -> None:
    """Make `link` a symbolic link to `target`; an old link is replaced in one step."""
    with exclusive(_lock_of(link)):
        temporary = link.with_name(f".{link.name}{PARTIAL}")
        temporary.unlink(missing_ok=True)  # left by a killed process
        where = os.path.relpath(target.resolve(), link.parent.resolve())
        temporary.symlink_to(where, target_is_directory=True)
        temporary.replace(link)
