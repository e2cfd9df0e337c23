"""Seconds of each step of a newcomer, and what is shown meanwhile: the first line, and the longest silence.

The steps are those of the README and of docs/round.md, in a temporary folder; `--install` also measures
`make train` in a fresh clone, which downloads the libraries.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from compare import arguments, finish

ROOT = Path(__file__).parents[1]
HISTORY = "data=csv data.path=history.csv"
STEPS = {
    "churn --help": "--help",
    "churn synthesize": "synthesize data.synthetic.rows=10000 output=history.csv",
    "churn train": f"train {HISTORY}",
    "churn score": f"score {HISTORY} input=history.csv output=scores.csv",
    "churn score top=50": f"score {HISTORY} input=history.csv output=list.xlsx top=50 score.page=list.html",
    "churn monitor": "monitor data.name=history monitor.log=log",
    "churn retrain": f"retrain {HISTORY} retrain.force=true",
    "churn loop": "loop",
}
SERVERS = {"churn serve": "serve data.name=history serve.port=8197", "churn app": "app app.port=8196"}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--install", action="store_true", help="also `make train` in a fresh clone")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "log").mkdir()
        if options.install:
            subprocess.run(["git", "clone", "-q", str(ROOT), f"{folder}/clone"], check=True)
            rows.append(step("make train, fresh clone", ["make", "train"], f"{folder}/clone"))
        for name, line in STEPS.items():
            rows.append(step(name, [sys.executable, "-m", "churn", *line.split()], folder))
        for name, line in SERVERS.items():
            rows.append(step(name, [sys.executable, "-m", "churn", *line.split()], folder, until="http://"))
    finish([entry for row in rows for entry in entries(*row)], options.json)


def step(name: str, command: list[str], folder: str, until: str = "") -> tuple[str, float, float, float]:
    """Its name, seconds, seconds to the first line and longest silence; `until` a line has this text.

    It is read as a file, not as a terminal: a progress bar is lines.
    """
    began = last = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=dict(os.environ)
    )
    assert process.stdout
    shown = []
    for line in process.stdout:
        now = time.perf_counter()
        shown.append((now - last, line.rstrip()))
        last = now
        if until and until in line:
            process.terminate()
    process.wait()
    seconds = (last if until else time.perf_counter()) - began
    silence, after = max(shown, default=(seconds, "nothing"))
    first = shown[0][0] if shown else seconds
    times = f"{seconds:7.1f} s   first line after {first:5.1f} s   longest silence {silence:5.1f} s"
    print(f"{name:24} {times}, then: {after[:50]}", flush=True)
    return name, seconds, first, silence


def entries(name: str, seconds: float, first: float, silence: float) -> list[dict[str, Any]]:
    """The entries of a step."""
    values = {"seconds": seconds, "first line": first, "longest silence": silence}
    return [
        {
            "name": f"{name}: {what}",
            "value": value,
            "low": value,
            "high": value,
            "unit": "s",
            "peer": "",
            "better": "lower",
        }
        for what, value in values.items()
    ]


if __name__ == "__main__":
    main()
