"""Files that appear whole or not at all, and locks that end with the process.

Every file of a stage is written here: aside, synced, moved. What a killed process leaves aside is removed by
the next one that writes beside it, or that starts a stage (`churn.scratch.clear_leftovers`): a file that is
being written is locked, and the lock ends with the process, however that ends.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from churn.errors import UserError

PARTIAL = ".partial"
LOCK = ".lock"
# Modes of files: for everybody; with persons' data, so not for others; a secret of this user.
EVERYBODY, PERSONAL, SECRET = 0o666, 0o640, 0o600
CANNOT_SYNC = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)  # folders of some network file systems


@contextmanager
def atomic_write(path: Path, mode: int = EVERYBODY) -> Iterator[Path]:
    """A temporary path to write a file to; it becomes `path` if the block ends without error.

    The content is on disk before it has its name. The umask takes rights off the mode, as ever. Raises
    OSError before the block if there can be no such file: its name is too long, a folder has it, or it is a
    device or a pipe, which a move would replace.

    >>> with atomic_write(Path("report.json")) as temporary:
    ...     temporary.write_text("{}")
    """
    _check_target(path)
    make_folder(path.parent)
    clear_partials(path.parent, path.name)
    temporary = path.with_name(f"{_prefix(path.name)}{token_hex(4)}{PARTIAL}")
    descriptor = _lock(temporary, mode=mode)
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    except OSError as error:
        error.filename = error.filename or str(path)  # a failed write does not name its file
        raise
    finally:
        temporary.unlink(missing_ok=True)
        os.close(descriptor)


def _prefix(name: str) -> str:
    """How the names of files begin that become `name`; short enough for a name of any length."""
    return f".{name[:150]}."


def write_text(path: Path, text: str, mode: int = EVERYBODY) -> None:
    """Write a text file, in UTF-8, that appears whole."""
    with atomic_write(path, mode) as temporary:
        temporary.write_text(text, encoding="utf-8")


def refuse_foreign(path: Path, beginning: str) -> None:
    """Raise `UserError` if a file whose name the user did not give would be replaced, and is not from here.

    `beginning`: a regular expression that is found early in all of ours.
    """
    _check_target(path)
    with suppress(FileNotFoundError), path.open("rb") as file:
        if not re.search(beginning.encode(), file.read(1_000)):
            what, do = "this file would be replaced, and is not from here", "move it, or write elsewhere"
            raise UserError(what, str(path), do)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; a file of its name is the error ENOTDIR."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from None


def _check_target(path: Path) -> None:
    """Raise OSError if a file cannot have this name."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "this is a device or a pipe, not a file", str(path))


def sync_tree(folder: Path) -> None:
    """Have everything in a folder on disk, before it gets its name."""
    for path in folder.rglob("*"):
        _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    """Have the content of a file, or the names in a folder, on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not path.is_dir() or error.errno not in CANNOT_SYNC:
            raise
    finally:
        os.close(descriptor)


@contextmanager
def exclusive(path: Path, wait: bool = True) -> Iterator[bool]:
    """Hold the lock file `path` while the block runs; without `wait`, gives False where another has it.

    The lock ends with the process, however that ends, and the file is removed with it.
    """
    make_folder(path.parent)
    try:
        descriptor = _lock(path, 0 if wait else fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
        return
    try:
        yield True
    finally:
        path.unlink(missing_ok=True)  # before the lock ends, so that no one locks a file without a name
        os.close(descriptor)


def _lock(path: Path, flags: int = 0, mode: int = EVERYBODY) -> int:
    """The descriptor of a file that this process has locked; it is made if it does not exist."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, mode)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | flags)
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except FileNotFoundError:  # the one before removed the file that we waited for
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def remove_abandoned(path: Path) -> None:
    """Remove a file or folder that no living process has locked; leave it where that is refused."""
    with suppress(OSError):  # BlockingIOError: it is in use
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        finally:
            os.close(descriptor)


def clear_partials(folder: Path, name: str = "") -> None:
    """Remove what killed processes left of files with this name, or of any, in a folder."""
    prefix = _prefix(name) if name else "."
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries]
    for left in sorted(names):
        base, mark, more = left.partition(PARTIAL)
        in_use = more and (folder / f"{base}{PARTIAL}").exists()  # SQLite's journal beside a file
        if mark and left.startswith(prefix) and not in_use:
            remove_abandoned(folder / left)
