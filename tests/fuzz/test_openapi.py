"""Requests that schemathesis makes from the endpoint's own description: each answer is as described."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from serve.conftest import running

SCHEMATHESIS = Path(sys.prefix).with_name(".venv-openapi") / "bin" / "schemathesis"
EXAMPLES = int(os.environ.get("FUZZ", "0")) // 500  # of each route and kind


@pytest.mark.skipif(
    not EXAMPLES, reason="only `make fuzz` installs schemathesis and asks the endpoint with it"
)
def test_answers_are_as_the_description_says(exported_bundle, tmp_path):
    assert SCHEMATHESIS.exists(), "make .venv-openapi/installed installs it"
    with running(exported_bundle, tmp_path) as server:
        asked = [f"{server.root}/openapi.json", f"--max-examples={EXAMPLES}"]
        command = [SCHEMATHESIS, "--no-color", "run", *asked]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    print(*(line for line in done.stdout.splitlines() if "generated" in line))
    assert done.returncode == 0, done.stdout
