"""The dialect of a text file: encoding, delimiter, and the lines before the header."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from churn.config.data import DataConfig
from churn.data.sources.formats import open_text, recognise_encoding
from churn.data.sources.paths import SourceFile
from churn.errors import UserError

DELIMITERS = ",;\t|"
SAMPLE = 500  # lines from which the dialect is recognised
NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}


@dataclass(frozen=True)
class Dialect:
    """How to read a text file; lines are counted from the top of the file."""

    encoding: str
    delimiter: str
    columns: tuple[str, ...]  # names in the header, "" for a column without a name
    preamble: int  # lines before the header
    first_row: int  # lines before the first row, including the header

    def note(self) -> str:
        """One phrase for the terminal."""
        skipped = f", {self.preamble} lines before the header skipped" if self.preamble else ""
        return f"{NAMES.get(self.delimiter, self.delimiter)}-separated, {self.encoding}{skipped}"


@dataclass(frozen=True)
class _Layout:
    """The shape of a sample of lines that is split at one delimiter."""

    delimiter: str
    columns: tuple[str, ...]
    header: int  # position of the header's first line in the sample
    end: int  # position of the line after the header
    width: int  # the commonest number of cells in a record
    lines: int  # lines of the records with this width
    named: bool  # the header has a name above a number of the next record

    def rank(self) -> tuple[bool, bool, int, int]:
        """The best delimiter gives several columns, a header of names, and most lines of the same width."""
        return self.width > 1, self.named, self.lines, self.width


def recognise_dialect(source: SourceFile, cfg: DataConfig) -> Dialect:
    """The dialect of a text file: what `cfg` does not set is recognised.

    Raises `UserError` if the file has no text, no known delimiter or no header.
    """
    encoding, skipped = cfg.encoding or recognise_encoding(source), cfg.skip_lines or 0
    with open_text(source, encoding) as text:
        lines = list(islice(text, skipped, skipped + SAMPLE))
    delimiters = [_named_delimiter(cfg.delimiter)] if cfg.delimiter else DELIMITERS
    layouts = [_layout(lines, delimiter, cfg.skip_lines is not None) for delimiter in delimiters]
    best = max(filter(None, layouts), key=_Layout.rank, default=None)
    if best is None:
        raise UserError("the file holds no text", source.name, "export it again; see data.skip_lines")
    _check_layout(best, cfg, f"{source.name}, line {skipped + best.header + 1}")
    return Dialect(encoding, best.delimiter, best.columns, skipped + best.header, skipped + best.end)


def _check_layout(best: _Layout, cfg: DataConfig, where: str) -> None:
    """Raise `UserError` if no delimiter or no header was recognised."""
    if best.width == 1 and cfg.delimiter is None:
        raise UserError(
            "no delimiter was recognised: no comma, semicolon, tab or bar splits the lines into columns",
            where,
            "name it, e.g. data.delimiter=':'",
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


def _layout(lines: list[str], delimiter: str, at_top: bool) -> _Layout | None:
    """The layout of `lines` split at `delimiter`; the header is the first of them if `at_top`.

    Otherwise the header is the first record with the commonest width and a name in nearly every cell. The
    records before it are titles and dates of a report, which spreadsheets often fill up with delimiters.
    """
    records: list[tuple[int, int, list[str]]] = []
    with suppress(csv.Error):  # a quote is never closed; the strict reading of the whole file will say so
        records.extend(record for record in parse_records(lines, delimiter, strict=False) if any(record[2]))
    if not records:
        return None
    sizes = Counter(len(cells) for _, _, cells in records)
    width = max(sizes, key=lambda size: (size > 1, size * sizes[size]))
    # Rows may end with a delimiter where the header does not.
    trailing = all(not cells[-1] for _, _, cells in records if len(cells) == width)
    allowed = {width, width - 1} if trailing else {width}
    wide = [record for record in records if len(record[2]) in allowed]
    # The first name may be blank (row numbers), and in a wide table a few more.
    named = [record for record in wide if record[2][1:].count("") <= trailing + width // 5]
    start, end, header = records[0] if at_top else (named or wide)[0]
    below = next((cells for first, _, cells in records if first >= end), [""])
    filled = sum(after - first for first, after, cells in records if len(cells) == width)
    return _Layout(delimiter, tuple(header), start, end, width, filled, _has_names(header, below))


def parse_records(
    lines: Iterable[str], delimiter: str, strict: bool = True
) -> Iterator[tuple[int, int, list[str]]]:
    """The first line, the line after the last, and the stripped cells of each record; lines from 0."""
    start = 0
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=strict)
    for cells in reader:
        yield start, reader.line_num, [cell.strip() for cell in cells]
        start = reader.line_num


def _has_names(header: list[str], below: list[str]) -> bool:
    """Whether a header has a text above a number of the next record, or that record has no numbers."""
    heads = [head for head, cell in zip(header, below, strict=False) if _is_number(cell)]
    return not heads or not all(_is_number(head) for head in heads)


def _is_number(cell: str) -> bool:
    """Whether a cell is a number, whatever its decimal mark."""
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True
