"""Removes what is older than `serve.log.keep_days` from the prediction log."""

from __future__ import annotations

import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from churn.errors import count
from churn.serve.log.broken import FOLDER as BROKEN

NAMED_BY = "%Y-%m-%dT%H-%M-%S"  # when a file was begun: all of its lines are newer


def remove_old(folder: Path, keep_days: float | None) -> int:
    """Remove the files of a log whose newest line is older than `keep_days`; gives how many, and says so.

    None keeps everything. Lines that are not yet in Parquet stay: the server compacts them first.
    """
    if keep_days is None or not folder.is_dir():
        return 0
    limit = datetime.now(UTC) - timedelta(days=keep_days)
    old = [file for file in sorted(folder.glob("[!.]*.parquet")) if _is_older(file, limit)]
    old += [file for file in sorted((folder / BROKEN).glob("*")) if _changed(file) < limit]
    for file in old:
        file.unlink(missing_ok=True)
    if old:
        what = f"{count(len(old), 'file')} of more than {keep_days:g} days ago"
        print(f"churn: {what} removed from the log {folder} (serve.log.keep_days)", file=sys.stderr)
    return len(old)


def _is_older(file: Path, limit: datetime) -> bool:
    """Whether all lines of a Parquet file are older; False for one that is no part of a log."""
    with suppress(ValueError):
        begun = datetime.strptime(file.name[:19], NAMED_BY).replace(tzinfo=UTC)
        if begun >= limit:
            return False
    try:
        newest = _newest(file)
    except (OSError, pa.ArrowException):
        return False
    return newest is not None and newest < limit


def _newest(file: Path) -> datetime | None:
    """The newest time in a file, by its statistics; None if it has none."""
    facts = pq.read_metadata(file)
    groups = [facts.row_group(i) for i in range(facts.num_row_groups)]
    columns = [group.column(i) for group in groups for i in range(group.num_columns)]
    times = [column.statistics for column in columns if column.path_in_schema == "time"]
    if not times or any(one is None or not one.has_min_max for one in times):
        return None
    newest = max(one.max for one in times)
    return newest if isinstance(newest, datetime) else None


def _changed(file: Path) -> datetime:
    return datetime.fromtimestamp(file.stat().st_mtime, UTC)
