"""Parts of the log that cannot be read: named, counted and left out, so that the rest is used."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

UNREADABLE = (pa.ArrowException, ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError)
FOLDER = "broken"  # below the log: what `churn.serve.log.compact` sets aside


class BrokenParts:
    """Counts what cannot be read, and says so once for each file."""

    def __init__(self) -> None:
        self.files, self.lines = 0, 0

    @contextmanager
    def guard(self, file: Path) -> Iterator[None]:
        """Leave out the rest of a file that cannot be read; what the system refuses is raised."""
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            if error.errno is not None:
                raise
            self._leave_out(file, error)  # Arrow's error for a damaged Parquet file has no number
        except UNREADABLE as error:
            self._leave_out(file, error)

    def _leave_out(self, file: Path, error: Exception) -> None:
        self.files += 1
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        print(f"churn: {file} cannot be read (any further) and is left out: {reason}", file=sys.stderr)

    def report_lines(self, file: Path, numbers: list[int]) -> None:
        """Name a file with broken lines by how many there are and the number of the first one."""
        if numbers:
            self.lines += len(numbers)
            what = f"{len(numbers):,} lines cannot be read and are left out; the first is line {numbers[0]}"
            print(f"churn: {file}: {what}", file=sys.stderr)
