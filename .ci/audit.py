"""Looks up every pinned library in OSV's database of known vulnerabilities: `.ci/audit.py DATABASE LOCK ...`.

DATABASE is OSV's export for PyPI (all.zip): with that file at hand this needs no internet. The exit code is 1
if a library has a known vulnerability that `[tool.audit]` in pyproject.toml does not accept.
Source of the rules: https://ossf.github.io/osv-schema/#evaluation
"""

import json
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)
EXPORT = "https://osv-vulnerabilities.storage.googleapis.com/PyPI/all.zip"
ORDER = {"introduced": 0, "fixed": 1, "last_affected": 2}  # of events at the same version


def main(words: list[str]) -> int:
    """Print what is found; gives the exit code."""
    if len(words) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    database, *locks = map(Path, words)
    if not database.is_file():
        print(f"Known vulnerabilities are NOT looked up: there is no {database}. It is {EXPORT}")
        return 0
    pinned = {pin for lock in locks for pin in pins(lock.read_text())}
    accepted = tomllib.loads(Path("pyproject.toml").read_text())["tool"].get("audit", {}).get("accept", {})
    try:
        found = {names for record in records(database) for names in vulnerable(record, pinned)}
    except (BadZipFile, ValueError, KeyError) as error:
        print(f"{database} is no export of OSV: {error!r}", file=sys.stderr)
        return 2
    new = sorted(one for one in found if not accepted.keys() & {one[2], *one[3]})
    for name, version, identity, aliases, fixed in new:
        print(f"{name} {version}: {identity} ({', '.join(aliases) or 'no other name'}); fixed in {fixed}")
    print(
        f"{len(pinned)} pinned libraries: {len(new)} known vulnerabilities, {len(found) - len(new)} accepted"
    )
    return int(bool(new))


def pins(lock: str) -> Iterator[tuple[str, str]]:
    """Name and version of each library of a lock."""
    for name, version in PINNED.findall(lock):
        yield canonicalize_name(name), version


def records(database: Path) -> Iterator[Mapping[str, Any]]:
    """The records of an export."""
    with ZipFile(database) as archive:
        for name in archive.namelist():
            yield json.loads(archive.read(name))


def vulnerable(
    record: Mapping[str, Any], pinned: set[tuple[str, str]]
) -> Iterator[tuple[str, str, str, tuple[str, ...], str]]:
    """Name, version, id, other ids and the repaired versions, for each pinned library that is affected."""
    if record.get("withdrawn"):
        return
    for affected in record.get("affected", []):
        package = affected.get("package", {})
        if package.get("ecosystem") != "PyPI":
            continue
        for name, version in pinned:
            if canonicalize_name(package["name"]) == name and is_affected(version, affected):
                fixed = [event["fixed"] for one in ranges(affected) for event in one if "fixed" in event]
                aliases = tuple(sorted(record.get("aliases", [])))
                yield name, version, record["id"], aliases, ", ".join(fixed) or "no version"


def ranges(affected: Mapping[str, Any]) -> list[list[dict[str, str]]]:
    """The events of each range of versions."""
    return [one["events"] for one in affected.get("ranges", []) if one["type"] == "ECOSYSTEM"]


def is_affected(version: str, affected: Mapping[str, Any]) -> bool:
    """Whether a version is listed, or in a range."""
    return version in affected.get("versions", []) or any(_is_in(version, one) for one in ranges(affected))


def _is_in(version: str, events: list[dict[str, str]]) -> bool:
    inside, own = False, Version(version)
    pairs = [(kind, text) for event in events for kind, text in event.items() if kind in ORDER]
    known = [(_parsed(text), ORDER[kind], kind) for kind, text in pairs]
    for at, _, kind in sorted(known):
        if kind == "introduced" and own >= at:
            inside = True
        elif (kind == "fixed" and own >= at) or (kind == "last_affected" and own > at):
            inside = False
    return inside


def _parsed(text: str) -> Version:
    try:
        return Version(text)
    except InvalidVersion:  # a few old records name no version that Python knows
        return Version("0")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
