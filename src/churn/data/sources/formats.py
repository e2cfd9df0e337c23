"""The format of a file, by its first bytes, and the text inside it."""

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
BYTE_ORDER_MARKS = {  # longer ones first: that of UTF-32 begins with that of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def _first_bytes(source: SourceFile) -> bytes:
    """The first 16 bytes of a file; raises `UserError` if it is unreadable, empty or no table."""
    try:
        with source.path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise UserError(f"the file cannot be read: {error.strerror}", source.name) from None
    _refuse_other_formats(head, source)
    return head


def _refuse_other_formats(head: bytes, source: SourceFile) -> None:
    """Raise `UserError` for an empty file and for other formats, by the first bytes."""
    if not head:
        raise UserError("the file is empty", source.name, "export it again, or name another file")
    for magic, (what, do) in REFUSED.items():
        if head.lower().startswith(magic):
            raise UserError(f"this is {what}, not a CSV or Parquet file", source.name, do)


def is_parquet(source: SourceFile) -> bool:
    """Whether a file is Parquet; raises `UserError` if it is neither Parquet nor text."""
    return _first_bytes(source).startswith(PARQUET)


@contextmanager
def _open_bytes(source: SourceFile) -> Iterator[BinaryIO]:
    """The bytes of a text file, decompressed."""
    head = _first_bytes(source)
    unpack = next((unpack for magic, unpack in UNPACK.items() if head.startswith(magic)), None)
    try:
        if head.startswith(ZIP):
            with (
                zipfile.ZipFile(source.path) as archive,
                archive.open(_single_member(archive, source)) as stream,
            ):
                yield stream  # type: ignore[misc]
        elif head.startswith(ZSTD):
            import pyarrow as pa

            with pa.input_stream(str(source.path), compression="zstd") as stream:
                yield stream
        else:
            with unpack(source.path) if unpack else source.path.open("rb") as stream:
                yield stream
    except (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError) as error:
        raise UserError(
            f"the file is damaged or cut off: {error}", source.name, "copy or export it again"
        ) from None


def _single_member(archive: zipfile.ZipFile, source: SourceFile) -> zipfile.ZipInfo:
    """The only file in a zip archive; raises `UserError` if there are several, or a password."""
    members = [info for info in archive.infolist() if not info.is_dir() and not _is_hidden(info.filename)]
    names = [info.filename for info in members]
    if "[Content_Types].xml" in names or "mimetype" in names:
        raise UserError("this is a spreadsheet (.xlsx, .ods), not a CSV file", source.name, SAVE_AS_CSV)
    if len(members) != 1:
        listed = ", ".join(names[:10]) or "nothing"
        raise UserError(
            f"the archive holds {listed}; one table is expected", source.name, "unpack it and name the file"
        )
    if members[0].flag_bits & 1:
        raise UserError("the archive needs a password", source.name, "unpack it and name the file")
    return members[0]


def _is_hidden(name: str) -> bool:
    """Whether a member of an archive is one of those that macOS adds."""
    return name.startswith("__MACOSX/") or name.rpartition("/")[2].startswith(".")


@contextmanager
def open_text(source: SourceFile, encoding: str) -> Iterator[io.TextIOWrapper]:
    """The text of a file, decompressed and decoded; line ends are kept.

    Raises `UserError` for an unknown encoding, bytes that are not in it, and a damaged file.
    """
    with _open_bytes(source) as stream:
        try:
            yield io.TextIOWrapper(stream, encoding, newline="")
        except LookupError:
            raise UserError(
                f"'{encoding}' is no encoding", "data.encoding", "e.g. utf-8, cp1252, utf-16"
            ) from None
        except UnicodeDecodeError as error:
            raise UserError(
                f"the text is not {encoding} (byte 0x{error.object[error.start]:02x})",
                source.name,
                "name its encoding: data.encoding=...",
            ) from None


def recognise_encoding(source: SourceFile) -> str:
    """The encoding of a text file: that of its byte order mark, else UTF-8 if it is valid, else cp1252.

    Raises `UserError` for a binary file.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    with _open_bytes(source) as stream:
        head = stream.read(1 << 20)
        _refuse_other_formats(head[:16], source)
        for mark, encoding in BYTE_ORDER_MARKS.items():
            if head.startswith(mark):
                return encoding
        while head:
            if b"\0" in head:
                raise UserError(
                    "this is no text file",
                    source.name,
                    "name a CSV or Parquet file; for UTF-16: data.encoding=utf-16",
                )
            try:
                decoder.decode(head)
            except UnicodeDecodeError:
                return "cp1252"
            head = stream.read(1 << 20)
    return "cp1252" if decoder.getstate()[0] else "utf-8"
