"""The history of `churn retrain`: its retrainings and rollbacks, and the monitor's windows since the last."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from churn.bundle.bundle import Bundle
from churn.config.root import Config
from churn.data.load import dataset_name
from churn.files import append_line, read_lines
from churn.monitor.history import monitor_dir, read_history

FILE, ROLLBACK = "history.jsonl", "rollback"


def record(cfg: Config, now: datetime, kind: str, promoted: bool, **more: Any) -> None:
    """Append a retraining or a rollback; `promoted`: whether another model serves since then."""
    entry = {"time": now.isoformat(), "kind": kind, "promoted": promoted, **more}
    append_line(_history_file(cfg), json.dumps(entry))


def _entries(cfg: Config) -> list[dict[str, Any]]:
    """All entries, oldest first; `time` is a datetime."""
    entries = [json.loads(line) for line in read_lines(_history_file(cfg))]
    return [entry | {"time": datetime.fromisoformat(entry["time"])} for entry in entries]


def _history_file(cfg: Config) -> Path:
    return Path(cfg.run.root) / "retrain" / dataset_name(cfg.data) / FILE


def retraining_times(cfg: Config) -> list[datetime]:
    """Times of the retrainings so far, oldest first."""
    return [entry["time"] for entry in _entries(cfg) if entry["kind"] != ROLLBACK]


def champion_windows(champion: Bundle, cfg: Config) -> list[dict[str, Any]]:
    """The monitor's reports on the champion since it last began to serve, oldest first."""
    begun = max((entry["time"] for entry in _entries(cfg) if entry["promoted"]), default=None)
    return [
        report
        for report in read_history(monitor_dir(cfg))
        if report["bundle"] == champion.digest
        and (begun is None or datetime.fromisoformat(report["until"]) > begun)
    ]
