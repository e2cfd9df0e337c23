"""Memory and p99 of our endpoint over minutes of load from 32 connections, as numbers and as a picture."""

import json
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from compare import arguments, finish
from serving import PORTS, load, resident, servers, trained, write_requests

WINDOW = 10  # seconds


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--bundle", type=Path, help="serve this one instead of a freshly trained one")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument(
        "--processes", type=int, choices=(1, 2), default=1, help="that serve: serve.processes"
    )
    parser.add_argument("--picture", type=Path, help="draw both there (SVG or PNG)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bundle = options.bundle or trained(Path(folder))
        name = {1: "ours", 2: "two"}[options.processes]
        with servers(bundle, Path(folder), only=(name,)) as processes:
            script = write_requests(Path(folder), name)[1]
            windows = list(soak(processes[name].pid, PORTS[name], script, options.minutes))
        log = sum(file.stat().st_size for file in (Path(folder) / name).glob("*.parquet"))
    if options.picture:
        draw(windows, options.picture)
    finish(list(entries(windows, log)), options.json)


def soak(pid: int, port: int, script: Path, minutes: float) -> Any:
    """A sample for each window of load."""
    began = time.monotonic()
    while time.monotonic() - began < 60 * minutes:
        sample = load(pid, f"http://127.0.0.1:{port}/predict", script, WINDOW)
        sample |= {"minutes": (time.monotonic() - began) / 60, "megabytes": resident(pid)}
        print(json.dumps({key: round(value, 2) for key, value in sample.items()}), flush=True)
        yield sample


def entries(windows: list[dict[str, float]], log: int) -> Any:
    """The results, each with the least and greatest value of the windows."""

    def entry(
        name: str, values: list[float], unit: str, better: str, value: float | None = None
    ) -> dict[str, Any]:
        middle = median(values) if value is None else value
        spread = {"value": middle, "low": min(values), "high": max(values)}
        return {"name": name, **spread, "unit": unit, "peer": "", "better": better}

    memory = [window["megabytes"] for window in windows]
    third = len(memory) // 3 or 1
    growth = median(memory[-third:]) - median(memory[third : 2 * third] or memory)
    yield entry("soak_requests", [w["per_second"] for w in windows], "requests/s", "higher")
    yield entry("soak_p99", [w["p99"] for w in windows], "ms", "lower")
    yield entry("soak_memory", memory, "MB", "lower")
    yield entry("soak_memory_growth", [growth], "MB, last third less the third before", "lower")
    yield entry("soak_log", [log / 1e6], "MB of Parquet", "lower")


def draw(windows: list[dict[str, float]], file: Path) -> None:
    """Memory and p99 over time."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots(2, 1, sharex=True)
    minutes = [window["minutes"] for window in windows]
    for axis, key, label in zip(axes, ("megabytes", "p99"), ("memory, MB", "p99, ms"), strict=True):
        axis.plot(minutes, [window[key] for window in windows])
        axis.set_ylim(0)
        axis.set_ylabel(label)
        axis.spines[["top", "right"]].set_visible(False)
    axes[1].set_xlabel("minutes at 32 connections, one row a request")
    figure.savefig(file)


if __name__ == "__main__":
    main()
