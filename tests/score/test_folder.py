"""A folder of scores belongs to one scoring."""

import errno

import pytest

from churn.errors import UserError
from churn.score import folder
from churn.score.folder import claim_folder


def test_a_full_disk_at_the_first_write_does_not_block_the_folder(tmp_path, monkeypatch):
    def full(path, text):
        path.parent.mkdir()
        (path.parent / f".{path.name}.0a1b2c3d.partial").touch()  # as a kill leaves it
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(folder, "write_text", full)
        with pytest.raises(OSError, match="No space"):
            claim_folder(tmp_path / "scores", "this scoring")
    claim_folder(tmp_path / "scores", "this scoring")
    assert [file.name for file in (tmp_path / "scores").iterdir()] == ["_scored.json"]
    claim_folder(tmp_path / "scores", "this scoring")
    with pytest.raises(UserError, match="scores of other rows"):
        claim_folder(tmp_path / "scores", "another one")


def test_a_folder_with_other_files_and_a_file_are_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    for path in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(UserError, match="holds something else"):
            claim_folder(path, "this scoring")
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]
