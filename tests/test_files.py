"""Files appear whole or not at all, lines are appended whole, and what killed processes left is removed."""

import json
import os
import subprocess
import sys
import tempfile

import pytest

from churn import files
from churn.files import atomic_write, exclusive
from churn.lines import append_line, read_lines
from churn.scratch import clear_leftovers, scratch_folder


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def killed(code):
    """Run Python code that kills its process at `die()`."""
    head = "import os\nfrom churn.files import *\nfrom churn.scratch import *\n"
    head += "def die(): os.kill(os.getpid(), 9)\n"
    assert subprocess.run([sys.executable, "-c", head + code], check=False).returncode == -9


def test_a_file_appears_only_when_it_is_whole(tmp_path):
    path = tmp_path / "a" / "file.txt"
    with atomic_write(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert names(path.parent) == ["file.txt"]


def interrupted_while_writing(path):
    path.write_text("half")
    raise KeyboardInterrupt


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")

    with pytest.raises(KeyboardInterrupt), atomic_write(path) as temporary:
        interrupted_while_writing(temporary)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file.txt"]


def test_the_next_writer_removes_what_a_killed_one_left_and_not_what_a_living_one_writes(tmp_path):
    killed(f"with atomic_write(Path({str(tmp_path)!r}) / 'file') as t: t.write_text('half'); die()")
    assert len(names(tmp_path)) == 1
    with atomic_write(tmp_path / "file") as first, atomic_write(tmp_path / "file") as second:
        assert names(tmp_path) == sorted([first.name, second.name])
        first.write_text("1")
        second.write_text("2")
    assert names(tmp_path) == ["file"]


def test_a_name_of_any_length_that_the_disk_takes_can_be_written(tmp_path):
    path = tmp_path / ("a" * 250 + ".json")
    files.write_text(path, "x")
    assert names(tmp_path) == [path.name]
    with pytest.raises(OSError, match="too long"):
        files.write_text(tmp_path / ("a" * 256), "x")


def test_a_device_a_pipe_and_a_folder_are_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for path in ("/dev/null", tmp_path / "pipe", tmp_path / "folder"):
        with pytest.raises(OSError, match=r"device or a pipe|directory"):
            files.write_text(tmp_path / path, "x")
    assert names(tmp_path) == ["folder", "pipe"]


def test_rows_of_a_killed_process_are_removed_by_the_next_stage_only(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    for root in (tmp_path, tmp_path / "tmp"):
        killed(f"with scratch_folder(Path({str(root)!r})) as f: (f / 'rows.parquet').touch(); die()")
    with scratch_folder(tmp_path) as living:
        assert len(list(tmp_path.rglob("rows.parquet"))) == 2
        clear_leftovers(tmp_path)
        assert names(tmp_path) == sorted([living.name, "tmp"])
        assert living.stat().st_mode & 0o077 == 0
    assert not list(tmp_path.rglob("*.parquet"))
    assert names(tmp_path) == ["tmp"]


def test_a_lock_is_held_by_one_and_ends_with_its_process(tmp_path):
    lock = tmp_path / ".x.lock"
    killed(f"with exclusive(Path({str(lock)!r})): die()")
    assert lock.exists()
    with exclusive(lock, wait=False) as first, exclusive(lock, wait=False) as second:
        assert (first, second) == (True, False)
    assert names(tmp_path) == []
    killed(f"with exclusive(Path({str(lock)!r})): die()")
    clear_leftovers(tmp_path)
    assert names(tmp_path) == []


def test_a_line_is_appended_whole_or_not_at_all(tmp_path, monkeypatch):
    path, real, calls = tmp_path / "history.jsonl", os.write, iter(range(9))
    append_line(path, '{"a": 1}')

    def full_disk(file, data):
        if next(calls) == 0:
            return real(file, data[:3])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full_disk)
        with pytest.raises(OSError, match="No space") as refused:
            append_line(path, '{"a": 2}')
    assert refused.value.needed == 9
    assert read_lines(path) == ['{"a": 1}']
    append_line(path, '{"a": 3}')
    assert path.read_text() == '{"a": 1}\n{"a": 3}\n'


@pytest.mark.parametrize(("end", "kept"), [('{"a": 2', []), ('{"a": 2}', ['{"a": 2}']), ("\x00\x00", [])])
def test_a_cut_end_is_mended_before_the_next_line(tmp_path, end, kept):
    path = tmp_path / "history.jsonl"
    path.write_text('{"a": 1}\n' + end)
    assert read_lines(path) == ['{"a": 1}', *kept]
    append_line(path, '{"a": 3}')
    assert path.read_text().splitlines() == ['{"a": 1}', *kept, '{"a": 3}']


def test_a_line_that_is_no_json_is_named_and_left_out(tmp_path, capsys):
    path = tmp_path / "history.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": 2{"a": 3}\n\xff\n7\n{"a": 4}\n')
    assert [json.loads(line)["a"] for line in read_lines(path)] == [1, 4]
    named = capsys.readouterr().err.splitlines()
    assert [line.partition("line ")[2][0] for line in named] == ["2", "3", "4"]


def test_two_processes_do_not_mix_their_lines(tmp_path):
    path = tmp_path / "history.jsonl"
    code = f"from churn.lines import *\nfor i in range(50): append_line(Path({str(path)!r}), '{{\"a\": 1}}')"
    workers = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [worker.wait() for worker in workers] == [0, 0, 0]
    assert path.read_text() == '{"a": 1}\n' * 150
