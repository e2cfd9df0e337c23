"""The project also runs from an installed wheel, as in cloud jobs."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path


def test_a_wheel_contains_the_configuration_files(tmp_path):
    root = Path(__file__).parents[1]
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=root, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    show = [sys.executable, "-m", "churn", "train", "data=telco", "--cfg", "job"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(show, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "target: Churn" in done.stdout, done.stderr
    where = [
        sys.executable,
        "-c",
        "from churn.config.root import config_directory; print(config_directory())",
    ]
    found = subprocess.run(where, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.startswith(str(tmp_path))
