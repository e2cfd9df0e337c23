"""What `churn retrain` did so far, and what the monitor saw since."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from churn.bundle import Bundle
from churn.config import Config
from churn.data import name_of
from churn.files import append, lines
from churn.monitor import history, place

FILE, ROLLBACK = "history.jsonl", "rollback"


def note(cfg: Config, now: datetime, kind: str, promoted: bool, **more: Any) -> None:
    """Remember a retraining or a rollback, and whether another model serves since."""
    append(file_of(cfg), json.dumps({"time": now.isoformat(), "kind": kind, "promoted": promoted, **more}))


def past(cfg: Config) -> list[dict[str, Any]]:
    """All of them, oldest first; `time` is a datetime."""
    found = [json.loads(line) for line in lines(file_of(cfg))]
    return [line | {"time": datetime.fromisoformat(line["time"])} for line in found]


def file_of(cfg: Config) -> Path:
    """Where the list lies."""
    return Path(cfg.run.root) / "retrain" / name_of(cfg.data) / FILE


def retrained(cfg: Config) -> list[datetime]:
    """Times of the retrainings so far."""
    return [line["time"] for line in past(cfg) if line["kind"] != ROLLBACK]


def windows(champion: Bundle, cfg: Config) -> list[dict[str, Any]]:
    """The monitor's windows of the champion that ended since it last began to serve, oldest first."""
    begun = max((line["time"] for line in past(cfg) if line["promoted"]), default=None)
    return [
        line
        for line in history(place(cfg))
        if line["bundle"] == champion.digest
        and (begun is None or datetime.fromisoformat(line["until"]) > begun)
    ]
