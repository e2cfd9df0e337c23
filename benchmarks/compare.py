"""Shared by the benchmarks: their flags, commands run in turn, ratios, and the file of results."""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any


def arguments(description: str) -> argparse.ArgumentParser:
    """The flags that every benchmark has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each command (default 5)")
    return parser


def in_turn(commands: dict[str, list[str]], runs: int) -> dict[str, list[float]]:
    """Wall-clock seconds of each command: one warm-up, then A B A B ... so that both see the same machine."""
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(runs + 1):
        for name, command in commands.items():
            began = time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            took = time.perf_counter() - began
            if done.returncode not in (0, 2):  # 2: the message of a wrong configuration is measured too
                sys.exit(f"{name} failed:\n{done.stderr}")
            if number:
                seconds[name].append(took)
    return seconds


def ratio(name: str, ours: list[float], theirs: list[float], peer: str) -> dict[str, Any]:
    """One entry of the results: median, least and greatest ratio of the paired runs."""
    ratios = sorted(a / b for a, b in zip(ours, theirs, strict=True))
    spread = {"value": median(ratios), "low": ratios[0], "high": ratios[-1]}
    return {"name": name, **spread, "unit": "ratio", "peer": peer, "better": "lower"}


def finish(entries: list[dict[str, Any]], file: Path | None, merge: bool = False) -> None:
    """Print command, machine and versions, and write the entries with them to a file.

    merge: keep entries with other names that the file has already.
    """
    # Without the folders of this machine.
    arguments = [re.sub(r"(^|=)/(?:[^/]+/)*", r"\1", word) for word in sys.argv[1:]]
    provenance = {
        "command": " ".join([Path(sys.argv[0]).name, *arguments]),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("churn", "tensorflow", "scikit-learn", "hydra-core")},
    }
    print("\n" + json.dumps(provenance))
    if file:
        old = json.loads(file.read_text()) if merge and file.exists() else []
        new = {entry["name"] for entry in entries}
        kept = [entry for entry in old if entry["name"] not in new]
        file.write_text(json.dumps([*kept, *(entry | provenance for entry in entries)], indent=1) + "\n")
