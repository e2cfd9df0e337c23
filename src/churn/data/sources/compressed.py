"""The bytes inside a compressed file."""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

from churn.data.sources.paths import SourceFile
from churn.errors import UserError


def _open_zstd(path: Path) -> Any:
    import pyarrow as pa

    return BufferedReader(pa.input_stream(str(path), compression="zstd"))  # a NativeFile has no lines


UNPACK: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
    b"\x28\xb5\x2f\xfd": _open_zstd,
}


@contextmanager
def open_bytes(source: SourceFile) -> Iterator[BinaryIO]:
    """The bytes of a file, decompressed; raises `UserError` if it is unreadable or damaged."""
    try:
        with _open_packed(source.path) as stream:
            yield stream
    except (EOFError, zlib.error, lzma.LZMAError) as error:
        raise _damaged(source, error) from None
    except OSError as error:
        if error.errno:
            raise UserError(f"the file cannot be read: {error.strerror}", source.name) from None
        raise _damaged(source, error) from None


def _open_packed(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        head = file.read(6)
    unpack = next((unpack for magic, unpack in UNPACK.items() if head.startswith(magic)), None)
    return unpack(path) if unpack else path.open("rb")


def _damaged(source: SourceFile, error: Exception) -> UserError:
    return UserError(f"the file is damaged or cut off: {error}", source.name, "copy or export it again")


def unpacked(source: SourceFile, folder: Path) -> SourceFile:
    """The file, or a copy of it in `folder` if it is compressed and its format has to be read at random."""
    if not is_compressed(source):
        return source
    copy = Path(tempfile.mkdtemp(dir=folder)) / source.path.name  # in a folder of its own: names come twice
    with open_bytes(source) as stream, copy.open("wb") as file:
        shutil.copyfileobj(stream, file)
    return source._replace(path=copy)


def is_compressed(source: SourceFile) -> bool:
    """Whether the bytes of a file are packed, whatever its name."""
    with source.path.open("rb") as file:
        return file.read(6).startswith(tuple(UNPACK))
