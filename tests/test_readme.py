"""What the README says works, in a folder that holds nothing but the project."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the project's files with the virtual environment that is there already."""
    copy = tmp_path_factory.mktemp("readme") / "churn"
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy / name)  # with its time: make must find the environment up to date
    (copy / ".venv").symlink_to(ROOT / ".venv")
    return copy


def test_every_shell_block_of_the_readme_runs_but_make_test_itself(checkout):
    blocks = re.findall(r"^```bash\n(.*?)^```", README, re.S | re.M)
    assert len(blocks) >= 4
    for block in blocks:
        if block.strip() == "make test":
            continue
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=checkout,
            env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    assert (checkout / "runs" / "latest" / "report.html").exists()
    assert len((checkout / "scores.csv").read_text().splitlines()) == 3
    assert len((checkout / "mine-scores.csv").read_text().splitlines()) == 601


def test_the_readme_is_short():
    assert len(README.split()) <= 1200


def test_files_that_the_readme_names_are_there():
    named = re.findall(r"\]\((?!http)([^)#]+)\)", README) + re.findall(
        r"`((?:src|configs|docs|notebooks)/[\w./-]+)`", README
    )
    assert [name for name in named if not (ROOT / name).exists()] == []
