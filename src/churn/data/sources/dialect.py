"""The dialect of a text file: encoding, delimiter, and the lines before the header."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice

from churn.config.data import DataConfig
from churn.data.sources.encodings import Encoding, open_text, recognise_encoding
from churn.data.sources.header import Layout, Record, find_layout
from churn.data.sources.paths import SourceFile
from churn.errors import UserError, count

DELIMITERS = ",;\t|"
SAMPLE = 500  # lines from which the dialect is recognised
NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
# The second and third header row of Orange: types (or the values of a category), and roles.
ORANGE_TYPES = re.compile(r"(c|continuous|d|discrete|s|string|t|time|b|basket)?")
ORANGE_ROLES = re.compile(r"((c|class|m|meta|i|ignore|w|weight)(\s+\S+=\S+)*)?")
ORANGE_PREFIX = re.compile(r"[mcwi]?[CDST]?#")  # of names in a single header row: mS#name


class OneColumnError(UserError):
    """A text file with one cell in each line."""


@dataclass(frozen=True)
class Dialect:
    """How to read a text file; lines are counted from the top of the file."""

    encoding: str
    delimiter: str
    columns: tuple[str, ...]  # names in the header, "" for a column without a name
    preamble: int  # lines before the header
    first_row: int  # lines before the first row, including the header
    plain_lines: bool = False  # the text is UTF-8, and its lines end in "\n"
    remark: str = ""  # what else was recognised

    def note(self) -> str:
        """One phrase for the terminal."""
        skipped = f", {count(self.preamble, 'line')} before the header skipped" * (self.preamble > 0)
        remark = f"; {self.remark}" * bool(self.remark)
        return f"{NAMES.get(self.delimiter, self.delimiter)}-separated, {self.encoding}{skipped}{remark}"


def recognise_dialect(source: SourceFile, cfg: DataConfig) -> Dialect:
    """The dialect of a text file: what `cfg` does not set is recognised.

    Raises `UserError` if the file has no text, no known delimiter or no header.
    """
    encoding = Encoding(cfg.encoding) if cfg.encoding else recognise_encoding(source)
    skipped = cfg.skip_lines or 0
    with open_text(source, encoding.name) as text:
        lines = list(islice(text, skipped, skipped + SAMPLE))
    delimiters = [_named_delimiter(cfg.delimiter)] if cfg.delimiter else DELIMITERS
    layouts = [(_layout(lines, delimiter, cfg.skip_lines is not None), delimiter) for delimiter in delimiters]
    found = [(layout, delimiter) for layout, delimiter in layouts if layout]
    if not found:
        raise UserError("the file holds no text", source.name, "export it again; see data.skip_lines")
    best, delimiter = max(found, key=lambda pair: pair[0].rank())
    _check_layout(best, cfg, f"{source.name}, line {skipped + best.header + 1}")
    dialect = Dialect(
        encoding.name,
        delimiter,
        best.columns,
        skipped + best.header,
        skipped + best.end,
        encoding.plain_lines,
        encoding.doubt,
    )
    return _without_orange_rows(dialect, lines[best.end : best.end + 2])


def _check_layout(best: Layout, cfg: DataConfig, where: str) -> None:
    """Raise `UserError` if no delimiter or no header was recognised."""
    if best.width == 1 and cfg.delimiter is None:
        raise OneColumnError(
            "the table has one column: no comma, semicolon, tab or bar splits its lines",
            where,
            "export it with all its columns; if another character separates them: e.g. data.delimiter=':'",
        )
    if not best.named and cfg.skip_lines is None:
        shown = ", ".join(best.columns[:5])
        raise UserError(
            f"the table has no header: its first line reads like data ({shown}, ...)",
            where,
            "add a first line with the column names; if this line has them: data.skip_lines=0",
        )


def _named_delimiter(text: str) -> str:
    """The character that `data.delimiter` names; a tab may be written as in a shell."""
    delimiter = "\t" if text == "\\t" else text
    if len(delimiter) != 1:
        raise UserError(
            f"'{text}' is not one character", "data.delimiter", "e.g. data.delimiter=';' or '\\t'"
        )
    return delimiter


def _layout(lines: list[str], delimiter: str, at_top: bool) -> Layout | None:
    """The layout of `lines` split at `delimiter`."""
    records: list[Record] = []
    with suppress(csv.Error):  # a quote is never closed; the strict reading of the whole file will say so
        records.extend(parse_records(lines, delimiter, strict=False))
    return find_layout(records, at_top)


def parse_records(lines: Iterable[str], delimiter: str, strict: bool = True) -> Iterator[Record]:
    """The records of some lines, with stripped cells; lines from 0."""
    start = 0
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=strict)
    for cells in reader:
        yield Record(start, reader.line_num, [cell.strip() for cell in cells])
        start = reader.line_num


def _without_orange_rows(dialect: Dialect, below: list[str]) -> Dialect:
    """The dialect without the rows that Orange writes below the names: types and roles."""
    if dialect.delimiter != "\t":
        return dialect
    columns = dialect.columns
    if sum(bool(ORANGE_PREFIX.match(name)) for name in columns) > len(columns) / 2:
        roles = [name.partition("#")[0] if "#" in name else "" for name in columns]
        names = tuple(ORANGE_PREFIX.sub("", name, 1) for name in columns)
        return _as_orange(dialect, names, [role[:1] for role in roles], 0)
    if len(below) < 2:
        return dialect
    types, roles = ([cell.strip() for cell in line.rstrip("\r\n").split("\t")] for line in below)
    typed = sum(bool(cell and ORANGE_TYPES.fullmatch(cell)) for cell in types)
    if typed < max(1, len(columns) / 2) or not all(map(ORANGE_ROLES.fullmatch, roles)):
        return dialect
    return _as_orange(dialect, columns, roles, 2)


def _as_orange(dialect: Dialect, names: tuple[str, ...], roles: list[str], rows: int) -> Dialect:
    target = next((name for name, role in zip(names, roles, strict=False) if role[:1] == "c"), None)
    remark = "header rows of Orange" + f"; its class is '{target}'" * (target is not None)
    return replace(dialect, columns=names, first_row=dialect.first_row + rows, remark=remark)
