"""What `churn retrain` did so far, and what the monitor saw since."""

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
    """Remember a retraining or a rollback, and whether another model serves since."""
    append_line(
        _history_file(cfg), json.dumps({"time": now.isoformat(), "kind": kind, "promoted": promoted, **more})
    )


def _entries(cfg: Config) -> list[dict[str, Any]]:
    """All of them, oldest first; `time` is a datetime."""
    found = [json.loads(line) for line in read_lines(_history_file(cfg))]
    return [line | {"time": datetime.fromisoformat(line["time"])} for line in found]


def _history_file(cfg: Config) -> Path:
    """Where the list lies."""
    return Path(cfg.run.root) / "retrain" / dataset_name(cfg.data) / FILE


def retraining_times(cfg: Config) -> list[datetime]:
    """Times of the retrainings so far."""
    return [line["time"] for line in _entries(cfg) if line["kind"] != ROLLBACK]


def champion_windows(champion: Bundle, cfg: Config) -> list[dict[str, Any]]:
    """The monitor's windows of the champion that ended since it last began to serve, oldest first."""
    begun = max((line["time"] for line in _entries(cfg) if line["promoted"]), default=None)
    return [
        line
        for line in read_history(monitor_dir(cfg))
        if line["bundle"] == champion.digest
        and (begun is None or datetime.fromisoformat(line["until"]) > begun)
    ]
