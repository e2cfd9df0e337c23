"""What the columns of a customer table are, and the validated table that the stages pass on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True)
class Schema:
    """Roles of the columns, by the names they have in the user's table."""

    target: str
    churned: tuple[str, ...]  # values of the target that mean "left"
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    id: str | None = None
    time: str | None = None
    dropped: tuple[str, ...] = ()

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the model's inputs, numbers first."""
        return self.numeric + self.categorical


@dataclass(frozen=True)
class Finding:
    """Something about the data that a reader of the report must know; not an error."""

    title: str  # one line: what was found
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
    times: np.ndarray | None = None  # [n] datetime64[s]
    true_probability: np.ndarray | None = None  # [n] float64, known for synthetic data only
    findings: tuple[Finding, ...] = ()
    origin: str = ""  # where the rows came from, for people
    fingerprint: str = ""  # hash of rows and roles: the same data give the same one
    facts: dict[str, int] = field(default_factory=dict)  # counts: rows read, copies dropped, bad rows

    def __len__(self) -> int:
        return len(self.frame)
