"""Zip archives: their tables, without what lies beside them."""

from __future__ import annotations

import lzma
import shutil
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from churn.errors import UserError

ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # the second one of an empty archive
OFFICE = {"[Content_Types].xml", "mimetype"}  # members of workbooks, which are zip archives, too
TEXTS = (".txt", ".md", ".rst", ".html", ".pdf")  # read as tables only if nothing else is there


def is_archive(path: Path, name: str) -> bool:
    """Whether a file is a zip archive, and no workbook; raises `UserError` if it cannot be read."""
    try:
        with path.open("rb") as file:
            if not file.read(4).startswith(ZIP):
                return False
        with zipfile.ZipFile(path) as archive:
            return OFFICE.isdisjoint(archive.namelist())
    except OSError as error:
        raise UserError(f"the file cannot be read: {error.strerror}", name) from None
    except zipfile.BadZipFile as error:
        raise _damaged(name, error) from None


def extract(path: Path, name: str, is_table: Callable[[str], bool], folder: Path) -> dict[str, Path]:
    """Copies in `folder` of the tables in an archive, by their names in it, sorted.

    Raises `UserError` for an archive without a table, with a password, or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = _tables(archive, name, is_table)
            copies = {member.filename: folder / f"{i:06d}" for i, member in enumerate(members)}
            for member in members:
                with archive.open(member) as packed, copies[member.filename].open("wb") as copy:
                    shutil.copyfileobj(packed, copy)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError) as error:
        raise _damaged(name, error) from None
    except OSError as error:
        if error.errno:  # of the disk; bz2 has no error of its own
            raise
        raise _damaged(name, error) from None
    return copies


def _tables(archive: zipfile.ZipFile, name: str, is_table: Callable[[str], bool]) -> list[zipfile.ZipInfo]:
    """The members that are tables by their names; the only member, whatever its name."""
    found = [info for info in archive.infolist() if not info.is_dir() and not _is_hidden(info.filename)]
    tables = [info for info in found if is_table(PurePosixPath(info.filename).name)]
    tables = [info for info in tables if not info.filename.lower().endswith(TEXTS)] or tables
    tables = tables or (found if len(found) == 1 else [])
    if not tables:
        listed = ", ".join(info.filename for info in found[:10]) or "nothing"
        raise UserError(f"the archive holds no table, but {listed}", name, "unpack it and name the file")
    if any(info.flag_bits & 1 for info in tables):
        raise UserError("the archive needs a password", name, "unpack it and name the file")
    return sorted(tables, key=lambda info: info.filename)


def _is_hidden(member: str) -> bool:
    """Whether a member of an archive is one of those that macOS adds."""
    return member.startswith("__MACOSX/") or member.rpartition("/")[2].startswith(".")


def _damaged(name: str, error: Exception) -> UserError:
    return UserError(f"the file is damaged or cut off: {error}", name, "copy or export it again")
