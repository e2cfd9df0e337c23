"""A table as its source gave it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


BAD_ROW = ("file", "line", "column", "value", "reason")  # columns of a table of what cannot be used


@dataclass(frozen=True)
class RawTable:
    """A table as its source gave it, before any meaning is read into it.

    Cells of text files are str, stripped of surrounding blanks; typed sources keep their types.
    """

    frame: pd.DataFrame  # its index is 0..n-1
    origin: str  # e.g. "customers.csv" or "3 files of exports/"
    lines: np.ndarray | None = None  # [n] `unit` of each row in its file
    files: np.ndarray | None = None  # [n] file of each row
    notes: tuple[str, ...] = ()  # what was recognised (delimiter, encoding, ...), for the terminal
    true_probability: np.ndarray | None = None
    unit: str = "row"  # what `lines` counts: "line" in text files
    broken: pd.DataFrame | None = None  # rows that do not fit the header, columns `BAD_ROW`
