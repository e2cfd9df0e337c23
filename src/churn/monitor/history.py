"""The reports of `churn monitor` on disk: the newest as `report.json`, all of them in `history.jsonl`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from churn.config.root import Config
from churn.data.load import dataset_name
from churn.files import append_line, read_lines, write_text

HISTORY = "history.jsonl"


def monitor_dir(cfg: Config) -> Path:
    """The folder of the reports."""
    return Path(cfg.monitor.dir or Path(cfg.run.root) / "monitor" / dataset_name(cfg.data))


def record_report(folder: Path, report: dict[str, Any]) -> None:
    """Write the report, and append it to the history as one line."""
    write_text(folder / "report.json", json.dumps(report, indent=1, default=_to_plain_number))
    append_line(folder / HISTORY, json.dumps(report, default=_to_plain_number))


def _to_plain_number(value: Any) -> float | int:
    """A number of NumPy as JSON knows it."""
    return value.item() if isinstance(value, np.generic) else float(value)


def read_history(folder: Path) -> list[dict[str, Any]]:
    """All reports so far, oldest first.

    >>> read_history(Path("runs/monitor/telco"))[-1]["status"]
    """
    return [json.loads(line) for line in read_lines(folder / HISTORY)]
