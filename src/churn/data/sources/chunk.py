"""A stretch of rows of one file, as the readers give it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa


class BrokenRow(NamedTuple):
    """A row of a text file that is no row of its table."""

    line: int
    value: str  # its text
    reason: str


class Chunk(NamedTuple):
    """Rows of one file."""

    file: str  # its name for people
    table: pa.Table
    lines: np.ndarray  # [n] line, or row of a typed file, counted from 1
    note: str  # how the file was read
    broken: tuple[BrokenRow, ...] = ()
