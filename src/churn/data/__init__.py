"""The sources of customer tables, and the one function that loads any of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from churn.config import DataConfig, Source

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from churn.schema import Dataset

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


def load(cfg: DataConfig, seed: int) -> Dataset:
    """The validated data set that the configuration names, with its roles inferred where they are left out.

    Raises `UserError`, which lists all problems of the table at once.
    """
    return understood(read(cfg, seed), cfg)


def understood(raw: RawTable, cfg: DataConfig) -> Dataset:
    """The validated data set of a raw table; raises `UserError` as `load` does."""
    from churn.findings import find
    from churn.infer.schema import infer
    from churn.validate import validate

    schema, findings = infer(raw, cfg)
    data = validate(raw, schema, cfg)
    found = findings + data.findings + find(data)
    return replace(data, name=name_of(cfg), findings=found)


def name_of(cfg: DataConfig) -> str:
    """The short name of a data set: the one given, else that of its file or folder."""
    file = PurePosixPath(cfg.path or cfg.source.value).name.partition(".")[0]
    return cfg.name or re.sub(r"\W+", "-", file).strip("-") or cfg.source.value


def read(cfg: DataConfig, seed: int) -> RawTable:
    """The raw table of the source that the configuration names."""
    if cfg.source is Source.synthetic:
        from churn.data import synthetic

        return synthetic.read(cfg.synthetic, seed)
    if cfg.source is Source.kaggle:
        from churn.data import kaggle

        return kaggle.read(cfg)
    if cfg.source is Source.bigquery:
        from churn.data import bigquery

        return bigquery.read(cfg)
    from churn.data import files

    if cfg.path is None and cfg.url is not None:
        from churn.data.download import fetch

        cfg = replace(cfg, path=str(fetch(cfg.url, cfg.sha256, Path(cfg.cache))))
    return files.read(cfg)
