"""The history of a model: retrainings, rollbacks and promotions by hand, and the monitor's windows since."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from churn.bundle.bundle import Bundle
from churn.config.root import Config
from churn.data.load import dataset_name
from churn.lines import append_line, read_lines
from churn.monitor.history import monitor_dir, read_history, separate_windows

FILE, ROLLBACK = "history.jsonl", "rollback"
RECALIBRATION: Final = "recalibration"
PROMOTION = "promotion by hand"


def new_entry(now: datetime, kind: str, promoted: bool, **more: Any) -> dict[str, Any]:
    """A line of the history; `promoted`: whether another model serves since then."""
    return {"time": now.isoformat(), "kind": kind, "promoted": promoted, **more}


def record(cfg: Config, entry: dict[str, Any]) -> None:
    """Append a retraining, a rollback or a promotion by hand, unless it is there already."""
    line = json.dumps(entry)
    if line not in read_lines(_history_file(cfg)):
        append_line(_history_file(cfg), line)


def _entries(cfg: Config) -> list[dict[str, Any]]:
    """All entries, oldest first; `time` is a datetime."""
    entries = [json.loads(line) for line in read_lines(_history_file(cfg))]
    return [entry | {"time": datetime.fromisoformat(entry["time"])} for entry in entries]


def history_dir(cfg: Config) -> Path:
    """Where the history of a data set lies."""
    return Path(cfg.run.root) / "retrain" / dataset_name(cfg.data)


def _history_file(cfg: Config) -> Path:
    return history_dir(cfg) / FILE


def retraining_times(cfg: Config) -> list[datetime]:
    """Times of the retrainings so far, oldest first."""
    others = (ROLLBACK, RECALIBRATION, PROMOTION)
    return [entry["time"] for entry in _entries(cfg) if entry["kind"] not in others]


def recalibration_undone(cfg: Config) -> datetime | None:
    """When a recalibration was last taken back, by a rollback or by hand, if nothing was promoted since."""
    *before, last = [entry for entry in _entries(cfg) if entry["promoted"]] or [{"kind": None}]
    older = _recalibrated(before)
    undone = older if last["kind"] == ROLLBACK else older & {last.get("digest", "")}
    return last["time"] if undone else None


def _recalibrated(entries: list[dict[str, Any]]) -> set[str | None]:
    """The digests that the model had before its recalibrations, until the last of these entries.

    It stays the same model while it goes back and forth between these and the digests after them.
    """
    older, own = set[str | None](), set[str | None]()
    for entry in entries:
        if entry["kind"] == RECALIBRATION:
            older.add(entry.get("previous"))
            own |= {entry.get("previous"), entry.get("digest")}
        elif entry["kind"] != ROLLBACK and entry.get("digest") not in own:  # another model
            older, own = set(), set()
    return older


def champion_windows(champion: Bundle, cfg: Config) -> list[dict[str, Any]]:
    """The monitor's reports on the champion since it last began to serve, oldest first.

    Windows do not overlap: of overlapping ones the newest counts.
    """
    digests, begun = _one_model(champion, cfg)
    own = [
        report
        for report in read_history(monitor_dir(cfg, champion.facts["name"]))
        if report["bundle"] in digests and (begun is None or datetime.fromisoformat(report["until"]) > begun)
    ]
    return separate_windows(own)


def _one_model(champion: Bundle, cfg: Config) -> tuple[set[str], datetime | None]:
    """The digests of the champion before and after its recalibrations, and when the first began to serve."""
    digests = {champion.digest}
    for entry in reversed(_entries(cfg)):
        if entry["promoted"] and not (entry["kind"] == RECALIBRATION and entry["digest"] in digests):
            return digests, entry["time"]
        if entry["promoted"]:
            digests.add(entry["previous"])
    return digests, None
