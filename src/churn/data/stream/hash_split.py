"""The part and the fold of a row by a hash of its customer, without looking at other rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from churn.config.data import SplitConfig, SplitMethod
from churn.data.coded import ArrowFeatures, DictionaryColumn, frame_features, to_dictionary
from churn.data.dataset import Dataset, Schema
from churn.data.split import Splits, check_both_classes, check_shares, part_boundaries
from churn.errors import UserError

TEST_PART = 3  # the last of the four parts


@dataclass(frozen=True)
class HashSplit:
    """Splits rows by a hash of the customer's id, or of all features if there is no id.

    Rows of one customer, or copies of a row if there is no id, are in one part and one fold. The parts have
    their shares and churn rates only approximately; with the many rows of a stream the difference is small.
    """

    schema: Schema
    shares: SplitConfig
    folds: int
    seed: int

    def stream_keys(self, ids: DictionaryColumn | None, features: ArrowFeatures) -> np.ndarray:
        """[n] uint64 keys of the rows of a stream; rows that stay together have the same key."""
        return self._feature_keys(features) if ids is None else self.id_keys(ids)

    def dataset_keys(self, data: Dataset) -> np.ndarray:
        """[n] uint64 keys of the rows of a data set in memory."""
        if data.ids is not None:
            return self.id_keys(to_dictionary(data.ids))
        return self._feature_keys(frame_features(data.frame, self.schema))

    def id_keys(self, ids: DictionaryColumn) -> np.ndarray:
        """[n] uint64 keys of rows with these customers."""
        return mix_bits(_hash_column(ids) + np.uint64(self.seed))

    def _feature_keys(self, features: ArrowFeatures) -> np.ndarray:
        key = np.array([self.seed], np.uint64)
        for name in self.schema.features:
            key = mix_bits(key + _hash_column(features[name]))
        return key

    def parts(self, keys: np.ndarray) -> np.ndarray:
        """[n] the part of each key: 0 train, 1 validation, 2 calibration, 3 test."""
        return np.searchsorted(part_boundaries(self.shares), _to_uniform(keys), side="right")

    def fold_of(self, keys: np.ndarray) -> np.ndarray:
        """[n] the fold of each key, independent of its part."""
        return self.fold_and_half(keys)[0]

    def fold_and_half(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[n] the fold of each key and [n] the half of the fold, 0 or 1."""
        fold, half = np.divmod((_to_uniform(mix_bits(keys)) * 2 * self.folds).astype(int), 2)
        return fold, half

    def splits_of(self, data: Dataset) -> Splits:
        """The parts of a data set in memory; raises `UserError` as `split_dataset` does."""
        check_shares(self.shares)
        by_time = data.times is not None and self.shares.method != SplitMethod.customer
        if by_time or self.shares.method == SplitMethod.time:
            raise UserError(
                "a table of this size is not split by time",
                "data.time, split.method",
                "split.method=customer, or train in memory: train.stream_rows=1000000000",
            )
        splits = Splits.of(self.parts(self.dataset_keys(data)))
        check_both_classes(splits, data.churned, self.shares)
        return splits


def _hash_column(column: np.ndarray | DictionaryColumn) -> np.ndarray:
    """[n] uint64 hashes of the cells of a column, the same on every machine."""
    if isinstance(column, DictionaryColumn):
        return pd.util.hash_array(column.levels.astype(object), categorize=False)[column.codes]
    numbers = np.where(np.isnan(column), np.float32(np.nan), column + np.float32(0))  # one NaN, one zero
    return mix_bits(numbers.view(np.uint32).astype(np.uint64))


def mix_bits(x: np.ndarray) -> np.ndarray:
    """[n] uint64 with mixed bits: the last step of SplitMix64 (Steele et al. 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _to_uniform(keys: np.ndarray) -> np.ndarray:
    """[n] numbers in [0, 1), from the upper bits of the keys."""
    return (keys >> np.uint64(11)).astype(np.float64) / 2**53
