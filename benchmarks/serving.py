"""Our endpoint beside the obvious server, and beside itself with an empty model: wrk, 32 connections.

Each server runs on core 0, wrk on the last one. Requests are counted per second of processor time of the
server, background work on the log included: a busy machine distorts that little. p50 and p99 are wall-clock
times.

"two" is `serve.processes=2` on cores 0 and 1. With three cores or more, `serve_two` compares requests per
second of wall clock. On two cores wrk needs a part of the second one: there it compares requests per second
of processor time, of all processes, times the number of cores that the server has. `serve_two_100_wall` is
of wall clock everywhere: with 100 instances wrk needs little.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from urllib.request import urlopen

from compare import arguments, finish

CONNECTIONS, SECONDS, INSTANCES = 32, 3, (1, 100)
PORTS = {"ours": 8190, "obvious": 8191, "empty": 8192, "stripped": 8193, "bare": 8194, "two": 8197}
EARLIER = {"before": 8195, "before empty": 8196}
Sample = dict[str, float]
Processes = dict[str, subprocess.Popen[bytes]]
WHAT = {
    "ours": "one process on one core",
    "obvious": "FastAPI, pydantic, the signature",
    "empty": "the same server with an empty model",
    "stripped": "our server, empty model, no log, no metrics",
    "bare": "HTTP and JSON alone",
    "before": "the version before",
    "before empty": "the version before with an empty model",
}
# Name of the comparison, instances, figure, server, peer, and what is better.
PEERS_OF_OURS = (
    ("serve_1", 1, "per_core", "ours", "obvious", "higher"),
    ("serve_100", 100, "per_core", "ours", "obvious", "higher"),
    ("serve_p99", 1, "p99", "ours", "obvious", "lower"),
    ("serve_p99_100", 100, "p99", "ours", "obvious", "lower"),
    ("serve_of_empty", 1, "per_core", "ours", "empty", "higher"),
    ("serve_of_empty_100", 100, "per_core", "ours", "empty", "higher"),
    ("serve_of_stripped", 1, "per_core", "ours", "stripped", "higher"),
    ("serve_of_bare", 1, "per_core", "ours", "bare", "higher"),
    ("serve_1_wall", 1, "per_second", "ours", "obvious", "higher"),
    ("serve_100_wall", 100, "per_second", "ours", "obvious", "higher"),
    ("serve_of_empty_wall", 1, "per_second", "ours", "empty", "higher"),
    ("serve_two", 1, "per_second" if os.cpu_count() > 2 else "capacity", "two", "ours", "higher"),
    ("serve_two_100_wall", 100, "per_second", "two", "ours", "higher"),
)
CORES = {"two": (0, 1)}  # of a server; the others have core 0
BEFORE = (
    ("serve_1_before", 1, "per_core", "ours", "before", "higher"),
    ("serve_100_before", 100, "per_core", "ours", "before", "higher"),
    ("serve_empty_1_before", 1, "per_core", "empty", "before empty", "higher"),
    ("serve_empty_100_before", 100, "per_core", "empty", "before empty", "higher"),
)
PEERS = str(Path(__file__).with_name("serving_peers.py"))
LUA = """
wrk.method = "POST"; wrk.headers["Content-Type"] = "application/json"
local file = io.open("{file}"); wrk.body = file:read("*a"); file:close()
"""


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--bundle", type=Path, help="serve this one instead of a freshly trained one")
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="compare with this version")
    parser.add_argument(
        "--bundle-before", type=Path, help="what that version serves, instead of training one"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder, before = Path(name), options.before
        bundle = options.bundle or trained(folder / "now")
        only = ("ours", "empty") if before else tuple(PORTS)
        processes = stack.enter_context(servers(bundle, folder, only))
        if before:
            processes |= stack.enter_context(
                earlier(before.absolute(), options.bundle_before, folder / "earlier")
            )
        scripts = write_requests(folder)
        samples = measure(processes, scripts, options.runs)
        memory = {name: resident(process.pid) for name, process in processes.items()}
    table(samples)
    entries = list(compare(samples, BEFORE if before else PEERS_OF_OURS))
    if before:
        entries.append(resident_before(memory))
    for entry in entries:
        low, high, peer = entry["low"], entry["high"], entry["peer"]
        print(f"{entry['name']:18} {entry['value']:6.2f} x   ({low:.2f} to {high:.2f})   {peer}")
    finish(entries, options.json, merge=True)


def trained(folder: Path, environment: Mapping[str, str] = os.environ) -> Path:
    """A bundle with the columns of the synthetic customers."""
    command = [
        sys.executable,
        "-m",
        "churn",
        "train",
        "train.epochs=2",
        f"run.root={folder}",
        f"run.dir={folder}/run",
    ]
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return folder / "run" / "bundle"


@contextmanager
def servers(bundle: Path, folder: Path, only: Sequence[str]) -> Iterator[Processes]:
    """Our servers and their peers, each on core 0."""
    commands = {name: [PEERS, name, str(port), str(bundle)] for name, port in PORTS.items()}
    churn = ["-m", "churn", "serve"]
    for name, program in (("ours", churn), ("empty", [PEERS, "empty"]), ("two", churn)):
        commands[name] = [*program, *overrides(bundle, PORTS[name], folder / name)]
    commands["two"].append("serve.processes=2")
    with started({name: commands[name] for name in only}) as processes:
        yield processes


@contextmanager
def earlier(checkout: Path, bundle: Path | None, folder: Path) -> Iterator[Processes]:
    """The server of an earlier version, with its own bundle and with an empty model, each on core 0."""
    environment = os.environ | {"PYTHONPATH": f"{checkout}/src"}
    bundle, peers = bundle or trained(folder, environment), f"{checkout}/benchmarks/serving_peers.py"
    programs = {"before": ["-m", "churn", "serve"], "before empty": [peers, "empty"]}
    commands = {
        name: [*program, *overrides(bundle, EARLIER[name], folder / name.replace(" ", "-"))]
        for name, program in programs.items()
    }
    with started(commands, environment) as processes:
        yield processes


def overrides(bundle: Path, port: int, log: Path) -> list[str]:
    """The settings of a server."""
    return [f"bundle={bundle}", f"serve.port={port}", f"serve.log.dir={log}", "serve.drain_seconds=0"]


@contextmanager
def started(
    commands: Mapping[str, list[str]], environment: Mapping[str, str] = os.environ
) -> Iterator[Processes]:
    """Servers that are healthy."""
    processes = {
        name: subprocess.Popen(
            ["taskset", "-c", ",".join(map(str, cores_of(name))), sys.executable, *command],
            stdout=subprocess.DEVNULL,
            env=environment,
        )
        for name, command in commands.items()
    }
    try:
        for name, process in processes.items():
            wait_for(f"http://127.0.0.1:{(PORTS | EARLIER)[name]}/health", process)
        yield processes
    finally:
        for process in processes.values():
            process.terminate()
        for process in processes.values():
            process.wait(60)


def cores_of(name: str) -> tuple[int, ...]:
    """The cores of a server."""
    return CORES.get(name, (0,))


def wait_for(url: str, process: subprocess.Popen[bytes], seconds: float = 120) -> None:
    """Wait until a server is healthy."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            sys.exit(f"{url}: the server ended with {process.returncode}")
        try:
            urlopen(url, timeout=2).close()
            return
        except OSError:  # refused, or no answer yet
            time.sleep(0.5)
    sys.exit(f"{url}: no answer in {seconds} s")


def write_requests(folder: Path, server: str = "ours") -> dict[int, Path]:
    """For each number of instances, a script for wrk that sends them, in the form that a server describes."""
    with urlopen(f"http://127.0.0.1:{PORTS[server]}/openapi.json", timeout=10) as answer:
        post = json.load(answer)["paths"]["/predict"]["post"]
    row = post["requestBody"]["content"]["application/json"]["schema"]["example"]["instances"][0]
    scripts = {}
    for count in INSTANCES:
        body, script = folder / f"{count}.json", folder / f"{count}.lua"
        body.write_text(json.dumps({"instances": [row] * count}))
        script.write_text(LUA.format(file=body))
        scripts[count] = script
    return scripts


def measure(
    processes: dict[str, Any], scripts: dict[int, Path], runs: int
) -> dict[tuple[str, int], list[Sample]]:
    """Samples of each server and size, in turn; the first round is a warm-up and does not count."""
    samples: dict[tuple[str, int], list[Sample]] = {
        (name, count): [] for count in scripts for name in processes
    }
    for number in range(runs + 1):
        for (name, count), taken in samples.items():
            address = f"http://127.0.0.1:{(PORTS | EARLIER)[name]}/predict"
            sample = load(processes[name].pid, address, scripts[count])
            sample["capacity"] = sample["per_core"] * len(cores_of(name))
            if number:
                taken.append(sample)
    return samples


def load(pid: int, url: str, script: Path, seconds: int = SECONDS) -> Sample:
    """One run of wrk: requests per second of processor time and of wall clock, p50 and p99 in ms."""
    began = processor_seconds(pid)
    command = [
        "taskset",
        "-c",
        str(max(1, os.cpu_count() - 1)),
        "wrk",
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{seconds}s",
    ]
    done = subprocess.run(
        [*command, "--latency", "-s", script, url], capture_output=True, text=True, check=True
    )
    used = processor_seconds(pid) - began
    if "Non-2xx" in done.stdout:
        sys.exit(f"{url} refused requests:\n{done.stdout}")
    requests = int(re.search(r"(\d+) requests in", done.stdout)[1])
    per_second = float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)[1])
    p50, p99 = (milliseconds(re.search(rf"{p}%\s+([\d.]+)(us|ms|s)\b", done.stdout)) for p in (50, 99))
    return {"per_core": requests / used, "per_second": per_second, "p50": p50, "p99": p99}


def processor_seconds(pid: int) -> float:
    """User and system time of a server's processes."""
    fields = [
        Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split() for one in (pid, *children(pid))
    ]
    return sum(int(one[11]) + int(one[12]) for one in fields) / os.sysconf("SC_CLK_TCK")


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def resident(pid: int) -> float:
    """MB in memory of a server's processes."""
    pages = sum(int(Path(f"/proc/{one}/statm").read_text().split()[1]) for one in (pid, *children(pid)))
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def resident_before(memory: dict[str, float]) -> dict[str, Any]:
    """The entry of the memory after all runs, at 32 connections each."""
    print("MB resident: " + ", ".join(f"{name} {megabytes:.0f}" for name, megabytes in memory.items()))
    ratio = memory["ours"] / memory["before"]
    spread = {"value": ratio, "low": ratio, "high": ratio}
    return {"name": "resident_before", **spread, "unit": "ratio", "peer": WHAT["before"], "better": "lower"}


def milliseconds(match: re.Match[str]) -> float:
    """A latency as wrk prints it."""
    return float(match[1]) * {"us": 1e-3, "ms": 1, "s": 1e3}[match[2]]


def table(samples: dict[tuple[str, int], list[Sample]]) -> None:
    """Print the medians."""
    print("server       instances  req/s/core    req/s  us/request  p50 ms  p99 ms")
    for (name, count), taken in samples.items():
        middle = {key: median(sample[key] for sample in taken) for key in taken[0]}
        print(
            f"{name:12} {count:9} {middle['per_core']:11.0f} {middle['per_second']:8.0f} "
            f"{1e6 / middle['per_core']:11.0f} {middle['p50']:7.1f} {middle['p99']:7.1f}"
        )


def compare(
    samples: dict[tuple[str, int], list[Sample]], comparisons: Sequence[tuple[Any, ...]]
) -> Iterator[dict[str, Any]]:
    """The entries: ratios of our figures to the peer's, run by run."""
    for name, count, key, own, peer, better in comparisons:
        pairs = zip(samples[own, count], samples[peer, count], strict=True)
        ratios = sorted(ours[key] / theirs[key] for ours, theirs in pairs)
        spread = {"value": median(ratios), "low": ratios[0], "high": ratios[-1]}
        yield {"name": name, **spread, "unit": "ratio", "peer": WHAT[peer], "better": better}


if __name__ == "__main__":
    main()
