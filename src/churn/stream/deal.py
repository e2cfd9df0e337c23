"""Which part and which fold a row belongs to, by its customer alone: no look at other rows is needed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from churn.columns import Coded, Columns, category
from churn.config import SplitConfig
from churn.errors import UserError
from churn.schema import Dataset, Schema
from churn.split import Splits, check_classes, check_shares

TEST = 3  # the last of the four parts


@dataclass(frozen=True)
class Deal:
    """Deals rows out by a hash of the customer's id, or of all features where there is no id.

    Rows of one customer, or without ids copies of a row, share a part and a fold. Parts have their shares
    and churn rates only about exactly: on the many rows of a streamed table the difference is slight.
    """

    schema: Schema
    shares: SplitConfig
    folds: int
    seed: int

    def keys(self, table: pa.Table, features: Columns) -> np.ndarray:
        """[n] uint64, the same for rows that stay together, of rows in a stream."""
        if self.schema.id is None:
            return self.of_features(features)
        return self.of_ids(category(table[self.schema.id]))

    def keys_of(self, data: Dataset) -> np.ndarray:
        """[n] the same of rows in memory."""
        if data.ids is not None:
            return self.of_ids(coded(data.ids))
        features: Columns = {name: data.frame[name].to_numpy(np.float32) for name in self.schema.numeric}
        return self.of_features(features | {c: coded(data.frame[c]) for c in self.schema.categorical})

    def of_ids(self, ids: Coded) -> np.ndarray:
        """[n] keys of customers."""
        return mixed(hashes(ids) + np.uint64(self.seed))

    def of_features(self, features: Columns) -> np.ndarray:
        """[n] keys of all features together."""
        key = np.array([self.seed], np.uint64)
        for name in self.schema.features:
            key = mixed(key + hashes(features[name]))
        return key

    def parts(self, keys: np.ndarray) -> np.ndarray:
        """[n] 0 train, 1 validation, 2 calibration, 3 test."""
        shares = self.shares
        cuts = np.cumsum(
            [1 - shares.test - shares.calibration - shares.validation, shares.validation, shares.calibration]
        )
        return np.searchsorted(cuts, uniform(keys), side="right")

    def fold_of(self, keys: np.ndarray) -> np.ndarray:
        """[n] the fold that a row is in, independent of its part."""
        return (uniform(mixed(keys)) * self.folds).astype(int)

    def splits(self, data: Dataset) -> Splits:
        """The parts of a data set in memory; raises `UserError` as `churn.split.split` does."""
        check_shares(self.shares)
        if data.times is not None:
            raise UserError(
                "a table of this size is not split by time",
                f"data.time={self.schema.time}",
                "leave it out, or train in memory: train.stream_rows=1000000000",
            )
        part = self.parts(self.keys_of(data))
        found = Splits(*(np.flatnonzero(part == k) for k in range(4)))
        check_classes(found, data.churned)
        return found


def coded(texts: np.ndarray | pd.Series) -> Coded:
    """Texts as `churn.columns` gives them."""
    codes, levels = pd.factorize(np.asarray(texts, object))
    return Coded(levels, codes.astype(np.int32))


def hashes(column: np.ndarray | Coded) -> np.ndarray:
    """[n] uint64 of a column; equal cells have equal hashes on every machine."""
    if isinstance(column, Coded):
        return pd.util.hash_array(column.levels.astype(object), categorize=False)[column.codes]
    plain = np.where(np.isnan(column), np.float32(np.nan), column + np.float32(0))  # one NaN, one zero
    return mixed(plain.view(np.uint32).astype(np.uint64))


def mixed(x: np.ndarray) -> np.ndarray:
    """[n] the bits of uint64 thoroughly mixed (the last step of SplitMix64, Steele et al. 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def uniform(keys: np.ndarray) -> np.ndarray:
    """[n] numbers in [0, 1) from the upper bits."""
    return (keys >> np.uint64(11)).astype(np.float64) / 2**53
