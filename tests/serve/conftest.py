"""Servers, each in a process of its own, and requests to them."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

ROW = {"tenure": 3, "Monthly__charge": 70.5, "contract": "monthly", "payment": "card", "customer_key": "c-1"}


class Running:
    """A `churn serve` that is ready."""

    def __init__(self, process: subprocess.Popen, url: str, folder: Path) -> None:
        self.process, self.url, self.folder = process, url, folder
        self.root = re.match(r"http://[^/]+", url)[0]

    def predict(self, *rows: object, **request: object) -> httpx.Response:
        return httpx.post(self.url, json={"instances": rows, **request}, timeout=30)

    def metric(self, name: str) -> float:
        text = httpx.get(f"{self.root}/metrics", timeout=30).text
        return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)[1])

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextmanager
def running(bundle: Path, folder: Path, *overrides: str, **environment: str) -> Iterator[Running]:
    """Start a server on a free port and wait until it prints that it serves."""
    settings = ["serve.port=0", f"run.root={folder}", f"bundle={bundle}"]
    command = [sys.executable, "-m", "churn", "serve", *settings]
    process = subprocess.Popen(
        [*command, *overrides],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"} | environment,
    )
    try:
        printed: list[str] = []
        while not (printed and printed[-1].startswith("Serving ")):
            printed.append(process.stdout.readline())
            assert printed[-1], f"the server ended and had printed {printed}"
        yield Running(process, printed[-1].split()[-1].replace("0.0.0.0", "127.0.0.1"), folder)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def wait_until(condition, seconds: float = 30) -> None:
    """Fail if the condition does not hold in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@pytest.fixture(scope="session")
def endpoint(exported_bundle, tmp_path_factory) -> Iterator[Running]:
    """A strict server for tests that only send requests."""
    with running(
        exported_bundle, tmp_path_factory.mktemp("endpoint"), "serve.log.segment_seconds=0.2"
    ) as server:
        yield server
