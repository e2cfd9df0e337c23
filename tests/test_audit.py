"""Pinned libraries are looked up in a database of known vulnerabilities that lies on this machine."""

import json
import sys
from importlib.util import module_from_spec, spec_from_file_location
from zipfile import ZipFile

import pytest
from conftest import ROOT

spec = spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
audit = module_from_spec(spec)
sys.modules["audit"] = audit
spec.loader.exec_module(audit)


def record(events, name="Some_Lib", **more):
    package = {"ecosystem": "PyPI", "name": name}
    affected = {"package": package, "ranges": [{"type": "ECOSYSTEM", "events": events}]}
    return {"id": "PYSEC-1", "aliases": ["CVE-1"], "affected": [affected]} | more


@pytest.fixture
def run(tmp_path, capsys, monkeypatch):
    """A function: the exit code and the output for a lock and some records."""
    monkeypatch.chdir(ROOT)

    def look_up(version, *records):
        lock, database = tmp_path / "lock.txt", tmp_path / "all.zip"
        lock.write_text(f"# some-lib==9\nsome.lib[extra]=={version} \\\n    --hash=sha256:0\nother==1\n")
        with ZipFile(database, "w") as archive:
            for number, one in enumerate(records):
                archive.writestr(f"{number}.json", json.dumps(one))
        code = audit.main([str(database), str(lock)])
        return code, capsys.readouterr().out

    return look_up


FIXED = [{"introduced": "0"}, {"fixed": "1.10"}]


@pytest.mark.parametrize(
    ("version", "events", "affected"),
    [
        ("1.9", FIXED, True),
        ("1.10", FIXED, False),
        ("1.10rc1", FIXED, True),
        ("2.5", [{"introduced": "0"}, {"fixed": "1.10"}, {"introduced": "2"}, {"fixed": "3"}], True),
        ("1.10", [{"introduced": "0"}, {"last_affected": "1.10"}], True),
        ("1.11", [{"introduced": "0"}, {"last_affected": "1.10"}], False),
        ("0.1", [{"introduced": "1"}], False),
    ],
)
def test_a_version_in_a_range_is_affected(run, version, events, affected):
    code, printed = run(version, record(events))
    assert code == affected
    assert ("some-lib" in printed) == affected
    assert f"2 pinned libraries: {int(affected)} known vulnerabilities" in printed


def test_a_finding_names_library_version_vulnerability_and_repair(run):
    _, printed = run("1.9", record(FIXED))
    assert "some-lib 1.9: PYSEC-1 (CVE-1); fixed in 1.10" in printed


def test_other_libraries_other_ecosystems_and_withdrawn_records_do_not_count(run):
    npm = record(FIXED)
    npm["affected"][0]["package"]["ecosystem"] = "npm"
    code, _ = run("1.9", record(FIXED, name="somelib"), npm, record(FIXED, withdrawn="2026-01-01T00:00:00Z"))
    assert code == 0


def test_without_a_database_it_says_that_nothing_was_looked_up(tmp_path, capsys):
    lock = tmp_path / "lock.txt"
    lock.write_text("a==1\n")
    assert audit.main([str(tmp_path / "all.zip"), str(lock)]) == 0
    assert "NOT looked up" in capsys.readouterr().out
    (tmp_path / "all.zip").write_text("no archive")
    assert audit.main([str(tmp_path / "all.zip"), str(lock)]) == 2
