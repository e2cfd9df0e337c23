"""Files and directories that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary path to write a file or directory to; it becomes `path` if the block ends without error.

    >>> with atomic_write(Path("report.json")) as temporary:
    ...     temporary.write_text("{}")
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink(missing_ok=True)


def append_line(path: Path, line: str) -> None:
    """Append a line to a file in one call, so that the lines of two processes do not mix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(file, line.encode() + b"\n")
        os.fsync(file)
    finally:
        os.close(file)


def read_lines(path: Path) -> list[str]:
    """The whole lines of a file, [] if it does not exist; a last line that a kill cut off is left out."""
    return path.read_text().split("\n")[:-1] if path.exists() else []
