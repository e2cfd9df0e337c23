"""The encoding of a text file."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from churn.data.sources.compressed import open_bytes
from churn.data.sources.paths import SourceFile
from churn.errors import UserError

PIECE = 1 << 20  # bytes looked at a time
BYTE_ORDER_MARKS = {  # longer ones first: that of UTF-32 begins with that of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
ASSUMED = "cp1252"  # Western Windows, if the bytes are not UTF-8
# What spreadsheets and databases write, by region: a suggestion is one of these.
REGIONAL = ["cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "koi8_r"]
REGIONAL += ["gb18030", "big5", "cp932", "cp949", "cp850", "mac_roman", "mac_cyrillic"]
TELLING = re.compile(rb"[A-Za-z]*[\x80-\xff][A-Za-z\x80-\xff]*")  # words with letters that are not ASCII
SUGGESTED = 3  # other encodings that a message names


class Encoding(NamedTuple):
    """The encoding of a file."""

    name: str
    doubt: str = ""  # if it was assumed: what else it may be
    plain_lines: bool = False  # UTF-8 whose lines end in "\n" or "\r\n"


def recognise_encoding(source: SourceFile) -> Encoding:
    """That of its byte order mark, else UTF-8 if it is valid, else cp1252, with what else it may be.

    Raises `UserError` for a binary file.
    """
    decoder, plain = codecs.getincrementaldecoder("utf-8")(), True
    with open_bytes(source) as stream:
        piece = stream.read(PIECE)
        marked = next((name for mark, name in BYTE_ORDER_MARKS.items() if piece.startswith(mark)), "")
        if marked not in ("", "utf-8-sig"):
            return Encoding(marked)
        if wide := _wide_encoding(piece):
            return Encoding(wide)
        while piece:
            if b"\0" in piece:
                do = "name a table; for UTF-16: data.encoding=utf-16"
                raise UserError("this is no text file", source.name, do)
            try:
                decoder.decode(piece)
            except UnicodeDecodeError:
                return Encoding(ASSUMED, _doubt(piece))
            plain = plain and (b"\r" not in piece or piece.count(b"\r") == piece.count(b"\r\n"))
            piece = stream.read(PIECE)
    if decoder.getstate()[0]:
        return Encoding(ASSUMED, "assumed, because the last letter is cut off in UTF-8")
    return Encoding(marked or "utf-8", plain_lines=plain)


def _wide_encoding(piece: bytes) -> str | None:
    """UTF-16 without a byte order mark, of a text that is mostly Latin."""
    sample = piece[: PIECE // 16 * 2]
    for first, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        zeros, others = sample[first::2].count(0), sample[1 - first :: 2].count(0)
        if len(sample) > 3 and zeros > 0.8 * len(sample) / 2 and not others:
            return name
    return None


def _doubt(piece: bytes) -> str:
    """A phrase with a text as the assumed encoding reads it, and as others do that fit the bytes."""
    sample = _telling_text(piece)
    others = [f"{name} ({_shown(sample, name)})" for name in _likely_encodings(piece)]
    also = f"; if letters look wrong: data.encoding={' or '.join(others)}" if others else ""
    return f"assumed, because the bytes are not UTF-8 ({_shown(sample, ASSUMED)}){also}"


def _likely_encodings(piece: bytes) -> list[str]:
    """Encodings beside the assumed one that fit the bytes, likeliest first."""
    from charset_normalizer import from_bytes

    sample = piece[: 1 << 16]
    by_all = [match.encoding for match in from_bytes(sample, cp_isolation=REGIONAL)]
    words = b" ".join(dict.fromkeys(TELLING.findall(sample)))  # where most cells are numbers
    by_words = [match.encoding for match in from_bytes(words, cp_isolation=REGIONAL)]
    likely = [*by_all[:2], *by_words, *by_all]
    return [name for name in dict.fromkeys(likely) if name != ASSUMED][:SUGGESTED]


def _telling_text(piece: bytes) -> bytes:
    """A short piece of text with letters that are not ASCII."""
    found = TELLING.search(piece)
    return found[0][:24] if found else b""


def _shown(sample: bytes, encoding: str) -> str:
    return f"'{sample.decode(encoding, errors='replace')}'"


@contextmanager
def open_text(source: SourceFile, encoding: str) -> Iterator[io.TextIOWrapper]:
    """The text of a file, decompressed and decoded; line ends are kept.

    Raises `UserError` for an unknown encoding, bytes that are not in it, and a damaged file.
    """
    with open_bytes(source) as stream:
        try:
            yield io.TextIOWrapper(stream, encoding, newline="")
        except LookupError:
            do = "e.g. utf-8, cp1252, utf-16"
            raise UserError(f"'{encoding}' is no encoding", "data.encoding", do) from None
        except UnicodeDecodeError as error:
            where = f" (byte 0x{error.object[error.start]:02x})"
            raise _not_in(encoding, where, source) from None
        except UnicodeError as error:  # as of UTF-16 without its mark
            raise _not_in(encoding, f": {error}", source) from None


def _not_in(encoding: str, where: str, source: SourceFile) -> UserError:
    with open_bytes(source) as stream:
        likely = _likely_encodings(stream.read(PIECE))
    do = "name its encoding: data.encoding=" + (" or ".join(likely) or "...")
    return UserError(f"the text is not {encoding}{where}", source.name, do)
