"""Folders for rows in work, which end with their block; the next stage removes what killed processes left."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from churn.files import LOCK, clear_partials, exclusive, make_folder, remove_abandoned

SCRATCH = f".churn-{os.getuid()}-"  # folders of rows in work
SCRATCH_LOCK = f"{SCRATCH}scratch{LOCK}"


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
                remove_abandoned(folder)


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
            remove_abandoned(lock)
