"""gcloud as a person types into it, one process for all lines."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

LINES = Path(__file__).with_name("gcloud_lines.py")


def anybody(folder: Path) -> dict[str, str]:
    """Variables for gcloud and bq: a caller without an account, and no questions."""
    return {
        "CLOUDSDK_AUTH_ACCESS_TOKEN": "fake",
        "CLOUDSDK_CONFIG": str(folder),
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
    }


@contextmanager
def typing(environment: dict[str, str], folder: Path) -> Iterator[Callable[[str], None]]:
    """A function that types a line in a folder; a command that fails is an AssertionError."""
    if shutil.which("gcloud") is None:
        pytest.skip("there is no gcloud on this machine")
    sdk = Path(shutil.which("gcloud")).resolve().parents[1]
    own = sdk / "platform" / "bundledpythonunix" / "bin" / "python3"
    command = [own if own.exists() else sys.executable, "-S", LINES, sdk]
    base = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | anybody(folder)
    errors = folder / "gcloud.err"
    with errors.open("w") as stderr:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": stderr}
        process = subprocess.Popen(command, env=base | environment, cwd=folder, text=True, **pipes)
    with process:

        def run(line: str) -> None:
            print(line, file=process.stdin, flush=True)
            ends = iter(process.stdout.readline, "")
            code = next((end for end in ends if end.startswith("exit ")), "exit").split()[-1]
            assert code == "0", f"{line}\n{errors.read_text()}"

        yield run
        process.stdin.close()
