"""The graph of an encoding: from raw customer fields to the inputs of a network."""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np

from churn.backend import tensorflow
from churn.data.contract import MISSING_BELOW
from churn.network.encoding import Encoding


class Encoder:
    """The graph of an `Encoding`: numbers [n, F] float32 and categories [n, C] string -> [n, D] float32.

    Texts become codes first: the number of the text in `vocabulary`, which all columns share, or 0 for an
    unknown text. Inside the graph codes are [C, n] and numbers [F, n], since operations on a whole column are
    far faster where its values lie side by side.

    >>> encoder(*frame_tensors(frame, schema))  # [n, D] inputs of the network
    """

    def __init__(self, encoding: Encoding) -> None:
        self.encoding = encoding
        texts = sorted({level for levels in encoding.positions for level in levels})
        unused = next(text for text in map(chr, count(1)) if text not in texts)
        # One table for all columns: one lookup of a matrix is faster than one lookup for each column.
        self.lookup = tensorflow().keras.layers.StringLookup(
            vocabulary=texts or ["-"], mask_token=None, oov_token=unused
        )
        _, *known = self.lookup.get_vocabulary()  # the first entry stands for every unknown text
        self.vocabulary = {text: code for code, text in enumerate(known, 1)}
        self._column = np.repeat(np.arange(len(encoding.widths)), encoding.widths)  # of each level input
        self._build_tables()

    def _build_tables(self) -> None:
        """Two tables over the texts of each column in turn.

        `_level`: the level input that a text sets, -1 for none; `_unknown`: 1 for texts that training has not
        seen in this column. `_first` is where each column begins.
        """
        encoding, size = self.encoding, 1 + len(self.vocabulary)
        columns = len(encoding.positions)
        self._first = np.arange(columns, dtype=np.int32) * size
        self._level, self._unknown = np.full(columns * size, -1, np.int32), np.ones(columns * size, np.int32)
        offsets = np.cumsum(encoding.widths, dtype=int) - encoding.widths
        levels = zip(self._first, offsets, encoding.positions, encoding.rare, strict=True)
        for first, offset, position, rare in levels:
            if rare is not None:
                self._level[first : first + size] = offset + rare
            for text in position:
                row = first + self.vocabulary[text]
                self._level[row], self._unknown[row] = offset + position[text], 0

    def __call__(self, numbers: Any, categories: Any) -> Any:
        """[n, D] inputs of the network."""
        transpose = tensorflow().transpose
        return self.encode(transpose(numbers), self.codes(transpose(categories)))

    def codes(self, categories: Any) -> Any:
        """int32 codes of texts, in the same shape."""
        return tensorflow().cast(self.lookup(categories), "int32")

    def encode(self, numbers: Any, codes: Any) -> Any:
        """[n, D] inputs of the network, from numbers [F, n] and codes [C, n]."""
        tf, constant = tensorflow(), self.encoding
        missing = _is_missing(numbers)
        flags = tf.cast(tf.gather(missing, constant.flagged), tf.float32)
        filled = tf.where(missing, constant.median[:, None], numbers)
        above = tf.gather(filled, constant.binned) - constant.lower[:, None]
        bins = tf.clip_by_value(above / (constant.upper - constant.lower)[:, None], 0, 1)
        inputs = tf.concat([filled, flags, bins, self._levels(codes)], axis=0)
        scaled = (inputs - constant.shift[:, None]) / constant.scale[:, None]
        return tf.transpose(tf.clip_by_value(scaled, -constant.clip, constant.clip))

    def tree_inputs(self, numbers: Any, codes: Any) -> Any:
        """[K, n] what boosted trees read (see the function `tree_inputs`)."""
        tf = tensorflow()
        filled = tf.where(_is_missing(numbers), self.encoding.missing_in_trees[:, None], numbers)
        return tf.concat([filled, self._levels(codes)], axis=0)

    def _levels(self, codes: Any) -> Any:
        """[L, n] float32: 1 where a row has the level, else 0."""
        tf = tensorflow()
        level = tf.gather(tf.gather(self._level, codes + self._first[:, None]), self._column)
        return tf.cast(level == np.arange(len(self._column))[:, None], tf.float32)

    @property
    def column_of_input(self) -> np.ndarray:
        """[D] the raw column, numbers first, of each input of the network."""
        constant = self.encoding
        numbers = np.concatenate([np.arange(len(constant.median)), constant.flagged, constant.binned])
        return np.append(numbers, len(constant.median) + self._column).astype(int)

    @property
    def column_of_tree_input(self) -> np.ndarray:
        """[K] the same of each input of the trees."""
        numbers = len(self.encoding.median)
        return np.append(np.arange(numbers), numbers + self._column)

    def count_unseen(self, numbers: Any, codes: Any) -> Any:
        """[n] int32 how many fields of each row are unlike any in training.

        Counts numbers out of range, numbers missing as never in training, and unknown texts.
        """
        tf, constant = tensorflow(), self.encoding
        missing, rows = _is_missing(numbers), codes + self._first[:, None]
        never_missing = ~np.isin(np.arange(len(constant.median)), constant.flagged)
        lowest, highest = constant.lowest[:, None], constant.highest[:, None]
        out_of_range = ~missing & ((numbers < lowest) | (numbers > highest))
        unseen = tf.cast((missing & never_missing[:, None]) | out_of_range, tf.int32)
        return tf.reduce_sum(tf.concat([unseen, tf.gather(self._unknown, rows)], axis=0), axis=0)


def _is_missing(numbers: Any) -> Any:
    """Whether a number is one of the two spellings of "missing"."""
    tf = tensorflow()  # whose optimizer would turn `~(numbers > ...)` into `<=`, which NaN is not
    return tf.math.is_nan(numbers) | (numbers <= MISSING_BELOW)
