"""The table of a source, before it is checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from churn.errors import UserError, count

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


IN_MEMORY = "train in memory, where data.max_bad_rows sets rows aside: train.stream_rows=1000000000"
BAD_ROW = ("file", "line", "column", "value", "reason")  # columns of a table of rows that cannot be used


@dataclass(frozen=True)
class RawTable:
    """A table as its source gave it: cells are neither parsed nor checked.

    Cells of text files are str, stripped of surrounding blanks; typed sources keep their types.
    """

    frame: pd.DataFrame  # its index is 0..n-1
    origin: str  # e.g. "customers.csv" or "3 files of exports/"
    lines: np.ndarray | None = None  # [n] number of each row's line (or row, see `unit`) in its file, from 1
    files: np.ndarray | None = None  # [n] file of each row
    notes: tuple[str, ...] = ()  # what was recognised (delimiter, encoding, ...), for the terminal
    true_probability: np.ndarray | None = None  # [n] float64, known for synthetic data only
    unit: str = "row"  # what `lines` counts: "line" in text files
    broken: pd.DataFrame | None = None  # rows that do not fit the header, columns `BAD_ROW`
    is_sample: bool = False  # of a table that is not in memory: none of its rows can be set aside
    count_values: Callable[[str], pd.Series] | None = None  # of a sample: rows of each value in the whole


class NoRowsError(UserError):
    """A table has names of columns, but no rows."""

    def __init__(self, columns: list[str], where: str) -> None:
        super().__init__(
            f"the table has {count(len(columns), 'column')} but no rows", where, "export it again"
        )
        self.columns = columns


def without_personal(raw: RawTable, columns: list[str]) -> RawTable:
    """The table without its columns about persons, and without the text of rows that do not fit the header.

    Which cell of such a row belongs to which column is not known.
    """
    if not columns:
        return raw
    broken = None if raw.broken is None else raw.broken.assign(value="not shown: data.personal")
    return replace(raw, frame=raw.frame.drop(columns=columns), broken=broken)
