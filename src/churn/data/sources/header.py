"""Where a table begins among records of cells: its header, and what is above it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Record(NamedTuple):
    """A row of cells as text, before it is known what it is."""

    first: int  # number of its first line, from 0
    after: int  # number of the line after it
    cells: Sequence[str]


@dataclass(frozen=True)
class Layout:
    """The shape of a sample of records."""

    columns: tuple[str, ...]  # names in the header, "" for a column without a name
    header: int  # number of the header's first line
    end: int  # number of the line after the header
    width: int  # the commonest number of cells in a record
    lines: int  # lines of the records with this width
    named: bool  # the header has a name above a number of the next record

    def rank(self) -> tuple[bool, bool, int, int]:
        """The best layout has several columns, a header of names, and most lines of the same width."""
        return self.width > 1, self.named, self.lines, self.width


def find_layout(records: Sequence[Record], at_top: bool) -> Layout | None:
    """The layout of a sample; the header is the first record if `at_top`. None if no record has a text.

    Otherwise the header is the first record with the commonest width and a name in nearly every cell. The
    records before it are titles and dates of a report, which spreadsheets often fill up with blank cells.
    """
    records = [record for record in records if any(record.cells)]
    if not records:
        return None
    sizes = Counter(len(record.cells) for record in records)
    width = max(sizes, key=lambda size: (size > 1, size * sizes[size]))
    chosen = 0 if at_top else _header_position(records, width)
    columns, last = _join_two_rows(records, chosen)
    below = records[last + 1].cells if last + 1 < len(records) else [""]
    filled = sum(record.after - record.first for record in records if len(record.cells) == width)
    start, end = records[chosen].first, records[last].after
    return Layout(columns, start, end, width, filled, _has_names(columns, below))


def _header_position(records: Sequence[Record], width: int) -> int:
    """The first record with a name in nearly every cell, else the first of the commonest width."""
    # Rows may end with a delimiter where the header does not.
    trailing = all(not record.cells[-1] for record in records if len(record.cells) == width)
    allowed = {width, width - 1} if trailing else {width}
    wide = [i for i, record in enumerate(records) if len(record.cells) in allowed]
    # The first name may be blank (row numbers), and in a wide table a few more.
    most_blank = trailing + width // 5
    named = [i for i in wide if list(records[i].cells[1:]).count("") <= most_blank]
    return (named or wide)[0]


def _join_two_rows(records: Sequence[Record], chosen: int) -> tuple[tuple[str, ...], int]:
    """The names of the columns, and the position of the header's last record.

    Where names repeat, they are below the names of groups, or above names that tell them apart.
    """
    names = tuple(records[chosen].cells)
    if len(set(names)) == len(names) or names.count("") == len(names) - len(set(names) - {""}):
        return names, chosen
    if chosen and len(records[chosen - 1].cells) == len(names):
        groups = _fill_forward(records[chosen - 1].cells)
        joined = tuple(
            f"{group} {name}".strip() if names.count(name) > 1 else name
            for group, name in zip(groups, names, strict=True)
        )
        if len(set(joined)) == len(joined):
            return joined, chosen
    below = records[chosen + 1].cells if chosen + 1 < len(records) else []
    if len(below) == len(names) and not any(map(_is_number, below)):
        joined = tuple(f"{name} {lower}".strip() for name, lower in zip(names, below, strict=True))
        if len(set(joined)) == len(joined):
            return joined, chosen + 1
    return names, chosen


def _fill_forward(cells: Sequence[str]) -> list[str]:
    """The cells with the last text before them in place of blank ones, as merged cells of a spreadsheet."""
    filled: list[str] = []
    for cell in cells:
        filled.append(cell or (filled[-1] if filled else ""))
    return filled


def _has_names(header: Sequence[str], below: Sequence[str]) -> bool:
    """Whether a header has a text above a number of the next record, or that record has no numbers."""
    heads = [head for head, cell in zip(header, below, strict=False) if _is_number(cell)]
    return not heads or not all(map(_is_number, heads))


def _is_number(cell: str) -> bool:
    """Whether a cell is a number, whatever its decimal mark."""
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True
