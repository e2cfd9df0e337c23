"""The container of `serving=churn` without Docker: installed in an empty folder as the Dockerfile does.

Its size, the time from the start to the first answer by Vertex AI's contract, and the memory. The Python of
the base image (python:3.11-slim, about 125 MB) is not in the size. Needs the package index, and a bundle.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.request import Request, urlopen

from compare import arguments, finish
from serving import resident, trained

PROJECT, PORT = Path(__file__).parents[1], 8197
LIMITS = {"container_mb": 400, "container_ready": 2.0}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--bundle", type=Path, help="serve this one instead of a freshly trained one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = options.bundle or trained(folder / "run")
        install(folder / "app")
        megabytes = sum(f.stat().st_size for f in (folder / "app").rglob("*") if f.is_file()) / 1e6
        starts = [start(folder, bundle) for _ in range(options.runs)]
    ready, memory = (sorted(values) for values in zip(*starts, strict=True))
    entries = [
        entry("container_mb", [megabytes], "MB"),
        entry("container_ready", ready, "s"),
        entry("container_resident", memory, "MB"),
    ]
    for one in entries:
        print(f"{one['name']:20} {one['value']:7.2f} {one['unit']}   ({one['low']:.2f} to {one['high']:.2f})")
    finish(entries, options.json, merge=True)


def install(app: Path) -> None:
    """The lines of deploy/serving/Dockerfile, in a folder."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-cache-dir", "--target", str(app)]
    lock = PROJECT / "requirements" / "serve-alone.txt"
    subprocess.run([*pip, "--require-hashes", "-r", str(lock)], check=True)
    subprocess.run([*pip, "--no-deps", str(PROJECT)], check=True)
    subprocess.run(["sh", str(PROJECT / "deploy" / "serving" / "prune.sh"), str(app)], check=True)


def start(folder: Path, bundle: Path) -> tuple[float, float]:
    """Seconds until the first answer, and MB resident afterwards; nothing else is importable."""
    python = getattr(sys, "_base_executable", sys.executable)
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(folder / "app"),
        "AIP_HTTP_PORT": str(PORT),
        "AIP_STORAGE_URI": str(bundle),
    }
    command = [python, "-S", "-m", "churn", "serve", "serve.log.enabled=false", "serve.drain_seconds=0"]
    began = time.perf_counter()
    server = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    try:
        body = json.dumps({"instances": [example(bundle)]}).encode()
        wait_for_answer(Request(f"http://127.0.0.1:{PORT}/predict", body), server)
        seconds = time.perf_counter() - began
        assert json.load(urlopen(f"http://127.0.0.1:{PORT}/health"))["status"] == "ready"
        return seconds, resident(server.pid)
    finally:
        server.terminate()
        server.wait(30)


def example(bundle: Path) -> dict[str, object]:
    """A row of the bundle: missing everywhere."""
    inputs = json.loads((bundle / "assets.extra" / "bundle.json").read_text())["inputs"]
    return {"customer_key": "c"} | {i["input"]: -1e30 if i["kind"] == "number" else "" for i in inputs}


def wait_for_answer(request: Request, server: subprocess.Popen[bytes], seconds: float = 60) -> None:
    """Ask until there is an answer."""
    request.add_header("Content-Type", "application/json")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if server.poll() is not None:
            sys.exit(f"the server ended with {server.returncode}")
        try:
            urlopen(request, timeout=5).close()
            return
        except OSError:  # refused, or 503 while the model is loaded
            time.sleep(0.01)
    sys.exit(f"no answer in {seconds} s")


def entry(name: str, values: list[float], unit: str) -> dict[str, object]:
    """An entry of the results, with the limit that it keeps."""
    spread = {"value": values[len(values) // 2], "low": values[0], "high": values[-1]}
    peer = f"at most {LIMITS[name]}" if name in LIMITS else ""
    return {"name": name, **spread, "unit": unit, "peer": peer, "better": "lower"}


if __name__ == "__main__":
    main()
