"""How a text file writes a table: encoding, delimiter, and the lines before its header."""

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
SAMPLE = 500  # lines that are looked at
NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}


@dataclass(frozen=True)
class Dialect:
    """What has to be known to read a file; lines are counted from the top of the file."""

    encoding: str
    delimiter: str
    columns: tuple[str, ...]  # names in the header, "" where it has none
    preamble: int  # lines before the header
    first_row: int  # lines before the first row, the header included

    def note(self) -> str:
        """One phrase for the terminal."""
        skipped = f", {self.preamble} lines before the header skipped" if self.preamble else ""
        return f"{NAMES.get(self.delimiter, self.delimiter)}-separated, {self.encoding}{skipped}"


@dataclass(frozen=True)
class _Layout:
    """How a sample looks when it is cut at one delimiter."""

    delimiter: str
    columns: tuple[str, ...]
    header: int  # position of the header's first line in the sample
    end: int  # position of the line after the header
    width: int  # cells of most records
    lines: int  # lines that those fill
    named: bool  # whether the header has a name where the next record has a number

    def rank(self) -> tuple[bool, bool, int, int]:
        """Best is the delimiter that most lines agree on, where it gives them a header of names."""
        return self.width > 1, self.named, self.lines, self.width


def recognise_dialect(place: SourceFile, cfg: DataConfig) -> Dialect:
    """The dialect of a text file, as far as `cfg` does not name it; raises `UserError` without a header."""
    encoding = cfg.encoding or recognise_encoding(place)
    with open_text(place, encoding) as text:
        lines = list(islice(text, cfg.skip_lines or 0, (cfg.skip_lines or 0) + SAMPLE))
    delimiters = [_named_delimiter(cfg.delimiter)] if cfg.delimiter else DELIMITERS
    layouts = [_layout(lines, delimiter, cfg.skip_lines is not None) for delimiter in delimiters]
    best = max((found for found in layouts if found), key=_Layout.rank, default=None)
    if best is None:
        raise UserError("the file holds no text", place.name, "export it again; see data.skip_lines")
    skipped = cfg.skip_lines or 0
    where = f"{place.name}, line {skipped + best.header + 1}"
    if best.width == 1 and cfg.delimiter is None:
        raise UserError(
            "no delimiter was recognised: no comma, semicolon, tab or bar cuts the lines into columns",
            where,
            "name it, e.g. data.delimiter=':'",
        )
    if not best.named and cfg.skip_lines is None:
        shown = ", ".join(best.columns[:5])
        raise UserError(
            f"the table has no header: its first line reads like data ({shown}, ...)",
            where,
            "put a line with the names of the columns first; if it is that line: data.skip_lines=0",
        )
    return Dialect(encoding, best.delimiter, best.columns, skipped + best.header, skipped + best.end)


def _named_delimiter(text: str) -> str:
    """The character that `data.delimiter` names; a tab may be written as in a shell."""
    delimiter = "\t" if text == "\\t" else text
    if len(delimiter) != 1:
        raise UserError(
            f"'{text}' is not one character", "data.delimiter", "e.g. data.delimiter=';' or '\\t'"
        )
    return delimiter


def _layout(lines: list[str], delimiter: str, at_top: bool) -> _Layout | None:
    """How `lines` look when cut at `delimiter`; the header is the first of them if `at_top`.

    Else it is the first record that is as wide as most and has a name in nearly every cell: what
    precedes it are titles and dates of a report, often padded with delimiters by a spreadsheet.
    """
    found: list[tuple[int, int, list[str]]] = []
    with suppress(csv.Error):  # a quote that is never closed; the whole file is read strictly
        found.extend(record for record in parse_records(lines, delimiter, strict=False) if any(record[2]))
    if not found:
        return None
    sizes = Counter(len(cells) for _, _, cells in found)
    width = max(sizes, key=lambda size: (size > 1, size * sizes[size]))
    # Rows may end with a delimiter where the header does not.
    trailing = all(not cells[-1] for _, _, cells in found if len(cells) == width)
    allowed = {width, width - 1} if trailing else {width}
    wide = [record for record in found if len(record[2]) in allowed]
    # The first name may be blank (row numbers), and a few more in a wide table.
    named = [record for record in wide if record[2][1:].count("") <= trailing + width // 5]
    start, end, header = found[0] if at_top else (named or wide)[0]
    below = next((cells for first, _, cells in found if first >= end), [""])
    filled = sum(after - first for first, after, cells in found if len(cells) == width)
    return _Layout(delimiter, tuple(header), start, end, width, filled, _has_names(header, below))


def parse_records(
    lines: Iterable[str], delimiter: str, strict: bool = True
) -> Iterator[tuple[int, int, list[str]]]:
    """First line, line after the last, and stripped cells of each record; lines count from 0."""
    start = 0
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=strict)
    for cells in reader:
        yield start, reader.line_num, [cell.strip() for cell in cells]
        start = reader.line_num


def _has_names(header: list[str], below: list[str]) -> bool:
    """Whether a header has something else than a number over a number of the next record, if any."""
    heads = [head for head, cell in zip(header, below, strict=False) if _is_number(cell)]
    return not heads or not all(_is_number(head) for head in heads)


def _is_number(cell: str) -> bool:
    """Whether a cell is a number, whatever its decimal mark."""
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True
