"""Which part and which fold a row belongs to, by its customer alone: no look at other rows is needed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from churn.config.data import SplitConfig
from churn.data.dataset import Dataset, Schema
from churn.data.features import ArrowFeatures, DictionaryColumn, dictionary_column
from churn.data.split import Splits, check_both_classes, check_shares
from churn.errors import UserError

TEST_PART = 3  # the last of the four parts


@dataclass(frozen=True)
class HashSplit:
    """Deals rows out by a hash of the customer's id, or of all features where there is no id.

    Rows of one customer, or without ids copies of a row, share a part and a fold. Parts have their shares
    and churn rates only about exactly: on the many rows of a streamed table the difference is slight.
    """

    schema: Schema
    shares: SplitConfig
    folds: int
    seed: int

    def keys(self, table: pa.Table, features: ArrowFeatures) -> np.ndarray:
        """[n] uint64, the same for rows that stay together, of rows in a stream."""
        if self.schema.id is None:
            return self.of_features(features)
        return self.of_ids(dictionary_column(table[self.schema.id]))

    def keys_of(self, data: Dataset) -> np.ndarray:
        """[n] the same of rows in memory."""
        if data.ids is not None:
            return self.of_ids(to_dictionary(data.ids))
        features: ArrowFeatures = {
            name: data.frame[name].to_numpy(np.float32) for name in self.schema.numeric
        }
        return self.of_features(features | {c: to_dictionary(data.frame[c]) for c in self.schema.categorical})

    def of_ids(self, ids: DictionaryColumn) -> np.ndarray:
        """[n] keys of customers."""
        return mix_bits(_hash_column(ids) + np.uint64(self.seed))

    def of_features(self, features: ArrowFeatures) -> np.ndarray:
        """[n] keys of all features together."""
        key = np.array([self.seed], np.uint64)
        for name in self.schema.features:
            key = mix_bits(key + _hash_column(features[name]))
        return key

    def parts(self, keys: np.ndarray) -> np.ndarray:
        """[n] 0 train, 1 validation, 2 calibration, 3 test."""
        shares = self.shares
        cuts = np.cumsum(
            [1 - shares.test - shares.calibration - shares.validation, shares.validation, shares.calibration]
        )
        return np.searchsorted(cuts, _to_uniform(keys), side="right")

    def fold_of(self, keys: np.ndarray) -> np.ndarray:
        """[n] the fold that a row is in, independent of its part."""
        return (_to_uniform(mix_bits(keys)) * self.folds).astype(int)

    def splits(self, data: Dataset) -> Splits:
        """The parts of a data set in memory; raises `UserError` as `churn.data.split.split_dataset` does."""
        check_shares(self.shares)
        if data.times is not None:
            raise UserError(
                "a table of this size is not split by time",
                f"data.time={self.schema.time}",
                "leave it out, or train in memory: train.stream_rows=1000000000",
            )
        part = self.parts(self.keys_of(data))
        found = Splits(*(np.flatnonzero(part == k) for k in range(4)))
        check_both_classes(found, data.churned)
        return found


def to_dictionary(texts: np.ndarray | pd.Series) -> DictionaryColumn:
    """Texts as `churn.data.features` gives them."""
    codes, levels = pd.factorize(np.asarray(texts, object))
    return DictionaryColumn(levels, codes.astype(np.int32))


def _hash_column(column: np.ndarray | DictionaryColumn) -> np.ndarray:
    """[n] uint64 of a column; equal cells have equal hashes on every machine."""
    if isinstance(column, DictionaryColumn):
        return pd.util.hash_array(column.levels.astype(object), categorize=False)[column.codes]
    plain = np.where(np.isnan(column), np.float32(np.nan), column + np.float32(0))  # one NaN, one zero
    return mix_bits(plain.view(np.uint32).astype(np.uint64))


def mix_bits(x: np.ndarray) -> np.ndarray:
    """[n] the bits of uint64 thoroughly mixed (the last step of SplitMix64, Steele et al. 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _to_uniform(keys: np.ndarray) -> np.ndarray:
    """[n] numbers in [0, 1) from the upper bits."""
    return (keys >> np.uint64(11)).astype(np.float64) / 2**53
