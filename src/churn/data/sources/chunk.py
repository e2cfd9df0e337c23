"""A chunk of rows of one file, as all readers give it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pyarrow as pa

NONE_MARKED: Mapping[str, int] = MappingProxyType({})


class BrokenRow(NamedTuple):
    """A row of a text file that does not fit the header."""

    line: int  # from 1
    value: str  # its text
    reason: str


class Chunk(NamedTuple):
    """Rows of one file."""

    file: str  # its name for people
    table: pa.Table
    lines: np.ndarray  # [n] the number of each line, or of each row (see `unit`), from 1
    note: str  # how the file was read
    broken: tuple[BrokenRow, ...] = ()
    unit: str = "line"  # what `lines` counts: "line" or "row"
    typed: bool = False  # the columns have the same types in every chunk of the table
    marked: Mapping[str, int] = NONE_MARKED  # cells of each column that the file itself marks as missing
