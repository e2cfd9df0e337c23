"""The format of a file, by its first bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from churn.data.sources.compressed import is_compressed, open_bytes
from churn.data.sources.paths import SourceFile
from churn.errors import UserError

if TYPE_CHECKING:
    from churn.config.data import DataConfig
    from churn.data.sources.chunk import Chunk

HEAD = 4096  # bytes from which a format is recognised


class Format(NamedTuple):
    """A kind of table file."""

    name: str
    reader: str  # module and function, imported only when such a file is read
    is_stream: bool = False  # is read from front to back, so that it may be compressed

    def read(self, source: SourceFile, cfg: DataConfig, rows: int) -> Iterator[Chunk]:
        """The chunks of such a file, of at most `rows` rows; the first has the columns and no rows."""
        module, function = self.reader.split(":")
        return getattr(import_module(module), function)(source, cfg, rows)


TEXT = Format("text", "churn.data.sources.text:text_chunks", is_stream=True)
JSON = Format("JSON", "churn.data.sources.json_files:json_chunks", is_stream=True)
ARFF = Format("ARFF", "churn.data.sources.arff_files:arff_chunks", is_stream=True)
R = Format("R", "churn.data.sources.r_files:r_chunks", is_stream=True)
PARQUET = Format("Parquet", "churn.data.sources.parquet:parquet_chunks")
ARROW = Format("Arrow", "churn.data.sources.arrow_files:arrow_chunks")
ORC = Format("ORC", "churn.data.sources.arrow_files:orc_chunks")
AVRO = Format("Avro", "churn.data.sources.arrow_files:avro_chunks")
WORKBOOK = Format("a workbook", "churn.data.sources.workbooks:workbook_chunks")
SQLITE = Format("SQLite", "churn.data.sources.databases:sqlite_chunks")
DUCKDB = Format("DuckDB", "churn.data.sources.databases:duckdb_chunks")
STATISTICS = Format("SPSS, Stata or SAS", "churn.data.sources.statistics_files:statistics_chunks")
BINARY = {  # patterns of the first bytes
    rb"PAR1": PARQUET,
    rb"ARROW1|\xff\xff\xff\xff": ARROW,
    rb"ORC[\x00-\x1f]": ORC,
    rb"Obj\x01": AVRO,
    rb"PK\x03\x04|\xd0\xcf\x11\xe0": WORKBOOK,
    rb"SQLite format 3\x00": SQLITE,
    rb"[\s\S]{8}DUCK": DUCKDB,
    rb"\$FL[23]|<stata_dta>|[\x66-\x73][\x01\x02]\x01\x00|HEADER RECORD\*{7}LIB": STATISTICS,
    rb"\x00{12}\xc2\xea\x81\x60\xb3\x14\x11\xcf\xbd\x92\x08\x00": STATISTICS,
    rb"RD[XAB][23]\n|X\n\x00\x00\x00[\x02\x03]|A\n[23]\n|B\n[\x02\x03]\x00\x00\x00": R,
}
TEXTUAL = {  # patterns of the first characters
    r'\{\s*["}]|\[\s*[{\[\]]': JSON,
    r"(?:%.*\s+)*(?i:@relation)\b": ARFF,
}
EXPORT = "export the table as CSV or Parquet"
REFUSED = {  # patterns of the first characters: what it is, what to do
    r"(?i:<!doctype html|<html|<table|<head)": (
        "a web page, perhaps of a failed download",
        "download the table itself",
    ),
    r"<\?(?i:xml)": ("XML", EXPORT),
    r"version https://git-lfs": ("not the file but a pointer to it", "fetch the file: git lfs pull"),
    r"FEA1\x00": ("an old Feather file (version 1)", "write it again as Feather or Parquet"),
    r"%PDF": ("a PDF", EXPORT),
    r"\{\\rtf": ("a text document", EXPORT),
    r"\x80[\x02-\x05][\x95cK}\]]": ("a Python pickle, which can run code when it is opened", EXPORT),
    r"\x00\x01\x00\x00Standard (?:Jet|ACE)": ("a Microsoft Access database", EXPORT),
    r"\x89HDF": ("HDF5", EXPORT),
    r"\x93NUMPY": ("a NumPy array", EXPORT),
    r"Rar!|7z\xbc\xaf": ("a RAR or 7z archive", "unpack it and name the file"),
}


def recognise_format(source: SourceFile) -> Format:
    """The format of a file; raises `UserError` if it is empty, unreadable or no table."""
    with open_bytes(source) as stream:
        head = stream.read(HEAD)
    if not head:
        raise UserError("the file is empty", source.name, "export it again, or name another file")
    if binary := _first_match(BINARY, head):
        return binary
    return _first_match(TEXTUAL, _begin(head, source)) or TEXT


def is_parquet(source: SourceFile) -> bool:
    """Whether a file is Parquet and not compressed; raises `UserError` as `recognise_format` does."""
    return recognise_format(source) is PARQUET and not is_compressed(source)


def _begin(head: bytes, source: SourceFile) -> str:
    """The first characters that are no blanks; raises `UserError` for formats that are no tables."""
    marked = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    begin = head.decode("utf-16" if marked else "latin-1", errors="ignore").removeprefix("ï»¿").lstrip()
    if refused := _first_match(REFUSED, begin):
        what, do = refused
        raise UserError(f"this is no table but {what}", source.name, do)
    return begin


def _first_match(patterns: dict[Any, Any], head: bytes | str) -> Any:
    found = (kind for pattern, kind in patterns.items() if re.match(pattern, head))
    return next(found, None)
