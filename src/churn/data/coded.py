"""Features as a model takes them: columns of numbers, and of texts as codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from churn.data.dataset import Schema

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


class DictionaryColumn(NamedTuple):
    """A column of texts: the text of row i is `levels[codes[i]]`."""

    levels: np.ndarray  # [k] object, str
    codes: np.ndarray  # [n] int32

    @property
    def texts(self) -> np.ndarray:
        """[n] the text of each row."""
        return self.levels[self.codes]

    @property
    def arrow(self) -> pa.DictionaryArray:
        """[n] the same as a column of Arrow."""
        import pyarrow as pa

        return pa.DictionaryArray.from_arrays(pa.array(self.codes), pa.array(self.levels, pa.string()))

    def codes_in(self, vocabulary: dict[str, int]) -> np.ndarray:
        """[n] int32 the code of each row's text in a vocabulary, 0 if it has none."""
        return np.array([vocabulary.get(level, 0) for level in self.levels], np.int32)[self.codes]


# By the name of the feature: [n] float32 numbers with NaN, or texts.
ArrowFeatures = dict[str, "np.ndarray | DictionaryColumn"]


def to_matrices(
    rows: ArrowFeatures, schema: Schema, vocabulary: dict[str, int]
) -> tuple[np.ndarray, np.ndarray]:
    """[F, n] float32 numbers, and [C, n] int32 codes of the categories in a vocabulary."""
    numbers = [np.asarray(rows[name]) for name in schema.numeric]
    categories = [rows[name] for name in schema.categorical]
    codes = [column.codes_in(vocabulary) for column in categories if isinstance(column, DictionaryColumn)]
    count = len((numbers or codes)[0])
    return (
        np.array(numbers, np.float32).reshape(len(numbers), count),
        np.array(codes, np.int32).reshape(len(codes), count),
    )


def frame_features(frame: pd.DataFrame, schema: Schema) -> ArrowFeatures:
    """The features of rows as in `Dataset.frame`."""
    numbers: ArrowFeatures = {name: frame[name].to_numpy(np.float32) for name in schema.numeric}
    return numbers | {name: to_dictionary(frame[name]) for name in schema.categorical}


def to_dictionary(texts: np.ndarray | pd.Series) -> DictionaryColumn:
    """[n] texts as distinct texts and codes."""
    import pandas as pd

    codes, levels = pd.factorize(np.asarray(texts, object))
    return DictionaryColumn(levels, codes.astype(np.int32))
