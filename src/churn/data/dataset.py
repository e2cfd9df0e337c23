"""The checked data set that the stages pass on, and its schema."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True)
class Schema:
    """The role of each column, by its name in the user's table.

    >>> Schema("Churn", churned=("Yes",), numeric=("tenure",), categorical=("Contract",), id="customerID")
    """

    target: str
    churned: tuple[str, ...]  # values of the target that mean "left"
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    id: str | None = None
    time: str | None = None
    dropped: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()  # texts that mean "missing" in every column, beside blank
    missing_numbers: tuple[str, ...] = ()  # texts that mean "missing" in columns of numbers only
    decimal: str = "."  # decimal mark of numbers in text
    thousands: str | None = None  # thousands separator of numbers in text
    blank_stayed: bool = False  # a blank target means "stayed", because every filled value means "left"

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the model's inputs, numbers first."""
        return self.numeric + self.categorical

    def to_yaml(self) -> str:
        """The roles as lines for a file in `configs/data/`."""
        import yaml  # type: ignore[import-untyped]

        keys = {
            key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()
        }
        keys["drop"] = keys.pop("dropped")
        for inferred in ("missing_numbers", "blank_stayed"):  # anew from the values, whenever they are read
            del keys[inferred]
        keys = {key: value for key, value in keys.items() if value not in (None, [])}
        if self.decimal == ".":
            del keys["decimal"]
        return yaml.safe_dump(keys, default_flow_style=None, sort_keys=False, allow_unicode=True, width=100)


@dataclass(frozen=True)
class Finding:
    """A fact about the data that a reader of the report must know; not an error."""

    title: str  # one line
    evidence: str  # the numbers behind it
    advice: str  # what to do, e.g. the override to type


@dataclass(frozen=True)
class Dataset:
    """A table that passed validation.

    `frame` holds the features only, in the order of `schema.features`: numbers as float64 with NaN
    for missing, categories as str with "" for missing; its index is 0..n-1.
    """

    name: str
    schema: Schema
    frame: pd.DataFrame
    churned: np.ndarray  # [n] int8, 1 = left
    ids: np.ndarray | None = None  # [n] str, the customer of each row
    times: np.ndarray | None = None  # [n] datetime64[s], UTC
    true_probability: np.ndarray | None = None  # [n] float64, known for synthetic data only
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()  # what was recognised about the files, for the terminal
    origin: str = ""  # the source of the rows, for people
    bad_rows: pd.DataFrame | None = None  # rows set aside: file, line, column, value, reason
    fingerprint: str = ""  # hash of rows and roles: the same data have the same one
    facts: dict[str, int] = field(default_factory=dict)  # counts: rows read, copies dropped, bad rows
    protected: pd.DataFrame | None = None  # [n] columns of `data.protected`, features or not, for fairness

    def __len__(self) -> int:
        return len(self.frame)

    def ids_of(self, rows: np.ndarray | pd.Index) -> np.ndarray | None:
        """The customers of the rows at some positions; None if each row is a customer."""
        return None if self.ids is None else self.ids[rows]
