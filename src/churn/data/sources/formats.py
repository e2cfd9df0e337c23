"""What a file is, by its first bytes, and the text inside it."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from churn.data.sources.paths import SourceFile
from churn.errors import UserError

SAVE_AS_CSV = "open it in the spreadsheet program, save the sheet as CSV (UTF-8), and name that file"
REFUSED = {  # first bytes -> what it is, what to do
    b"\xd0\xcf\x11\xe0": ("an old spreadsheet (.xls)", SAVE_AS_CSV),
    b"{": ("JSON", "write it as CSV or Parquet"),
    b"[{": ("JSON", "write it as CSV or Parquet"),
    b"<!doctype html": ("a web page, perhaps of a failed download", "download the table itself"),
    b"<html": ("a web page, perhaps of a failed download", "download the table itself"),
}
UNPACK: dict[bytes, Callable] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
ZSTD, ZIP, PARQUET = b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"PAR1"
BYTE_ORDER_MARKS = {  # the longer ones first: UTF-32's begins like UTF-16's
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def _first_bytes(place: SourceFile) -> bytes:
    """The first 16 bytes of a file; raises `UserError` if it is empty, unreadable or no table."""
    try:
        with place.path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise UserError(f"the file cannot be read: {error.strerror}", place.name) from None
    _refuse_other_formats(head, place)
    return head


def _refuse_other_formats(head: bytes, place: SourceFile) -> None:
    """Refuse what is empty or another format, by its first bytes."""
    if not head:
        raise UserError("the file is empty", place.name, "export it again, or name another file")
    for magic, (what, do) in REFUSED.items():
        if head.lower().startswith(magic):
            raise UserError(f"this is {what}, not a CSV or Parquet file", place.name, do)


def is_parquet(place: SourceFile) -> bool:
    """Whether a file is Parquet; raises `UserError` if it cannot be a table at all."""
    return _first_bytes(place).startswith(PARQUET)


@contextmanager
def _open_bytes(place: SourceFile) -> Iterator[BinaryIO]:
    """The bytes of a text file, unpacked."""
    head = _first_bytes(place)
    unpack = next((unpack for magic, unpack in UNPACK.items() if head.startswith(magic)), None)
    try:
        if head.startswith(ZIP):
            with (
                zipfile.ZipFile(place.path) as archive,
                archive.open(_single_member(archive, place)) as stream,
            ):
                yield stream  # type: ignore[misc]
        elif head.startswith(ZSTD):
            import pyarrow as pa

            with pa.input_stream(str(place.path), compression="zstd") as stream:
                yield stream
        else:
            with unpack(place.path) if unpack else place.path.open("rb") as stream:
                yield stream
    except (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError) as error:
        raise UserError(
            f"the file is damaged or cut off: {error}", place.name, "copy or export it again"
        ) from None


def _single_member(archive: zipfile.ZipFile, place: SourceFile) -> zipfile.ZipInfo:
    """The one table in a zip archive."""
    members = [info for info in archive.infolist() if not info.is_dir() and not _is_hidden(info.filename)]
    names = [info.filename for info in members]
    if "[Content_Types].xml" in names or "mimetype" in names:
        raise UserError("this is a spreadsheet (.xlsx, .ods), not a CSV file", place.name, SAVE_AS_CSV)
    if len(members) != 1:
        listed = ", ".join(names[:10]) or "nothing"
        raise UserError(
            f"the archive holds {listed}; one table is expected", place.name, "unpack it and name the file"
        )
    if members[0].flag_bits & 1:
        raise UserError("the archive asks for a password", place.name, "unpack it and name the file")
    return members[0]


def _is_hidden(name: str) -> bool:
    """What macOS adds to an archive."""
    return name.startswith("__MACOSX/") or name.rpartition("/")[2].startswith(".")


@contextmanager
def open_text(place: SourceFile, encoding: str) -> Iterator[io.TextIOWrapper]:
    """The text of a file, unpacked and decoded, its line ends as they are."""
    with _open_bytes(place) as stream:
        try:
            yield io.TextIOWrapper(stream, encoding, newline="")
        except LookupError:
            raise UserError(
                f"'{encoding}' is no encoding", "data.encoding", "e.g. utf-8, cp1252, utf-16"
            ) from None
        except UnicodeDecodeError as error:
            raise UserError(
                f"the text is not {encoding} (byte 0x{error.object[error.start]:02x})",
                place.name,
                "name its encoding: data.encoding=...",
            ) from None


def recognise_encoding(place: SourceFile) -> str:
    """The encoding of a text file: by its byte order mark, else UTF-8, else Windows' Latin-1 (cp1252)."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with _open_bytes(place) as stream:
        head = stream.read(1 << 20)
        _refuse_other_formats(head[:16], place)
        for mark, encoding in BYTE_ORDER_MARKS.items():
            if head.startswith(mark):
                return encoding
        while head:
            if b"\0" in head:
                raise UserError(
                    "this is no text file",
                    place.name,
                    "name a CSV or Parquet file; for UTF-16: data.encoding=utf-16",
                )
            try:
                decoder.decode(head)
            except UnicodeDecodeError:
                return "cp1252"
            head = stream.read(1 << 20)
    return "cp1252" if decoder.getstate()[0] else "utf-8"
