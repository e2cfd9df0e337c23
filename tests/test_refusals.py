"""Whatever the operating system refuses is one message and exit code 2, in every stage."""

import errno
import os
import resource
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import churn

from churn import __main__
from churn.errors import UserError
from churn.refusals import refusal_of

REFUSED = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "runs/a.json")
EVERY_STAGE = [(stage, "local") for stage in __main__.STAGES] + [(s, "vertex") for s in __main__.ON_VERTEX]


@pytest.mark.parametrize(("stage", "target"), EVERY_STAGE)
def test_every_stage_gives_one_message_for_what_the_system_refuses(
    stage, target, monkeypatch, capsys, tmp_path
):
    def refuse(cfg):
        raise REFUSED

    function = (__main__.ON_VERTEX if target == "vertex" else __main__.STAGES)[stage].rpartition(":")[2]
    module = SimpleNamespace(**{function: refuse})
    monkeypatch.setattr(__main__, "import_module", lambda name: module)
    monkeypatch.setattr(sys, "argv", ["churn", stage, f"target={target}", f"run.root={tmp_path}/runs"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # `main` sets it
    with pytest.raises(SystemExit) as end:
        __main__.main()
    message = capsys.readouterr().err
    assert end.value.code == 2
    assert message.startswith("churn: the operating system refused: No space left on device (")
    assert "bytes are free in" in message
    assert "where: runs/a.json" in message
    assert "do: free some space" in message
    assert len(message.splitlines()) == 3


def test_a_bug_keeps_its_traceback():
    assert refusal_of(KeyError("x")) is None
    assert refusal_of(ValueError("No space left on device")) is None


def wrapped(cause, error):
    """An error of a library, raised from what the system told it."""
    try:
        raise error from cause
    except type(error) as caught:
        return caught


def test_the_cause_that_a_library_wraps_is_found():
    assert "No space" in refusal_of(wrapped(REFUSED, RuntimeError("cannot write"))).what


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("database or disk is full", "No space left"),
        ("attempt to write a readonly database", "Read-only file system"),
    ],
)
def test_the_words_of_sqlite_are_understood(text, what):
    assert what in refusal_of(sqlite3.OperationalError(text)).what


def test_a_refusal_of_tensorflow_is_understood():
    from tensorflow import errors

    found = refusal_of(errors.UnknownError(None, None, "bundle/variables; File too large"))
    assert isinstance(found, UserError)
    assert "File too large" in found.what


def test_the_limit_and_the_need_are_named_where_they_are_known(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda which: (5000, 5000))
    error = OSError(errno.EFBIG, "File too large", "history.jsonl")
    error.needed = 9000
    assert "9,000 bytes are needed; a file may have 5,000 bytes here" in refusal_of(error).what


FILE_LIMIT = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000));"


def test_a_limit_of_file_sizes_leaves_nothing(tmp_path):
    code = f"{FILE_LIMIT} from churn.__main__ import main; main()"
    arguments = ["synthesize", f"output={tmp_path}/a.csv", f"run.root={tmp_path}/runs"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "a file may have 20,000 bytes here" in done.stderr
    assert f"where: {tmp_path}/a.csv" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def long_name(tmp_path):
    return tmp_path / ("a" * 300 + ".csv")


def below_a_file(tmp_path):
    (tmp_path / "file").touch()
    return tmp_path / "file" / "below.csv"


def a_folder(tmp_path):
    (tmp_path / "folder.csv").mkdir()
    return tmp_path / "folder.csv"


def a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    return tmp_path / "pipe.csv"


@pytest.mark.parametrize(
    ("place", "says"),
    [
        (long_name, "File name too long"),
        (below_a_file, "a file is where a folder belongs"),
        (a_folder, "a folder is where a file belongs"),
        (a_pipe, "a device or a pipe"),
    ],
)
def test_a_place_that_cannot_be_written_is_one_message(place, says, tmp_path):
    done = churn("synthesize", f"output={place(tmp_path)}", f"run.root={tmp_path}/runs", code=2)
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert "Error executing job" not in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["promote", "--help"]])
def test_an_output_that_cannot_be_written_is_one_message(arguments):
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "churn", *arguments]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
