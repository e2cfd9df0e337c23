"""The containers of deploy/ hold locked packages, and the package itself is built with locked ones."""

import re

import pytest

from deploy.conftest import DEPLOY

FILES = sorted(DEPLOY.glob("*/Dockerfile"))


@pytest.mark.parametrize("file", FILES, ids=[file.parent.name for file in FILES])
def test_what_is_installed_is_locked_also_what_builds_the_package(file):
    text = file.read_text()
    installs = [line for line in text.splitlines() if "pip install" in line]
    copied = set(re.findall(r"[\w-]+\.txt", "".join(re.findall("^COPY (.*)", text, re.M))))
    locked = [re.findall(r"-r \S*?([\w-]+\.txt)", line) for line in installs if "--require-hashes" in line]
    assert {name for names in locked for name in names} == copied, "copied and not used, or not copied"
    for line in installs:
        if "--require-hashes" not in line:  # the package: pip would fetch the newest tools to build it
            assert "--no-deps --no-build-isolation" in line
            assert "build.txt" in copied
