"""A data set, its split and the configuration: what the functions of training share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from churn.config.data import SplitMethod
from churn.config.root import Config
from churn.data.dataset import Dataset
from churn.data.split import Splits, split_dataset

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True)
class Part:
    """Rows of one part of the split."""

    frame: pd.DataFrame  # features as in `Dataset.frame`
    churned: np.ndarray  # [n] int8, 1 = left
    ids: np.ndarray | None  # [n] the customer of each row; None if each row is a customer


@dataclass(frozen=True)
class Experiment:
    """A data set, its split and the configuration.

    >>> experiment = Experiment.split(load_dataset(cfg.data, cfg.seed), cfg)
    >>> experiment.test.churned.mean()
    """

    data: Dataset
    splits: Splits
    cfg: Config
    is_sample: bool = False  # `data` is a sample of a table that is larger than memory

    @classmethod
    def split(cls, data: Dataset, cfg: Config) -> Experiment:
        """An experiment with the data set split as `cfg` says; raises `UserError` as `split_dataset` does."""
        splits = split_dataset(data, cfg.split, cfg.data.horizon, cfg.seed)
        if cfg.split.method is SplitMethod.article:  # the only one that nothing keeps from this
            from churn.data.findings.leakage import find_crossing_rows

            data = replace(data, findings=(*data.findings, *find_crossing_rows(data, splits.test)))
        return cls(data, splits, cfg)

    def part(self, rows: np.ndarray) -> Part:
        """The rows at the positions `rows`."""
        data = self.data
        return Part(data.frame.iloc[rows], data.churned[rows], data.ids_of(rows))

    @cached_property
    def train(self) -> Part:
        """The train part."""
        return self.part(self.splits.train)

    @cached_property
    def validation(self) -> Part:
        """The validation part."""
        return self.part(self.splits.validation)

    @cached_property
    def test(self) -> Part:
        """The test part."""
        return self.part(self.splits.test)
