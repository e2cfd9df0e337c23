"""Servers, each in a process of its own, and requests to them."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

ROW = {"tenure": 3, "Monthly__charge": 70.5, "contract": "monthly", "payment": "card", "customer_key": "c-1"}


class Running:
    """A `churn serve` that is ready."""

    def __init__(self, process: subprocess.Popen, url: str, folder: Path) -> None:
        self.process, self.url, self.folder = process, url, folder
        self.root = re.match(r"https?://[^/]+", url)[0]

    def predict(self, *rows: object, **request: object) -> httpx.Response:
        return httpx.post(self.url, json={"instances": rows, **request}, timeout=30, verify=False)

    def metric(self, name: str) -> float:
        text = httpx.get(f"{self.root}/metrics", timeout=30, verify=False).text
        return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)[1])

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def make_certificate(folder: Path) -> dict[str, str]:
    """Files of a certificate that signs itself, and of its key, by the settings that take them."""
    files = {"certificate": f"{folder}/certificate.pem", "certificate_key": f"{folder}/key.pem"}
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost"
    out = ["-out", files["certificate"], "-keyout", files["certificate_key"]]
    subprocess.run([*command.split(), *out], check=True, capture_output=True)
    return files


@contextmanager
def running(
    bundle: Path, folder: Path, *overrides: str, program: Sequence[str] = ("-m", "churn"), **environment: str
) -> Iterator[Running]:
    """Start a server on a free port and wait until it prints that it serves."""
    settings = ["serve.port=0", f"run.root={folder}", f"bundle={bundle}"]
    command = [sys.executable, *program, "serve", *settings]
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
