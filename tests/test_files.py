"""Files and directories appear whole or not at all."""

import pytest

from churn.files import atomic_write


def test_a_file_appears_only_when_it_is_whole(tmp_path):
    path = tmp_path / "a" / "file.txt"
    with atomic_write(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


def interrupted_while_writing(path):
    path.write_text("half")
    raise KeyboardInterrupt


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")

    with pytest.raises(KeyboardInterrupt), atomic_write(path) as temporary:
        interrupted_while_writing(temporary)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


def test_a_directory_appears_whole(tmp_path):
    with atomic_write(tmp_path / "bundle") as temporary:
        temporary.mkdir()
        (temporary / "part").write_text("x")
    assert (tmp_path / "bundle" / "part").exists()
