"""Files that appear whole or not at all, lines that are appended whole, and locks that end with the process.

Every file of a stage is written here: aside, synced, moved. What a killed process leaves aside is removed by
the next one that writes beside it, or that starts a stage (`clear_leftovers`): a file that is being written
is locked, and the lock ends with the process, however that ends.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

PARTIAL = ".partial"
LOCK = ".lock"
SCRATCH = f".churn-{os.getuid()}-"  # folders of rows in work
SCRATCH_LOCK = f"{SCRATCH}scratch{LOCK}"
CANNOT_SYNC = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)  # folders of some network file systems


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary path to write a file to; it becomes `path` if the block ends without error.

    The content is on disk before it has its name. Raises OSError before the block if there can be no such
    file: its name is too long, a folder has it, or it is a device or a pipe, which a move would replace.

    >>> with atomic_write(Path("report.json")) as temporary:
    ...     temporary.write_text("{}")
    """
    _check_target(path)
    make_folder(path.parent)
    clear_partials(path.parent, path.name)
    temporary = path.with_name(f"{_prefix(path.name)}{token_hex(4)}{PARTIAL}")
    descriptor = _lock(temporary)
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


def write_text(path: Path, text: str) -> None:
    """Write a text file, in UTF-8, that appears whole."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


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


def _lock(path: Path, flags: int = 0) -> int:
    """The descriptor of a file that this process has locked; it is made if it does not exist."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
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


def _remove_abandoned(path: Path) -> None:
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
            _remove_abandoned(folder / left)


@contextmanager
def scratch_folder(root: Path | None = None) -> Iterator[Path]:
    """A folder for rows in work, which only this user can read; removed with the block.

    It lies in `root`, by default in the system's temporary folder. Customers' rows must not stay where a
    killed process left them: the next stage removes them (`clear_leftovers`).
    """
    root = root or Path(tempfile.gettempdir())
    make_folder(root)
    with exclusive(root / SCRATCH_LOCK):  # else another process could find the folder before it is locked
        folder = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=root))
        descriptor = os.open(folder, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
        os.close(descriptor)


def _clear_scratch(root: Path) -> None:
    """Remove the scratch folders that killed processes left in `root`."""
    if folders := list(root.glob(f"{SCRATCH}*/")):
        with exclusive(root / SCRATCH_LOCK):
            for folder in folders:
                _remove_abandoned(folder)


def clear_leftovers(root: Path) -> None:
    """Remove what killed processes left aside: scratch folders; in `root` also partial files and locks.

    Where the system refuses that, they stay: the stage that comes may need nothing of it.
    """
    with suppress(OSError):
        _clear_scratch(Path(tempfile.gettempdir()))
    with suppress(OSError):
        _clear_scratch(root)
        clear_partials(root)
        for lock in root.glob(f".*{LOCK}"):
            _remove_abandoned(lock)


def append_line(path: Path, line: str) -> None:
    """Append a line of JSON, whole or not at all; the lines of two processes do not mix.

    An end that a killed process cut off is mended first. Raises OSError if there is no room for the line.
    """
    make_folder(path.parent)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        _mend_end(file)
        _append(file, line.encode() + b"\n", path)
        os.fsync(file)
    finally:
        os.close(file)


def _append(file: int, content: bytes, path: Path) -> None:
    """Write all of it at the end of a file, or nothing."""
    size, written = os.fstat(file).st_size, 0
    try:
        while written < len(content):
            written += os.write(file, content[written:])
    except OSError as error:
        os.ftruncate(file, size)
        error.filename, error.needed = str(path), len(content)  # type: ignore[attr-defined]
        raise


def _mend_end(file: int) -> None:
    """Cut off a last line that is not whole; one that is whole but for its end gets the end."""
    size = os.fstat(file).st_size
    content = os.pread(file, size, 0)
    start = content.rfind(b"\n") + 1
    if start == size:
        return
    if _is_json(content[start:]):
        os.write(file, b"\n")
    else:
        os.ftruncate(file, start)


def _is_json(line: bytes | str) -> bool:
    """Whether this is a JSON object."""
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def read_lines(path: Path) -> list[str]:
    """The whole lines of a file of JSON lines, [] if it does not exist.

    A last line that a kill cut off is left out. Another line that is no JSON is left out and named.
    """
    if not path.exists():
        return []
    lines = path.read_bytes().decode(errors="replace").split("\n")
    last = [lines[-1]] if _is_json(lines[-1]) else []
    whole = []
    for number, line in enumerate(lines[:-1] + last, 1):
        if _is_json(line):
            whole.append(line)
        else:
            print(f"churn: {path}, line {number} cannot be read and is left out", file=sys.stderr)
    return whole
