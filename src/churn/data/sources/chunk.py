"""A chunk of rows of one file, as all readers give it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa


class BrokenRow(NamedTuple):
    """A row of a text file that does not fit the header."""

    line: int  # from 1
    value: str  # its text
    reason: str


class Chunk(NamedTuple):
    """Rows of one file."""

    file: str  # its name for people
    table: pa.Table
    lines: np.ndarray  # [n] the number of each line, or of each row of a typed file, from 1
    note: str  # how the file was read
    broken: tuple[BrokenRow, ...] = ()
