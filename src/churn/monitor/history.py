"""The reports of `churn monitor` on disk: the newest as `report.json`, all of them in `history.jsonl`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from churn.config.root import Config
from churn.files import LOCK, exclusive, write_text
from churn.lines import append_line, read_lines

HISTORY = "history.jsonl"


def monitor_dir(cfg: Config, model: str) -> Path:
    """The folder of the reports on a model, which has the name of its data set."""
    return Path(cfg.monitor.dir or Path(cfg.run.root) / "monitor" / model)


def record_report(folder: Path, report: dict[str, Any]) -> None:
    """Write the report, and put it into the history in place of an earlier one on the same window."""
    line = json.dumps(report, default=_to_plain_number)
    with exclusive(folder / f".{HISTORY}{LOCK}"):  # another process may be reporting on another window
        write_text(folder / "report.json", json.dumps(report, indent=1, default=_to_plain_number))
        lines = read_lines(folder / HISTORY)
        others = [old for old in lines if _window(json.loads(old)) != _window(report)]
        if len(others) == len(lines):
            append_line(folder / HISTORY, line)
        else:
            write_text(folder / HISTORY, "".join(f"{one}\n" for one in [*others, line]))


def _window(report: dict[str, Any]) -> tuple[datetime, datetime, str]:
    """What a window is: its interval, in whatever zone it was written, and the bundle."""
    return datetime.fromisoformat(report["from"]), end_of_window(report), report["bundle"]


def separate_windows(reports: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The reports on windows that do not overlap, newest first chosen, oldest first listed.

    A report is left out if its window overlaps that of a newer one, so that no prediction counts twice. Of
    windows with one end the report that was made last, and comes last here, counts.
    """
    kept: list[dict[str, Any]] = []
    for report in sorted(reports, key=end_of_window)[::-1]:
        if not kept or end_of_window(report) <= datetime.fromisoformat(kept[-1]["from"]):
            kept.append(report)
    return kept[::-1]


def end_of_window(report: dict[str, Any]) -> datetime:
    """When the window of a report ends."""
    return datetime.fromisoformat(report["until"])


def _to_plain_number(value: Any) -> float | int:
    """A number of NumPy as JSON knows it."""
    return value.item() if isinstance(value, np.generic) else float(value)


def read_history(folder: Path) -> list[dict[str, Any]]:
    """All reports so far, oldest first.

    >>> read_history(Path("runs/monitor/telco"))[-1]["status"]
    """
    return [json.loads(line) for line in read_lines(folder / HISTORY)]
