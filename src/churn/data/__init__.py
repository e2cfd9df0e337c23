"""The sources of customer tables, and the one function that loads any of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True)
class RawTable:
    """A table as its source gave it, before any meaning is read into it.

    Cells of text files are str, stripped of surrounding blanks; typed sources keep their types.
    """

    frame: pd.DataFrame
    origin: str  # e.g. "customers.csv" or "3 files in exports/"
    lines: np.ndarray | None = None  # [n] line of each row in its file
    files: np.ndarray | None = None  # [n] file of each row, where there are several
    notes: tuple[str, ...] = ()  # what was recognised (delimiter, encoding, ...), for the terminal
    true_probability: np.ndarray | None = None
