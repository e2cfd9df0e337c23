"""`make sbom` refuses a library whose licence the policy in pyproject.toml does not allow."""

import os
import subprocess
import sys

import pytest
from conftest import ROOT


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [("License-Expression: GPL-3.0-only", False), ("License-Expression: MIT", True),
     ("Classifier: License :: OSI Approved :: GNU Affero General Public License v3", False)],
)  # fmt: skip
def test_a_licence_outside_the_policy_is_refused_with_the_name_of_the_library(licence, allowed, tmp_path):
    (tmp_path / "planted-1.0.dist-info").mkdir()
    metadata = f"Metadata-Version: 2.4\nName: planted\nVersion: 1.0\n{licence}\n"
    (tmp_path / "planted-1.0.dist-info" / "METADATA").write_text(metadata)
    done = subprocess.run(
        [sys.executable, "-m", "piplicenses", "--packages", "planted"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) == allowed
    assert "planted" in (done.stdout if allowed else done.stderr)
