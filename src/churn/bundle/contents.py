"""What belongs to a bundle: the plain files of its list of checksums, byte for byte, and nothing else."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from churn.errors import UserError

EXTRA = "assets.extra"
CHECKSUMS = f"{EXTRA}/checksums.json"
EMPTY = ("assets",)  # the folder that TensorFlow writes even if there is nothing to put into it
AGAIN = "train it again or copy it whole"


def verify_contents(path: Path) -> str:
    """The sha256 of the checksums of the bundle in `path`, which identifies it.

    Raises `UserError` if a file is missing, new or changed, if something is no plain file, or if the list of
    checksums is not as it was written.
    """
    listing = path / CHECKSUMS
    if not listing.is_file():
        do = "name a directory that `churn train` wrote: bundle=RUN/bundle"
        raise UserError("this is not a bundle", str(path), do)
    if others := sorted(_no_plain_files(path)):
        what = f"only plain files belong to a bundle, but there is {', '.join(others[:10])}"
        raise UserError(what, str(path), "remove that, or copy the bundle whole")
    expected = read_facts(listing)
    if listing.read_text() != _listed(expected):
        raise UserError("the bundle was changed: its list of checksums", str(listing), AGAIN)
    actual = _checksums(path)
    differing = (name for name in expected.keys() | actual.keys() if expected.get(name) != actual.get(name))
    if wrong := sorted(differing):
        raise UserError(f"the bundle was changed or is incomplete: {', '.join(wrong)}", str(path), AGAIN)
    return hashlib.sha256(listing.read_bytes()).hexdigest()


def read_facts(file: Path) -> dict[str, Any]:
    """The JSON object in a file of a bundle; raises `UserError` if it is none."""
    try:
        facts = json.loads(file.read_text())
    except (ValueError, RecursionError) as error:  # ValueError: no JSON, or no text
        raise UserError(f"the bundle is damaged: {error}", str(file), AGAIN) from None
    if not isinstance(facts, dict):
        raise UserError("the bundle is damaged: this is no JSON object", str(file), AGAIN)
    return facts


def list_checksums(path: Path) -> str:
    """The content of the list of checksums for the files in `path`."""
    return _listed(_checksums(path))


def _listed(sums: dict[str, Any]) -> str:
    return json.dumps(sums, indent=1)


def _checksums(path: Path) -> dict[str, str]:
    """The sha256 of every file below `path`, except the list of checksums itself."""
    files = sorted(file for file in path.rglob("*") if file.is_file() and file != path / CHECKSUMS)
    return {
        file.relative_to(path).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files
    }


def _no_plain_files(path: Path) -> Iterator[str]:
    """Links, pipes, devices and empty folders below `path`, by their names."""
    for folder, folders, files in os.walk(path):
        below = Path(folder)
        if not folders and not files and (name := below.relative_to(path).as_posix()) not in EMPTY:
            yield f"the empty folder {name}"
        for entry in (below / name for name in [*folders, *files]):
            name = entry.relative_to(path).as_posix()
            if entry.is_symlink():
                yield f"the link {name}"
            elif not entry.is_file() and not entry.is_dir():
                yield f"the pipe or device {name}"
