"""Files of JSON lines: a line is appended whole or not at all, and what cannot be read is named."""

from __future__ import annotations

import fcntl
import json
import os
import sys
from pathlib import Path

from churn.files import make_folder


def append_line(path: Path, line: str, mode: int = 0o644) -> None:
    """Append a line of JSON, whole or not at all; the lines of two processes do not mix.

    An end that a killed process cut off is mended first. Raises OSError if there is no room for the line.
    """
    make_folder(path.parent)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, mode)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        _mend_end(file)
        _append(file, line.encode() + b"\n")
        os.fsync(file)
    except OSError as error:
        error.filename = str(path)  # a failed write does not name its file
        raise
    finally:
        os.close(file)


def _append(file: int, content: bytes) -> None:
    """Write all of it at the end of a file, or nothing."""
    size, written = os.fstat(file).st_size, 0
    try:
        while written < len(content):
            written += os.write(file, content[written:])
    except OSError as error:
        os.ftruncate(file, size)
        error.needed = len(content)  # type: ignore[attr-defined]
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
